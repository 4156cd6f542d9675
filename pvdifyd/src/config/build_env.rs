//! The file of variables that every buildpack build has: mirrors of package registries, proxies. Lines of
//! `NAME=VALUE`, `#` comments, as systemd's environment files without their quoting.

use super::{ConfigError, problem};
use std::{collections::BTreeMap, path::Path};

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| problem(&shown, error.to_string()))?;
    parse(&text).map_err(|(line, rule)| problem(&shown, format!("line {line}: {rule}")))
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err((index + 1, "a line reads NAME=VALUE"));
        };
        let is_name = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err((
                index + 1,
                "a name is letters, digits and _, and starts with no digit",
            ));
        }
        variables.insert(name.to_owned(), value.to_owned());
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_is_a_variable_and_a_mistake_has_its_number() {
        let read = parse("# mirrors\n\nGOPROXY=https://proxy, direct \nEMPTY=\nA=b=c\n").unwrap();
        assert_eq!(read["GOPROXY"], "https://proxy, direct");
        assert_eq!((read["EMPTY"].as_str(), read["A"].as_str()), ("", "b=c"));
        assert_eq!(parse("A=1\nB").unwrap_err().0, 2);
        assert_eq!(parse("1A=x").unwrap_err().0, 1);
    }
}

//! What bin/release prints: YAML of two levels (`default_process_types`, `config_vars`), or the same as JSON. Pure.
//!
//! Read are mappings of plain and quoted texts, and block texts (`|`, `>`); lists (`addons`) and all that is deeper
//! is passed over. More of YAML no bin/release prints.

use std::collections::BTreeMap;

/// What counts of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) default_process_types: BTreeMap<String, String>,
    pub(super) config_vars: BTreeMap<String, String>,
}

pub(super) fn parse(text: &str) -> Result<Release, String> {
    let text = text.trim_start_matches('\u{feff}');
    let body = text.trim_start().strip_prefix("---").unwrap_or(text);
    if body.trim_start().starts_with('{') {
        return json(body.trim());
    }
    let mut release = Release::default();
    let mut section = String::new();
    let mut lines = body.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') || matches!(bare, "---" | "...") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if bare.starts_with("- ") || bare == "-" {
            continue;
        }
        let (key, value) = entry(bare).ok_or_else(|| format!("line {}: {bare:?}", number + 1))?;
        if indent == 0 {
            section = key;
            if !matches!(value, "" | "{}" | "[]" | "~" | "null") && is_read(&section) {
                return Err(format!("line {}: {bare:?}", number + 1));
            }
            continue;
        }
        let value = match value.chars().next() {
            Some(style @ ('|' | '>')) => {
                let mut block = Vec::new();
                while let Some((_, next)) = lines.peek() {
                    let inner = next.len() - next.trim_start().len();
                    if !next.trim().is_empty() && inner <= indent {
                        break;
                    }
                    block.push(next.trim());
                    lines.next();
                }
                block
                    .join(if style == '|' { "\n" } else { " " })
                    .trim_end()
                    .to_owned()
            }
            _ => scalar(value).ok_or_else(|| format!("line {}: {bare:?}", number + 1))?,
        };
        release.put(&section, key, value);
    }
    Ok(release)
}

impl Release {
    fn put(&mut self, section: &str, key: String, value: String) {
        match section {
            "default_process_types" => self.default_process_types.insert(key, value),
            // Names that can be no variable's are nobody's loss, and no file's name.
            "config_vars" if is_variable(&key) => self.config_vars.insert(key, value),
            _ => None,
        };
    }
}

fn is_read(section: &str) -> bool {
    matches!(section, "default_process_types" | "config_vars")
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// `key: value`, `"key": value`
fn entry(line: &str) -> Option<(String, &str)> {
    let (key, value) = match line.strip_prefix(['"', '\'']) {
        Some(rest) => rest.split_once(&line[..1])?,
        None => line.split_once(':').map(|(key, _)| (key, &line[key.len()..]))?,
    };
    let value = value.trim_start().strip_prefix(':')?;
    let is_apart = value.is_empty() || value.starts_with([' ', '\t']);
    is_apart.then(|| (key.trim().to_owned(), value.trim()))
}

/// A plain or quoted text; nothing when a quote has no end.
fn scalar(text: &str) -> Option<String> {
    if text.starts_with('"') {
        // Its escapes are JSON's, but for some that nobody writes.
        let end = closing(text)?;
        return serde_json::from_str(&text[..=end]).ok();
    }
    if let Some(rest) = text.strip_prefix('\'') {
        let mut value = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '\'' {
                value.push(c);
            } else if chars.next_if_eq(&'\'').is_some() {
                value.push('\'');
            } else {
                return Some(value);
            }
        }
        return None;
    }
    let plain = text.split(" #").next().unwrap_or_default().trim_end();
    Some(if matches!(plain, "~" | "null") { "" } else { plain }.to_owned())
}

/// Where a text in double quotes ends.
fn closing(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().skip(1).find_map(|(at, c)| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

fn json(text: &str) -> Result<Release, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut release = Release::default();
    for section in ["default_process_types", "config_vars"] {
        for (key, value) in value
            .get(section)
            .and_then(|it| it.as_object())
            .into_iter()
            .flatten()
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            release.put(section, key.clone(), text);
        }
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match parse(text) {
            Err(error) => format!("error: {error}"),
            Ok(release) => format!("{:?} {:?}", release.default_process_types, release.config_vars),
        }
    }

    #[test]
    fn what_buildpacks_print_is_read() {
        for empty in [
            "",
            "--- {}",
            "---\n",
            "{}\n",
            "---\naddons: []\n",
            "---\naddons:\n  - a:b\n- c\n",
        ] {
            assert_eq!(parse(empty), Ok(Release::default()), "{empty:?}");
        }
        let text = "---\naddons:\n- heroku-postgresql:hobby-dev\nconfig_vars:\n  LANG: en_US.UTF-8 # why\n  PATH: \"bin:$PATH\"\n  9/x: no\n\ndefault_process_types:\n  web: bin/start --port $PORT\n  console: 'it''s'\n  \"rake\": \"a \\\"b\\\"\"\n  long: >\n    a\n    b\n  none: ~\n";
        insta::assert_snapshot!(told(text), @r#"{"console": "it's", "long": "a b", "none": "", "rake": "a \"b\"", "web": "bin/start --port $PORT"} {"LANG": "en_US.UTF-8", "PATH": "bin:$PATH"}"#);
        let json = r#"{"addons": [], "default_process_types": {"web": "x: y"}, "config_vars": {"N": 1}}"#;
        assert_eq!(told(json), r#"{"web": "x: y"} {"N": "1"}"#);
        assert_eq!(
            told("---\ndefault_process_types:\n  web:   a#b: c\n"),
            r#"{"web": "a#b: c"} {}"#
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(told("---\nhello\n"), "error: line 2: \"hello\"");
        assert_eq!(
            told("default_process_types: x\n"),
            "error: line 1: \"default_process_types: x\""
        );
        assert_eq!(told("config_vars:\n  A: \"x\n"), "error: line 2: \"A: \\\"x\"");
    }
}

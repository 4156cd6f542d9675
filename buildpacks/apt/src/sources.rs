//! Further sources of packages: lines for apt, with keys of their own.

use crate::wanted::Source;
use buildpack_support::{Result, files, toolchain::deb::Apt};
use std::path::Path;

/// The lines as apt reads them; keys are written below `folder`.
pub(crate) fn lines(sources: &[Source], folder: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for source in sources {
        let line = match &source.key {
            None => source.line.clone(),
            Some(key) => {
                let place = folder.join(format!("keys/{}.asc", &files::fingerprint([key])[..16]));
                files::write(&place, key.trim().to_owned() + "\n")?;
                source.line.replace("{key}", &place.display().to_string())
            }
        };
        lines.push(line);
    }
    Ok(lines)
}

/// Tells apt of them, once: the folder is another for other sources.
pub(crate) fn add(apt: &Apt, sources: &[Source], folder: &Path) -> Result<()> {
    if sources.is_empty() || folder.join("sources-added").exists() {
        return Ok(());
    }
    apt.add_sources(&lines(sources, folder)?)?;
    files::write(&folder.join("sources-added"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_file_that_the_line_names() {
        let dir = tempfile::tempdir().unwrap();
        let sources = [
            Source {
                line: "deb https://a.example stable main".into(),
                key: None,
            },
            Source {
                line: "deb [signed-by={key}] https://b.example stable main".into(),
                key: Some("\nKEY\n".into()),
            },
        ];
        let lines = lines(&sources, dir.path()).unwrap();
        assert_eq!(lines[0], "deb https://a.example stable main");
        let place = lines[1]
            .split_once("signed-by=")
            .unwrap()
            .1
            .split(']')
            .next()
            .unwrap();
        assert!(Path::new(place).starts_with(dir.path()));
        assert_eq!(std::fs::read_to_string(place).unwrap(), "KEY\n");
    }
}

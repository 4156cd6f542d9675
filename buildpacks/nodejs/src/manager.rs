//! Which package manager, and which version of it.
//!
//! `packageManager` in package.json decides (corepack itself is not needed), else the lockfile that is there.
//! The version is the one asked for, else the one that writes lockfiles like the app's.

use crate::package_json::PackageJson;
use buildpack_support::{Failure, Result, files, output};
use std::{fmt, path::Path};

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Npm,
    Pnpm,
    /// Yarn 1, "Classic".
    YarnClassic,
    /// Yarn 2 and later, "Berry".
    Yarn,
    Bun,
}

impl Kind {
    /// The program.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::YarnClassic | Self::Yarn => "yarn",
            Self::Bun => "bun",
        }
    }

    /// The lockfiles it reads.
    pub(crate) fn lockfiles(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["npm-shrinkwrap.json", "package-lock.json"],
            Self::Pnpm => &["pnpm-lock.yaml"],
            Self::YarnClassic | Self::Yarn => &["yarn.lock"],
            Self::Bun => &["bun.lock", "bun.lockb"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::YarnClassic | Self::Yarn => "Yarn",
            Self::Bun => "Bun",
        })
    }
}

/// The one to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) kind: Kind,
    /// The version or range that is asked for.
    pub(crate) version: Option<String>,
    /// The line (`9`, `1.22`) that writes lockfiles like the app's.
    pub(crate) line: Option<&'static str>,
    /// Where that stands.
    pub(crate) from: String,
    /// The lockfile, if there is one.
    pub(crate) lockfile: Option<&'static str>,
    /// Yarn's program in the app itself (`yarnPath`).
    pub(crate) vendored: Option<String>,
}

const ALL: [Kind; 4] = [Kind::Pnpm, Kind::Yarn, Kind::Bun, Kind::Npm];

/// Chooses.
pub(crate) fn choose(app: &Path, package_json: &PackageJson) -> Result<Manager> {
    let present: Vec<(Kind, &'static str)> = ALL
        .into_iter()
        .filter_map(|kind| Some((kind, files::first(app, kind.lockfiles())?)))
        .collect();
    let named = match package_json.package_manager() {
        Some((name, version)) => Some((kind_named(name)?, version)),
        None => None,
    };
    let (kind, why) = match (&named, present.first()) {
        (Some((kind, _)), _) => (*kind, "packageManager in package.json".to_owned()),
        (None, Some((kind, lockfile))) => (*kind, (*lockfile).to_owned()),
        (None, None) => match without_lockfile(package_json) {
            Some(why) => (Kind::Bun, why.to_owned()),
            None => (Kind::Npm, "the default".to_owned()),
        },
    };
    let lockfile = present
        .iter()
        .find(|(of, _)| of.program() == kind.program())
        .map(|(_, lockfile)| *lockfile);
    if present.len() > 1 {
        let names: Vec<&str> = present.iter().map(|(_, lockfile)| *lockfile).collect();
        output::warning(format!(
            "The app has {} lockfiles: {}.\n\
             This build uses {kind} ({why}); what the others say may be outdated.\n\
             Remove those that you do not use: `git rm FILE`.",
            names.len(),
            names.join(", ")
        ));
    }
    let yarnrc = files::read(app, ".yarnrc.yml")?;
    let lock_text = match kind {
        Kind::Pnpm | Kind::Yarn => lockfile.map(|name| files::read(app, name)).transpose()?.flatten(),
        _ => None,
    };
    let asked = named
        .map(|(_, version)| version.to_owned())
        .map(|version| (version, why.clone()))
        .or_else(|| {
            let engine = package_json
                .engine(kind.program())
                .map(|version| (version, "engines"));
            let volta = package_json
                .volta(kind.program())
                .map(|version| (version, "volta"));
            volta.or(engine).map(|(version, field)| {
                (
                    version.to_owned(),
                    format!("{field}.{} in package.json", kind.program()),
                )
            })
        });
    let guess = || match kind {
        Kind::Pnpm => lock_text.as_deref().map(|text| pnpm_line(text, app)),
        Kind::Yarn => Some(yarn_line(lock_text.as_deref(), yarnrc.is_some())),
        _ => None,
    };
    let vendored = match kind {
        Kind::Yarn => yarnrc.as_deref().and_then(|text| yaml_value(text, "yarnPath")),
        _ => None,
    };
    let line = guess();
    let (version, from) = match (asked, line) {
        (Some((version, from)), _) => (Some(version), from),
        (None, Some(_)) => (
            None,
            format!("the format of {}", lockfile.unwrap_or("its settings")),
        ),
        (None, None) => (None, why),
    };
    // `engines.yarn` is often a wide range: then the lockfile tells which Yarn it is.
    let decisive = match &version {
        Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) => version,
        version => line.or(version.as_deref()).unwrap_or_default(),
    };
    let kind = match (kind, &vendored) {
        (Kind::Yarn, None) if is_classic(decisive) => Kind::YarnClassic,
        _ => kind,
    };
    Ok(Manager {
        kind,
        version,
        line,
        from,
        lockfile,
        vendored,
    })
}

// An app of Bun's that depends on nothing has no lockfile; npm could install it, but not start it.
fn without_lockfile(package_json: &PackageJson) -> Option<&'static str> {
    let runs_bun = |script: &str| matches!(script.split_whitespace().next(), Some("bun" | "bunx"));
    if package_json.script("start").is_some_and(runs_bun) {
        Some("the script `start` runs it")
    } else if package_json.script("start").is_none() && package_json.script("dev").is_some_and(runs_bun) {
        Some("the script `dev` runs it, and nothing else is to start")
    } else if package_json.engine("bun").is_some() && package_json.engine("node").is_none() {
        Some("engines.bun in package.json")
    } else {
        None
    }
}

fn kind_named(name: &str) -> Result<Kind> {
    ALL.into_iter()
        .find(|kind| kind.program() == name)
        .ok_or_else(|| {
            Failure::new(
                format!("The package manager `{name}` is not known"),
                format!("packageManager in package.json names {name:?}."),
                "Name npm, pnpm, yarn or bun with a version, as in \"pnpm@10.4.1\", commit and push again.",
            )
        })
}

// `1.22.22`, `1.x`, `^1.22`: every range whose first number is 1, or below 2.
fn is_classic(version: &str) -> bool {
    let digits: String = version
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits == "1" || digits == "0"
}

// Lockfile 9.0 is written by 9 and 10. 9 runs the install scripts of packages, which 10 does only for those
// that are approved; who approved some, or keeps settings where 9 does not look, has 10.
fn pnpm_line(lockfile: &str, app: &Path) -> &'static str {
    let version = yaml_value(lockfile, "lockfileVersion").unwrap_or_default();
    let line = match version.split('.').next() {
        Some("5") if version == "5.4" => "7",
        Some("5") => "6",
        Some("6") => "8",
        _ => "10",
    };
    if line != "10" {
        return line;
    }
    let workspace = files::read(app, "pnpm-workspace.yaml").ok().flatten();
    let package = files::read(app, "package.json")
        .ok()
        .flatten()
        .unwrap_or_default();
    let is_for_9 = workspace
        .as_deref()
        .is_none_or(|text| has_yaml_key(text, "packages"));
    let approves = |text: &str| text.contains("onlyBuiltDependencies") || text.contains("allowBuilds");
    if is_for_9 && !approves(&package) && !workspace.as_deref().is_some_and(approves) {
        "9"
    } else {
        "10"
    }
}

fn yarn_line(lockfile: Option<&str>, has_yarnrc: bool) -> &'static str {
    let Some(text) = lockfile else {
        return if has_yarnrc { "4" } else { "1.22" };
    };
    if !text.contains("__metadata:") {
        // A lockfile not yet migrated, with settings for the new Yarn.
        return if has_yarnrc && !text.contains("# yarn lockfile v1") {
            "4"
        } else {
            "1.22"
        };
    }
    let format = text
        .lines()
        .skip_while(|line| !line.starts_with("__metadata:"))
        .find_map(|line| line.trim().strip_prefix("version:")?.trim().parse::<u64>().ok());
    match format {
        Some(0..=4) => "2",
        Some(5..=7) => "3",
        _ => "4",
    }
}

/// The value of a top-level `key:` in YAML, which is all we need of YAML.
pub(crate) fn yaml_value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line
            .strip_prefix(key)?
            .strip_prefix(':')?
            .split(" #")
            .next()?
            .trim();
        let value = value.trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_owned())
    })
}

fn has_yaml_key(text: &str, key: &str) -> bool {
    text.lines()
        .any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)]) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let package_json = PackageJson::of(dir.path())?.unwrap_or_default();
        let manager = choose(dir.path(), &package_json)?;
        let Manager {
            kind,
            version,
            line,
            from,
            lockfile,
            vendored,
        } = manager;
        let version = version.or(line.map(str::to_owned)).unwrap_or_default();
        let lockfile = lockfile.unwrap_or("-");
        let vendored = vendored.map(|path| format!(" at {path}")).unwrap_or_default();
        Ok(format!("{kind:?} {version} by {from}, {lockfile}{vendored}"))
    }

    const BERRY: &str = "# generated\n__metadata:\n  version: 8\n  cacheKey: 10c0\n";

    #[test]
    fn the_field_decides_then_the_lockfile() {
        for (tree, expected) in [
            (
                vec![("package-lock.json", "{}")],
                "Npm  by package-lock.json, package-lock.json",
            ),
            (vec![], "Npm  by the default, -"),
            (
                vec![
                    ("package.json", r#"{"packageManager":"pnpm@9.1.0+sha1.x"}"#),
                    ("pnpm-lock.yaml", ""),
                ],
                "Pnpm 9.1.0 by packageManager in package.json, pnpm-lock.yaml",
            ),
            (
                vec![
                    ("package.json", r#"{"packageManager":"yarn@1.22.22"}"#),
                    ("yarn.lock", ""),
                ],
                "YarnClassic 1.22.22 by packageManager in package.json, yarn.lock",
            ),
            (
                vec![("package.json", r#"{"engines":{"npm":"9.x"}}"#)],
                "Npm 9.x by engines.npm in package.json, -",
            ),
            (
                vec![("yarn.lock", "# yarn lockfile v1\n")],
                "YarnClassic 1.22 by the format of yarn.lock, yarn.lock",
            ),
            (
                vec![("yarn.lock", BERRY)],
                "Yarn 4 by the format of yarn.lock, yarn.lock",
            ),
            (
                vec![
                    ("yarn.lock", BERRY),
                    (".yarnrc.yml", "yarnPath: .yarn/releases/yarn-4.1.0.cjs\n"),
                ],
                "Yarn 4 by the format of yarn.lock, yarn.lock at .yarn/releases/yarn-4.1.0.cjs",
            ),
            (vec![("bun.lock", "{}")], "Bun  by bun.lock, bun.lock"),
            (
                vec![("package.json", r#"{"scripts":{"start":"bun app.js"}}"#)],
                "Bun  by the script `start` runs it, -",
            ),
            (
                vec![(
                    "package.json",
                    r#"{"scripts":{"dev":"bun run --hot src/index.ts"}}"#,
                )],
                "Bun  by the script `dev` runs it, and nothing else is to start, -",
            ),
            (
                vec![("package.json", r#"{"engines":{"bun":">=1.0.0"}}"#)],
                "Bun >=1.0.0 by engines.bun in package.json, -",
            ),
            (
                vec![
                    ("package.json", r#"{"scripts":{"start":"bun app.js"}}"#),
                    ("package-lock.json", "{}"),
                ],
                "Npm  by package-lock.json, package-lock.json",
            ),
            (
                vec![("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")],
                "Pnpm 8 by the format of pnpm-lock.yaml, pnpm-lock.yaml",
            ),
            (
                vec![("pnpm-lock.yaml", "lockfileVersion: '9.0'\n")],
                "Pnpm 9 by the format of pnpm-lock.yaml, pnpm-lock.yaml",
            ),
            (
                vec![
                    ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
                    ("pnpm-workspace.yaml", "onlyBuiltDependencies:\n  - a\n"),
                ],
                "Pnpm 10 by the format of pnpm-lock.yaml, pnpm-lock.yaml",
            ),
            (
                vec![("package-lock.json", "{}"), ("yarn.lock", "# yarn lockfile v1\n")],
                "YarnClassic 1.22 by the format of yarn.lock, yarn.lock",
            ),
        ] {
            assert_eq!(of(&tree).unwrap(), expected, "{tree:?}");
        }
    }

    #[test]
    fn an_unknown_manager_is_told() {
        let failure = of(&[("package.json", r#"{"packageManager":"cnpm@9.0.0"}"#)]).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r#"
        The package manager `cnpm` is not known

        packageManager in package.json names "cnpm".

        Name npm, pnpm, yarn or bun with a version, as in "pnpm@10.4.1", commit and push again.
        "#);
    }

    #[test]
    fn a_yaml_value_is_read_without_quotes_and_comments() {
        let text = "a: 'x' # c\nb:\n  a: 2\nnodeLinker: node-modules\n";
        assert_eq!(yaml_value(text, "a").unwrap(), "x");
        assert_eq!(yaml_value(text, "b"), None);
        assert_eq!(yaml_value(text, "nodeLinker").unwrap(), "node-modules");
    }
}

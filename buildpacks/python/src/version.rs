//! Which Python an app asks for: what is pinned in a version file, else what its packages allow. Pure.

use buildpack_support::{
    Result, files,
    version::{Requirement, Wanted, unreadable},
};
use serde_json::Value as Json;
use std::path::Path;
use toml::{Table, Value};

/// What is asked for, as written, and where.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) text: String,
    pub(crate) from: &'static str,
    pub(crate) requirement: Requirement,
}

/// The app's wish, if it has one.
pub(crate) fn wish(app_dir: &Path) -> Result<Option<Wish>> {
    let read = |name: &str| files::read(app_dir, name);
    if let Some(text) = read("runtime.txt")?.as_deref().and_then(first_line) {
        return pin(&text, "runtime.txt").map(Some);
    }
    if let Some(text) = read(".python-version")?.as_deref().and_then(first_line) {
        return pin(&text, ".python-version").map(Some);
    }
    if let Some(text) = read(".tool-versions")?.as_deref().and_then(tool_version) {
        return pin(&text, ".tool-versions").map(Some);
    }
    if let Some(text) = read("Pipfile.lock")?.as_deref().and_then(pipfile_lock) {
        return pin(&text, "Pipfile.lock").map(Some);
    }
    if let Some(text) = read("Pipfile")?.as_deref().and_then(pipfile) {
        return pin(&text, "Pipfile").map(Some);
    }
    allowed(app_dir)
}

/// What the app's packages allow: `requires-python`, or Poetry's word for it.
fn allowed(app_dir: &Path) -> Result<Option<Wish>> {
    let Some(project) = files::read(app_dir, "pyproject.toml")?.and_then(|text| text.parse::<Table>().ok())
    else {
        return Ok(None);
    };
    let field = |path: &[&str]| {
        let first = project.get(path[0])?;
        let value = path[1..].iter().try_fold(first, |value, part| value.get(part))?;
        match value {
            Value::String(text) => Some(text.clone()),
            other => other.get("version")?.as_str().map(str::to_owned),
        }
    };
    if let Some(text) = field(&["project", "requires-python"]) {
        return specifier(&text, "requires-python in pyproject.toml").map(Some);
    }
    if let Some(text) = field(&["tool", "poetry", "dependencies", "python"]) {
        return specifier(&text, "tool.poetry.dependencies.python in pyproject.toml").map(Some);
    }
    Ok(None)
}

/// Whether the app's packages allow this version.
pub(crate) fn is_allowed(app_dir: &Path, version: &str) -> Result<bool> {
    Ok(allowed(app_dir)?.is_none_or(|wish| wish.requirement.matches(version)))
}

// `3.12`, `3.12.4`, `python-3.12.4`, `cpython@3.12`.
fn pin(text: &str, from: &'static str) -> Result<Wish> {
    let bare = text.trim();
    let bare = ["cpython", "python"].iter().fold(bare, |bare, name| {
        bare.strip_prefix(name)
            .map_or(bare, |rest| rest.trim_start_matches(['-', '@']))
    });
    let bare = bare.trim_end_matches(".x").trim_end_matches(".*");
    // Version managers know these words: the newest there is, and that is the one at hand.
    if matches!(bare, "latest" | "stable") {
        return Ok(Wish {
            text: bare.to_owned(),
            from,
            requirement: Requirement::Prefix("3".to_owned()),
        });
    }
    let requirement = Requirement::prefix(bare).or_else(|| Requirement::pep440(bare));
    match requirement {
        Some(requirement) if !bare.is_empty() => Ok(Wish {
            text: bare.to_owned(),
            from,
            requirement,
        }),
        _ => Err(refused(text, from)),
    }
}

fn specifier(text: &str, from: &'static str) -> Result<Wish> {
    match Requirement::pep440(&plain(text)) {
        Some(requirement) => Ok(Wish {
            text: text.to_owned(),
            from,
            requirement,
        }),
        None => Err(refused(text, from)),
    }
}

fn refused(text: &str, from: &str) -> buildpack_support::Failure {
    let wanted = Wanted {
        name: "Python",
        text,
        from,
    };
    unreadable(
        wanted,
        "`3.13` in .python-version, or `requires-python = \">=3.11\"` in pyproject.toml",
    )
}

/// Poetry's own forms as PEP 440: `^3.9` is `>=3.9,<4`, `~3.9` is `>=3.9,<3.10`, `3.9.*` is `==3.9.*`; of
/// alternatives (`||`) the last, which is the newest as people write them.
fn plain(text: &str) -> String {
    let last = text.rsplit("||").next().unwrap_or(text);
    let parts = last
        .split([',', ' '])
        .map(str::trim)
        .filter(|part| !part.is_empty());
    // An operator may stand apart from its version.
    let mut joined: Vec<String> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(before) if before.chars().all(|c| "<>=!~^".contains(c)) => before.push_str(part),
            _ => joined.push(part.to_owned()),
        }
    }
    let one = |part: &String| -> String {
        if let Some(version) = part.strip_prefix('^') {
            let major: u64 = version
                .split('.')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(3);
            format!(">={version},<{}", major + 1)
        } else if let Some(version) = part.strip_prefix('~').filter(|version| !version.starts_with('=')) {
            let mut numbers = version.split('.').map(|word| word.parse::<u64>().unwrap_or(0));
            let (major, minor) = (numbers.next().unwrap_or(3), numbers.next());
            match minor {
                Some(minor) => format!(">={version},<{major}.{}", minor + 1),
                None => format!(">={version},<{}", major + 1),
            }
        } else if part == "*" {
            ">=3".to_owned()
        } else if part.starts_with(|c: char| c.is_ascii_digit()) {
            format!("=={part}")
        } else {
            part.clone()
        }
    };
    joined.iter().map(one).collect::<Vec<_>>().join(",")
}

fn first_line(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

fn tool_version(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("python")).then(|| words.next().map(str::to_owned))?
    })
}

fn pipfile_lock(text: &str) -> Option<String> {
    let lock: Json = serde_json::from_str(text).ok()?;
    let requires = &lock["_meta"]["requires"];
    let version = requires["python_full_version"]
        .as_str()
        .or(requires["python_version"].as_str())?;
    (version != "*").then(|| version.to_owned())
}

fn pipfile(text: &str) -> Option<String> {
    let table: Table = text.parse().ok()?;
    let requires = table.get("requires")?;
    let field = |name: &str| requires.get(name).and_then(Value::as_str);
    let version = field("python_full_version").or_else(|| field("python_version"))?;
    (version != "*").then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish_of(files: &[(&str, &str)]) -> Result<Option<(String, &'static str)>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            files::write(&dir.path().join(name), text).unwrap();
        }
        Ok(wish(dir.path())?.map(|wish| (wish.text, wish.from)))
    }

    #[test]
    fn version_files_come_before_what_packages_allow() {
        for (files, expected) in [
            (
                vec![("runtime.txt", "python-3.12.4\n")],
                ("3.12.4", "runtime.txt"),
            ),
            (
                vec![
                    (".python-version", "# pinned\n3.13\n"),
                    ("pyproject.toml", "[project]\nrequires-python='>=3.9'"),
                ],
                ("3.13", ".python-version"),
            ),
            (
                vec![(".tool-versions", "nodejs 20\npython 3.11.2\n")],
                ("3.11.2", ".tool-versions"),
            ),
            (
                vec![(
                    "Pipfile.lock",
                    r#"{"_meta":{"requires":{"python_version":"3.10"}}}"#,
                )],
                ("3.10", "Pipfile.lock"),
            ),
            (
                vec![("Pipfile", "[requires]\npython_full_version = '3.10.2'\n")],
                ("3.10.2", "Pipfile"),
            ),
            (
                vec![("pyproject.toml", "[project]\nrequires-python='>=3.9'")],
                (">=3.9", "requires-python in pyproject.toml"),
            ),
            (
                vec![("pyproject.toml", "[tool.poetry.dependencies]\npython = '^3.9'")],
                ("^3.9", "tool.poetry.dependencies.python in pyproject.toml"),
            ),
            (
                vec![(".python-version", "cpython@3.12\n")],
                ("3.12", ".python-version"),
            ),
            (
                vec![(".python-version", "latest\n")],
                ("latest", ".python-version"),
            ),
        ] {
            let (text, from) = wish_of(&files).unwrap().unwrap();
            assert_eq!((text.as_str(), from), expected);
        }
        assert_eq!(wish_of(&[("pyproject.toml", "[tool.black]")]).unwrap(), None);
        assert_eq!(
            wish_of(&[("Pipfile", "[requires]\npython_version = '*'\n")]).unwrap(),
            None
        );
    }

    #[test]
    fn poetrys_forms_are_those_of_pep_440() {
        for (text, expected) in [
            ("^3.9", ">=3.9,<4"),
            ("~3.9", ">=3.9,<3.10"),
            ("~3", ">=3,<4"),
            ("~=3.9", "~=3.9"),
            (">=3.9,<3.13", ">=3.9,<3.13"),
            (">= 3.9 < 3.13", ">=3.9,<3.13"),
            ("3.9.*", "==3.9.*"),
            ("*", ">=3"),
            ("~3.9 || ^3.11", ">=3.11,<4"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
            assert!(Requirement::pep440(&plain(text)).is_some(), "{text}");
        }
    }

    #[test]
    fn a_word_asks_for_any_python_3() {
        let wish = pin("latest", ".python-version").unwrap();
        assert!(wish.requirement.matches("3.13.5") && !wish.requirement.matches("2.7.18"));
    }

    #[test]
    fn what_packages_allow_is_not_what_is_pinned() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join(".python-version"), "3.12").unwrap();
        assert!(is_allowed(dir.path(), "3.13.5").unwrap());
        files::write(
            &dir.path().join("pyproject.toml"),
            "[project]\nrequires-python = '>=3.9,<3.13'",
        )
        .unwrap();
        assert!(!is_allowed(dir.path(), "3.13.5").unwrap() && is_allowed(dir.path(), "3.12.1").unwrap());
    }

    #[test]
    fn what_is_no_version_is_told() {
        insta::assert_snapshot!(wish_of(&[("runtime.txt", "pypy-7.3\n")]).unwrap_err().text(), @r#"
        Can't read the version of Python that is asked for

        runtime.txt is "pypy-7.3".

        Write a version as in `3.13` in .python-version, or `requires-python = ">=3.11"` in pyproject.toml, commit and push again.
        "#);
        assert!(wish_of(&[(".python-version", "my-virtualenv\n")]).is_err());
    }
}

//! Which package manager an app uses: by its lockfile, else by the file that names its packages.
//!
//! A lockfile counts more than a list, because it says more exactly what was tested. Of several the first is
//! taken, and said so: the others may be out of date without anybody having noticed.

use buildpack_support::{Failure, Result, files, output};
use std::path::Path;

/// A package manager with its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// `uv.lock`.
    Uv,
    /// `poetry.lock`, or none yet.
    Poetry { is_locked: bool },
    /// `Pipfile.lock`, or only a Pipfile.
    Pipenv { is_locked: bool },
    /// `requirements.txt`.
    Pip,
    /// `pylock.toml`.
    Pylock,
    /// `[project]` of pyproject.toml, without a lock that can be read.
    Project,
    /// `setup.py` alone.
    Setup,
    /// Nothing to install.
    Nothing,
}

impl Manager {
    /// The file that counts.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Uv => "uv.lock",
            Self::Poetry { is_locked: true } => "poetry.lock",
            Self::Pipenv { is_locked: true } => "Pipfile.lock",
            Self::Pipenv { is_locked: false } => "Pipfile",
            Self::Pip => "requirements.txt",
            Self::Pylock => "pylock.toml",
            Self::Poetry { is_locked: false } | Self::Project => "pyproject.toml",
            Self::Setup => "setup.py",
            Self::Nothing => "no file",
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Poetry { .. } => "Poetry",
            Self::Pipenv { .. } => "Pipenv",
            Self::Pip | Self::Pylock | Self::Project | Self::Setup => "pip",
            Self::Nothing => "nothing",
        }
    }
}

/// The app's package manager. Warns of what a person should know about the choice.
pub(crate) fn find(app_dir: &Path) -> Result<Manager> {
    let project = match files::read(app_dir, "pyproject.toml")? {
        Some(text) => Some(parse(&text)?),
        None => None,
    };
    let found = all(app_dir, project.as_ref());
    let Some((&first, rest)) = found.split_first() else {
        return Ok(Manager::Nothing);
    };
    let is_lock_or_list = |manager: &&Manager| !matches!(manager, Manager::Project | Manager::Setup);
    let others: Vec<&str> = rest
        .iter()
        .filter(is_lock_or_list)
        .map(|manager| manager.file())
        .collect();
    if !others.is_empty() {
        output::warning(format!(
            "Several files name the app's packages: {} is used, {} is not.\nRemove what is out of use.",
            first.file(),
            others.join(", ")
        ));
    }
    match first {
        Manager::Poetry { is_locked: false } => output::warning(
            "There is no poetry.lock: today's newest versions are installed, other ones tomorrow.\n\
             Run `poetry lock` and commit poetry.lock.",
        ),
        Manager::Pipenv { is_locked: false } => output::warning(
            "There is no Pipfile.lock: today's newest versions are installed, other ones tomorrow.\n\
             Run `pipenv lock` and commit Pipfile.lock.",
        ),
        Manager::Project if files::exists(app_dir, "pdm.lock") => output::warning(
            "pdm.lock is not read: the packages of pyproject.toml are installed in their newest versions.\n\
             `pdm export -o requirements.txt --prod` makes a file that is.",
        ),
        _ => {}
    }
    Ok(first)
}

fn all(app_dir: &Path, project: Option<&toml::Table>) -> Vec<Manager> {
    let has = |name: &str| files::exists(app_dir, name);
    let tool = |name: &str| {
        project
            .and_then(|project| project.get("tool")?.get(name))
            .is_some()
    };
    let is_project = project.is_some_and(|project| project.contains_key("project"));
    let candidates = [
        (has("uv.lock") && project.is_some(), Manager::Uv),
        (
            has("poetry.lock") && project.is_some(),
            Manager::Poetry { is_locked: true },
        ),
        (has("Pipfile.lock"), Manager::Pipenv { is_locked: true }),
        (has("requirements.txt"), Manager::Pip),
        (
            has("Pipfile") && !has("Pipfile.lock"),
            Manager::Pipenv { is_locked: false },
        ),
        (has("pylock.toml"), Manager::Pylock),
        (
            tool("poetry") && !is_project && !has("poetry.lock") && !has("requirements.txt"),
            Manager::Poetry { is_locked: false },
        ),
        (is_project, Manager::Project),
        (has("setup.py"), Manager::Setup),
    ];
    candidates
        .into_iter()
        .filter_map(|(is_there, manager)| is_there.then_some(manager))
        .collect()
}

/// Reads pyproject.toml.
pub(crate) fn parse(text: &str) -> Result<toml::Table> {
    text.parse().map_err(|error: toml::de::Error| {
        Failure::new(
            "pyproject.toml can't be read",
            error.to_string(),
            "Correct it, commit and push again. (`uvx validate-pyproject pyproject.toml` checks it where you work.)",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str], project: &str) -> Vec<Manager> {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            files::write(&dir.path().join(name), "").unwrap();
        }
        all(dir.path(), Some(&parse(project).unwrap()))
    }

    #[test]
    fn locks_come_before_lists() {
        assert_eq!(
            found(
                &["uv.lock", "requirements.txt", "setup.py"],
                "[project]\nname='a'"
            ),
            [Manager::Uv, Manager::Pip, Manager::Project, Manager::Setup]
        );
        assert_eq!(
            found(&["Pipfile", "Pipfile.lock"], ""),
            [Manager::Pipenv { is_locked: true }]
        );
        assert_eq!(found(&["Pipfile"], ""), [Manager::Pipenv { is_locked: false }]);
        assert_eq!(
            found(&[], "[tool.poetry]\nname='a'"),
            [Manager::Poetry { is_locked: false }]
        );
        assert_eq!(
            found(&[], "[tool.poetry]\nname='a'\n[project]\nname='a'"),
            [Manager::Project]
        );
        assert_eq!(found(&["requirements.txt"], "[tool.black]"), [Manager::Pip]);
        assert!(found(&[], "[tool.black]").is_empty());
    }

    #[test]
    fn a_pyproject_that_is_no_toml_is_told() {
        insta::assert_snapshot!(parse("[project\n").unwrap_err().text(), @r"
        pyproject.toml can't be read

        TOML parse error at line 1, column 9
          |
        1 | [project
          |         ^
        unclosed table, expected `]`

        Correct it, commit and push again. (`uvx validate-pyproject pyproject.toml` checks it where you work.)
        ");
    }
}

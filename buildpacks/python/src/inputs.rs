//! What an app's packages are made from, as a digest: while it stays, the environment is kept without a look at
//! any index.
//!
//! An app that is itself a package is installed in place, so that a change of its code changes no layer. One
//! with code in C can't be: it counts with all its files.

use crate::{manager::Manager, requirements};
use buildpack_support::{Result, files, fingerprint::Fingerprint};
use std::{fs, path::Path};
use toml::{Table, Value};

// Folders that hold no source of the app.
const SKIPPED: [&str; 8] = [
    ".git",
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    "env",
    "dist",
    "build",
];
// Files that say what a folder's package is.
const DESCRIPTIONS: [&str; 4] = ["pyproject.toml", "setup.py", "setup.cfg", "uv.toml"];
const DEPTH: usize = 4;

/// How the app itself is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Itself {
    /// It is no package.
    No,
    /// By reference to its folder.
    InPlace,
    /// As a copy, because it is compiled.
    Copied,
}

/// What packages are made from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inputs {
    /// The digest of all.
    pub(crate) digest: String,
    /// Folders of the app are copied into the environment: what uv built from them before counts nothing.
    pub(crate) has_copies: bool,
}

/// The inputs for a manager.
pub(crate) fn read(app_dir: &Path, manager: Manager) -> Result<Inputs> {
    let mut fingerprint = Fingerprint::new();
    let mut copied = Vec::new();
    let mut describes_itself = true;
    match manager {
        Manager::Pip => {
            let named = requirements::follow(app_dir, manager.file())?;
            for name in &named.files {
                fingerprint.file(app_dir, name)?;
            }
            describes_itself = !named.editable.is_empty();
            copied = named.copied;
        }
        Manager::Uv | Manager::Poetry { .. } => {
            fingerprint.file(app_dir, manager.file())?;
            let lock = files::read(app_dir, manager.file())?.unwrap_or_default();
            copied = folders(&lock);
        }
        Manager::Pipenv { .. } => {
            for name in ["Pipfile.lock", "Pipfile"] {
                fingerprint.file(app_dir, name)?;
            }
        }
        Manager::Pylock | Manager::Project | Manager::Setup => fingerprint.file(app_dir, manager.file())?,
        Manager::Nothing => describes_itself = false,
    }
    if describes_itself {
        describe(&mut fingerprint, app_dir, "", 0)?;
        if itself(app_dir)? == Itself::Copied {
            copied.push(String::new());
        }
    }
    let has_copies = !copied.is_empty();
    for name in copied {
        let path = app_dir.join(&name);
        if path.is_dir() {
            fingerprint.text("copied", &name);
            fingerprint.tree(&path, &is_skipped)?;
        } else {
            fingerprint.file(app_dir, &name)?;
        }
    }
    Ok(Inputs {
        digest: fingerprint.finish(),
        has_copies,
    })
}

/// How the app itself is installed.
pub(crate) fn itself(app_dir: &Path) -> Result<Itself> {
    let project = files::read(app_dir, "pyproject.toml")?.and_then(|text| text.parse::<Table>().ok());
    let setup = files::read(app_dir, "setup.py")?;
    Ok(judge(project.as_ref(), setup.as_deref()))
}

fn judge(project: Option<&Table>, setup: Option<&str>) -> Itself {
    let build = project.and_then(|project| project.get("build-system"));
    let poetry_says_no = project
        .and_then(|project| project.get("tool")?.get("poetry")?.get("package-mode")?.as_bool())
        == Some(false);
    if poetry_says_no || build.is_none() && setup.is_none() {
        return Itself::No;
    }
    let backend = build
        .and_then(|build| build.get("build-backend")?.as_str())
        .unwrap_or_default();
    let compiles = ["maturin", "scikit_build", "mesonpy", "setuptools_rust"]
        .iter()
        .any(|name| backend.contains(name));
    let has_extension = setup.is_some_and(|text| {
        ["ext_modules", "cythonize", "rust_extensions"]
            .iter()
            .any(|word| text.contains(word))
    });
    if compiles || has_extension {
        Itself::Copied
    } else {
        Itself::InPlace
    }
}

fn describe(fingerprint: &mut Fingerprint, app_dir: &Path, folder: &str, depth: usize) -> Result<()> {
    let path = app_dir.join(folder);
    for name in DESCRIPTIONS {
        if files::exists(&path, name) {
            fingerprint.file(app_dir, Path::new(folder).join(name).to_string_lossy().as_ref())?;
        }
    }
    if depth == DEPTH {
        return Ok(());
    }
    let mut names: Vec<String> = fs::read_dir(&path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.') && !is_skipped(name))
        .collect();
    names.sort();
    for name in names {
        describe(
            fingerprint,
            app_dir,
            &Path::new(folder).join(name).to_string_lossy(),
            depth + 1,
        )?;
    }
    Ok(())
}

fn is_skipped(name: &str) -> bool {
    SKIPPED.contains(&name)
}

// Folders in a lock of uv (`source = { directory = "x" }`) or Poetry (`type = "directory"`, `url = "x"`).
fn folders(lock: &str) -> Vec<String> {
    let lock: Table = lock.parse().unwrap_or_default();
    let source = |package: &Value| {
        let source = package.get("source")?;
        let text = |key: &str| source.get(key).and_then(Value::as_str);
        let of_poetry = (text("type") == Some("directory")).then(|| text("url")).flatten();
        text("directory").or(of_poetry).map(str::to_owned)
    };
    lock.get("package")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(source)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_with_code_in_c_is_copied() {
        let table = |text: &str| text.parse::<Table>().unwrap();
        let hatch = table("[build-system]\nbuild-backend = 'hatchling.build'");
        let maturin = table("[build-system]\nbuild-backend = 'maturin'");
        let mode = table("[build-system]\n[tool.poetry]\npackage-mode = false");
        assert_eq!(judge(None, None), Itself::No);
        assert_eq!(judge(Some(&table("[project]\nname='a'")), None), Itself::No);
        assert_eq!(judge(Some(&mode), None), Itself::No);
        assert_eq!(judge(Some(&hatch), None), Itself::InPlace);
        assert_eq!(judge(Some(&maturin), None), Itself::Copied);
        assert_eq!(judge(None, Some("setup(ext_modules=[])")), Itself::Copied);
        assert_eq!(judge(None, Some("setup()")), Itself::InPlace);
    }

    #[test]
    fn code_counts_only_where_it_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| files::write(&dir.path().join(name), text).unwrap();
        let digest = || read(dir.path(), Manager::Pip).unwrap();
        write("requirements.txt", "-e ./a\n./b\n");
        write("a/pyproject.toml", "");
        write("b/b.py", "1");
        let first = digest();
        write("a/a.py", "1");
        write("c.py", "1");
        assert_eq!(digest(), first);
        write("b/b.py", "2");
        let second = digest();
        assert_ne!(second, first);
        write("a/pyproject.toml", "[project]");
        assert_ne!(digest(), second);
    }

    #[test]
    fn folders_of_locks_are_found() {
        assert_eq!(
            folders("[[package]]\nname='a'\nsource = { directory = 'libs/a' }\n"),
            ["libs/a"]
        );
        assert_eq!(
            folders("[[package]]\nname='a'\n[package.source]\ntype='directory'\nurl='libs/a'\n"),
            ["libs/a"]
        );
        assert!(folders("[[package]]\nname='a'\nsource = { registry = 'x' }\n").is_empty());
    }
}

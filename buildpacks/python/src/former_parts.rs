//! `pkg_resources`, which older packages import: it was there in every environment once, then a part of setuptools
//! only, whose newest versions have it no more.
//!
//! A package says "any setuptools", gets the newest, and does not start. So what is installed is searched for
//! imports that come with the package itself: at a line's beginning, not deeper than a module of the package.

use buildpack_support::{Failure, Result, files};
use libcnb::Env;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What brings it back.
pub(crate) const SETUPTOOLS: &str = "setuptools<81";

/// A module that imports `pkg_resources`, where that is not there.
pub(crate) fn importer(venv: &Path) -> Option<String> {
    let site = folders(&venv.join("lib"))
        .into_iter()
        .map(|python| python.join("site-packages"))
        .find(|site| site.is_dir())?;
    if site.join("pkg_resources").is_dir() {
        return None;
    }
    let packages = folders(&site);
    let modules = packages
        .iter()
        .filter(|package| !name(package).starts_with("setuptools") && name(package) != "pip")
        .chain([&site])
        .flat_map(|folder| entries(folder));
    modules
        .filter(|path| path.extension().is_some_and(|end| end == "py"))
        .find(|path| imports(path))
        .and_then(|path| Some(path.strip_prefix(&site).ok()?.display().to_string()))
}

/// Whether a package's build failed for want of it.
pub(crate) fn is_missing_in_a_build(failure: &Failure) -> bool {
    failure.why().contains("No module named 'pkg_resources'")
}

/// `env` for builds of packages with a setuptools that has it; `folder` is to live as long.
pub(crate) fn in_builds(env: &Env, folder: &Path) -> Result<Env> {
    let file = folder.join("build-constraints.txt");
    files::write(&file, format!("{SETUPTOOLS}\n"))?;
    let mut env = env.clone();
    env.insert("UV_BUILD_CONSTRAINT", file);
    Ok(env)
}

fn imports(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| {
        text.split(|byte| *byte == b'\n')
            .any(|line| line.starts_with(b"import pkg_resources") || line.starts_with(b"from pkg_resources "))
    })
}

fn name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            let path = dir.path().join("lib/python3.13/site-packages").join(name);
            files::write(&path, text).unwrap();
        }
        importer(dir.path())
    }

    #[test]
    fn an_import_that_can_not_work_is_found() {
        let gunicorn = ("gunicorn/util.py", "import os\nimport pkg_resources\n");
        assert_eq!(found(&[gunicorn]).as_deref(), Some("gunicorn/util.py"));
        assert_eq!(
            found(&[("one.py", "from pkg_resources import get_distribution\n")]).as_deref(),
            Some("one.py")
        );
        for fine in [
            vec![gunicorn, ("pkg_resources/__init__.py", "")],
            vec![(
                "a/__init__.py",
                "try:\n    import pkg_resources\nexcept ImportError: pass\n",
            )],
            vec![("a/contrib/b.py", "import pkg_resources\n")],
            vec![("setuptools/x.py", "import pkg_resources\n")],
            vec![],
        ] {
            assert_eq!(found(&fine), None, "{fine:?}");
        }
    }
}

//! Debian packages that the build image has, copied into a layer for an image that lacks them.
//!
//! No network and no index: what the build was tested with is what runs. The run image's own packages are never
//! copied (its libc is the one to use); what is needed beside them follows the packages' dependencies.

use super::deb::{BUILD_STATUS, RUN_STATUS, relocate};
use crate::{Failure, Result};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub(super) const INFO: &str = "/var/lib/dpkg/info";
// What no program reads.
const UNUSED: [&str; 8] = [
    "/usr/share/doc/",
    "/usr/share/man/",
    "/usr/share/info/",
    "/usr/share/lintian/",
    "/usr/share/locale/",
    "/usr/share/bug/",
    "/usr/share/applications/",
    "/usr/share/pixmaps/",
];

/// A package of the build image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `libexpat1`.
    pub name: String,
    /// `2.7.1-2`.
    pub version: String,
    arch: String,
    needs: Vec<Vec<String>>,
    provides: Vec<String>,
}

/// Those of `packages`, and of what they need, that the run image lacks; by name. A name that the build image
/// does not have is left out. Without a list of the run image's packages it is taken to have all but `packages`.
pub fn missing_at_launch(packages: &[String]) -> Result<Vec<Package>> {
    let read =
        |path: &str| fs::read_to_string(path).map_err(|error| Failure::io("read", Path::new(path), &error));
    let build = parse(&read(BUILD_STATUS)?);
    let run = if Path::new(RUN_STATUS).is_file() {
        parse(&read(RUN_STATUS)?)
    } else {
        let mut run = build.clone();
        run.retain(|package| !packages.contains(&package.name));
        run
    };
    Ok(closure(packages, &build, &run))
}

/// Copies their files below `into`, at the paths that they have in the image, but for those that `skip` names.
pub fn copy(packages: &[Package], into: &Path, skip: &dyn Fn(&str) -> bool) -> Result<()> {
    for package in packages {
        let list = [
            format!("{INFO}/{}:{}.list", package.name, package.arch),
            format!("{INFO}/{}.list", package.name),
        ]
        .into_iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
        for path in list.lines() {
            let is_unused = UNUSED.iter().any(|folder| path.starts_with(folder));
            if !is_unused && !skip(path) {
                copy_one(Path::new(path), into)
                    .map_err(|error| Failure::io("copy", Path::new(path), &error))?;
            }
        }
    }
    relocate(into).map_err(|error| Failure::io("correct the links in", into, &error))
}

fn copy_one(from: &Path, into: &Path) -> io::Result<()> {
    let to: PathBuf = into.join(from.strip_prefix("/").unwrap_or(from));
    let metadata = match fs::symlink_metadata(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if metadata.is_dir() || fs::symlink_metadata(&to).is_ok() {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, &to)
    } else {
        fs::copy(from, &to).map(drop)
    }
}

fn closure(asked: &[String], build: &[Package], run: &[Package]) -> Vec<Package> {
    let mut by_name: BTreeMap<&str, &Package> = BTreeMap::new();
    for package in build {
        for name in &package.provides {
            by_name.entry(name).or_insert(package);
        }
    }
    for package in build {
        by_name.insert(&package.name, package);
    }
    let at_launch: BTreeSet<&str> = run
        .iter()
        .flat_map(|package| std::iter::once(&package.name).chain(&package.provides))
        .map(String::as_str)
        .collect();
    let mut found: BTreeMap<&str, &Package> = BTreeMap::new();
    let mut queue: VecDeque<&str> = asked.iter().map(String::as_str).collect();
    while let Some(name) = queue.pop_front() {
        let Some(package) = by_name.get(name) else {
            continue;
        };
        if at_launch.contains(package.name.as_str()) || found.contains_key(package.name.as_str()) {
            continue;
        }
        found.insert(&package.name, package);
        for alternatives in &package.needs {
            let is_there = alternatives.iter().any(|name| at_launch.contains(name.as_str()));
            let installed = alternatives
                .iter()
                .find(|name| by_name.contains_key(name.as_str()));
            if let (false, Some(name)) = (is_there, installed) {
                queue.push_back(name);
            }
        }
    }
    found.into_values().cloned().collect()
}

// dpkg's status file: paragraphs of `Field: value`.
fn parse(text: &str) -> Vec<Package> {
    text.split("\n\n").filter_map(package).collect()
}

fn package(paragraph: &str) -> Option<Package> {
    let field = |name: &str| {
        paragraph.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key == name).then(|| value.trim())
        })
    };
    if !field("Status")?.ends_with(" installed") {
        return None;
    }
    let names = |text: &str| {
        let bare = |name: &str| {
            let end = name.find(|c: char| " (:[".contains(c)).unwrap_or(name.len());
            name[..end].to_owned()
        };
        text.split('|').map(|name| bare(name.trim())).collect::<Vec<_>>()
    };
    let list = |name: &str| {
        field(name)
            .unwrap_or_default()
            .split(',')
            .map(names)
            .collect::<Vec<_>>()
    };
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        arch: field("Architecture")?.to_owned(),
        needs: [list("Pre-Depends"), list("Depends")].concat(),
        provides: list("Provides")
            .concat()
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: &str = "\
Package: python3.13
Status: install ok installed
Architecture: amd64
Version: 3.13.5-2
Depends: libpython3.13-stdlib (= 3.13.5-2), media-types | mime-support, libc6 (>= 2.38)

Package: libpython3.13-stdlib
Status: install ok installed
Architecture: amd64
Version: 3.13.5-2
Depends: libffi8:any (>= 3.4), libsqlite3-0

Package: mime-types-plus
Status: install ok installed
Architecture: all
Version: 1
Provides: mime-support (= 2)

Package: libffi8
Status: install ok installed
Architecture: amd64
Version: 3.4.8-2

Package: libgone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41
";

    #[test]
    fn what_the_run_image_lacks_is_followed() {
        let build = parse(BUILD);
        assert_eq!(build.len(), 5);
        let run = parse("Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41\n");
        let names = |run: &[Package]| -> Vec<String> {
            let found = closure(&["python3.13".to_owned(), "nothing".to_owned()], &build, run);
            found.into_iter().map(|package| package.name).collect()
        };
        assert_eq!(
            names(&run),
            ["libffi8", "libpython3.13-stdlib", "mime-types-plus", "python3.13"]
        );
        assert!(names(&build).is_empty());
    }

    #[test]
    fn files_are_copied_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        copy_one(Path::new("/bin/sh"), dir.path()).unwrap();
        copy_one(Path::new("/no/such/file"), dir.path()).unwrap();
        copy_one(Path::new("/usr/bin"), dir.path()).unwrap();
        assert!(fs::symlink_metadata(dir.path().join("bin/sh")).is_ok());
        assert!(!dir.path().join("usr").exists());
    }
}

//! Shared libraries that programs compiled here are linked with: what the run image lacks of them goes along.
//!
//! A program compiled against a library of the build image starts only where that library is. Its file names what it
//! needs, the build image's packages tell whose that is, and those are copied as they are here: no network, no index,
//! and what the build was tested with is what runs. Libraries that a layer brings have no owner here, and are left to
//! it.

use super::{
    deb::{RUN_STATUS, layer_env},
    installed::{self, INFO},
    multiarch,
};
use crate::{Command, Failure, Result, layer};
use libcnb::{Buildpack, build::BuildContext, data::layer_name};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// The names of the libraries that `files` (programs, shared objects) need and are not themselves: `libpq.so.5`.
#[must_use]
pub fn needed(files: &[PathBuf]) -> BTreeSet<String> {
    let files: Vec<&PathBuf> = files.iter().filter(|path| is_elf(path)).collect();
    let mut names = BTreeSet::new();
    for some in files.chunks(200) {
        let text = Command::new("readelf")
            .arg("-d")
            .args(some)
            .output()
            .unwrap_or_default();
        names.extend(read(&text));
    }
    for own in files.iter().filter_map(|path| path.file_name()?.to_str()) {
        names.remove(own);
    }
    names
}

/// Makes the layer `libraries` of those that the run image lacks, if there are any; `present` are packages that
/// another layer has. Without a list of the run image's packages nobody knows what it lacks, and nothing is made.
pub fn provide<B>(context: &BuildContext<B>, names: &BTreeSet<String>, present: &[String]) -> Result<()>
where
    B: Buildpack<Error = Failure>,
{
    if names.is_empty() || !Path::new(RUN_STATUS).is_file() {
        return Ok(());
    }
    let mut packages = installed::missing_at_launch(&owners(names, Path::new(INFO))?)?;
    packages.retain(|package| !present.contains(&package.name));
    if packages.is_empty() {
        return Ok(());
    }
    let list: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let spec = layer::Spec {
        name: layer_name!("libraries"),
        title: &format!("Libraries that the run image lacks ({})", list.join(", ")),
        build: false,
        launch: true,
        key: packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.version))
            .collect::<Vec<_>>(),
    };
    layer::keyed(context, &spec, |path| {
        installed::copy(&packages, path, &|path| !path.contains("/lib/"))?;
        Ok(layer_env(path))
    })?;
    Ok(())
}

// The packages whose lists, in dpkg's folder `info`, have libraries of these names.
fn owners(names: &BTreeSet<String>, info: &Path) -> Result<Vec<String>> {
    let folders = ["/usr/lib", "/lib"].map(|folder| format!("{folder}/{}/", multiarch()));
    let is_wanted = |path: &str| {
        let name = folders
            .iter()
            .find_map(|folder| path.strip_prefix(folder.as_str()));
        name.is_some_and(|name| names.contains(name))
    };
    let mut owners = Vec::new();
    for entry in fs::read_dir(info)
        .map_err(|error| Failure::io("read", info, &error))?
        .flatten()
    {
        let file = entry.file_name();
        let file = file.to_string_lossy();
        let Some(package) = file.strip_suffix(".list") else {
            continue;
        };
        let list = fs::read_to_string(entry.path()).unwrap_or_default();
        if list.lines().any(is_wanted) {
            // `libpq5:amd64.list`.
            owners.push(package.split(':').next().unwrap_or(package).to_owned());
        }
    }
    Ok(owners)
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok()
        && magic == *b"\x7fELF"
}

// ` 0x0000000000000001 (NEEDED)  Shared library: [libpq.so.5]`.
fn read(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn what_a_file_needs_is_read() {
        let text = "File: a.so\n 0x0000000000000001 (NEEDED)             Shared library: [libpq.so.5]\n \
                    0x000000000000000e (SONAME)             Library soname: [liba.so]\n";
        assert_eq!(read(text).collect::<Vec<_>>(), ["libpq.so.5"]);
    }

    #[test]
    fn the_packages_of_linked_libraries_are_found() {
        let program = PathBuf::from("/usr/bin/apt-get");
        let names = needed(&[program, "/etc/passwd".into(), "/no/such/file".into()]);
        let apts: BTreeSet<String> = names
            .into_iter()
            .filter(|name| name.starts_with("libapt-pkg.so."))
            .collect();
        assert_eq!(apts.len(), 1, "{apts:?}");
        let owners = owners(&apts, Path::new(INFO)).unwrap();
        assert!(owners[0].starts_with("libapt-pkg"), "{owners:?}");
    }

    #[test]
    fn a_library_that_comes_along_is_not_needed() {
        let dir = tempfile::tempdir().unwrap();
        let apt = PathBuf::from("/usr/bin/apt-get");
        let name = needed(std::slice::from_ref(&apt))
            .into_iter()
            .find(|name| name.starts_with("libapt-pkg.so."))
            .unwrap();
        let own = dir.path().join(&name);
        fs::copy(&apt, &own).unwrap();
        assert!(!needed(&[apt, own]).contains(&name));
    }

    #[test]
    fn owners_are_by_the_lists_of_packages() {
        let dir = tempfile::tempdir().unwrap();
        let arch = multiarch();
        for (name, text) in [
            ("libpq5:amd64.list", format!("/.\n/usr/lib/{arch}/libpq.so.5\n")),
            ("libpq-dev.list", format!("/usr/lib/{arch}/libpq.so\n")),
            ("other.list", "/opt/libpq.so.5\n".to_owned()),
            ("libpq5:amd64.md5sums", format!("/usr/lib/{arch}/libpq.so.5\n")),
        ] {
            files::write(&dir.path().join(name), text).unwrap();
        }
        let names = BTreeSet::from(["libpq.so.5".to_owned()]);
        assert_eq!(owners(&names, dir.path()).unwrap(), ["libpq5"]);
    }
}

//! Folders of the server, and of the pushed source, copied for a build.

use super::MAX_BYTES;
use crate::{buildpacks::take_out::TakeOut, config::MIB};
use serde::Deserialize;
use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// A copy of a folder of the server that the build may read; links stay links.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut left = MAX_BYTES;
    if !from.is_dir() {
        let text = format!("{} is no folder of the server", from.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    copy_tree(from, to, &mut left)?;
    copy_parts(from, to, &mut left)
}

/// The buildpacks that a composite's `package.toml` names by paths, copied into its own folder: there they are found.
fn copy_parts(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Package {
        dependencies: Vec<Part>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Part {
        uri: String,
    }
    let text = fs::read_to_string(from.join("package.toml")).unwrap_or_default();
    let package: Package = toml::from_str(&text).unwrap_or_default();
    let parts = package.dependencies.iter().map(|part| from.join(&part.uri));
    // An address is none, and whatever is no buildpack's folder stays where it is.
    let parts = parts.filter(|part| part.join("buildpack.toml").is_file());
    for (number, part) in (1..).zip(parts) {
        copy_tree(&part, &to.join(format!("part-{number}")), left)?;
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                copy_tree(&entry.path(), &target, left)?;
            }
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            let metadata = entry.metadata()?;
            *left = left
                .checked_sub(metadata.len())
                .ok_or_else(|| io::Error::other(format!("it has more than {} MiB", MAX_BYTES / MIB)))?;
            fs::copy(entry.path(), &target)?;
            let mode = 0o644 | (metadata.permissions().mode() & 0o111);
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

/// A folder of the pushed source, as project.toml names it. Blocking.
pub(crate) fn from_source(source: &Path, path: &str, to: &Path) -> io::Result<()> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let mut out = TakeOut::new(to, MAX_BYTES)?;
    out.archive(File::open(source)?, Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_server_is_copied_and_its_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("bin")).unwrap();
        fs::write(from.join("bin/build"), "x").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let package = "[[dependencies]]\nuri = '../part'\n[[dependencies]]\nuri = 'docker://x'\n[[dependencies]]\nuri = '..'\n";
        fs::write(from.join("package.toml"), package).unwrap();
        fs::create_dir(dir.path().join("part")).unwrap();
        fs::write(dir.path().join("part/buildpack.toml"), "p").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), from.join("link")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("bin/build")).unwrap(), "x");
        assert!(fs::symlink_metadata(to.join("link")).unwrap().is_symlink());
        assert!(to.join("part-1/buildpack.toml").is_file() && !to.join("part-2").exists());
        assert!(
            copy(&dir.path().join("none"), &to)
                .unwrap_err()
                .to_string()
                .contains("is no folder")
        );
    }
}

//! Unpacks archives by `tar` and `unzip`, which every build image has: they know all compressions and keep modes.

use crate::{Command, Result, files};
use std::path::Path;

/// Unpacks a tar archive, compressed or not, into `into`, without the first `strip` parts of each path and
/// without what matches `exclude` (tar's patterns, on the path as it is in the archive).
pub fn untar(archive: &Path, into: &Path, strip: usize, exclude: &[&str]) -> Result<()> {
    files::make_dir(into)?;
    Command::new("tar")
        .args(["--extract", "--no-same-owner", "--no-same-permissions"])
        .arg(format!("--strip-components={strip}"))
        .args(exclude.iter().map(|pattern| format!("--exclude={pattern}")))
        .arg("--directory")
        .arg(into)
        .arg("--file")
        .arg(archive)
        .quiet()
        .run()
        .map_err(|error| error.failure_with_tail(what(archive), FIX))
}

/// Unpacks a zip archive (a Python wheel is one) into `into`.
pub fn unzip(archive: &Path, into: &Path) -> Result<()> {
    files::make_dir(into)?;
    Command::new("unzip")
        .args(["-q", "-o"])
        .arg(archive)
        .arg("-d")
        .arg(into)
        .quiet()
        .run()
        .map_err(|error| error.failure_with_tail(what(archive), FIX))
}

const FIX: &str = "Is the server's disk full, or a program of the build image missing? Push again, or tell the server's \
                   administrator.";

fn what(archive: &Path) -> String {
    format!("Can't unpack {}", archive.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_tar_is_unpacked_without_its_first_folder_and_the_excluded() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("package/bin/node"), "x").unwrap();
        files::write(&dir.path().join("package/CHANGELOG.md"), "x").unwrap();
        let archive = dir.path().join("a.tgz");
        Command::new("tar")
            .args(["-czf"])
            .arg(&archive)
            .arg("package")
            .dir(dir.path())
            .run()
            .unwrap();
        let into = dir.path().join("out");
        untar(&archive, &into, 1, &["*/CHANGELOG.md"]).unwrap();
        let names: Vec<_> = fs::read_dir(&into)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["bin"]);
        fs::write(&archive, "no archive").unwrap();
        assert!(
            untar(&archive, &into, 1, &[])
                .unwrap_err()
                .why()
                .contains("ended with status 2")
        );
    }
}

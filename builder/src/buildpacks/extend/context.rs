//! The files that an extension's Dockerfile may copy, as the tar file that Podman takes. Blocking.
//!
//! A folder that the extension filled is hostile: it goes through the exporter's walk, into an archive of ours, and
//! that one through the same checks as a pushed source.

use crate::{
    export::{
        archive::{Archive, Owner},
        beneath::Beneath,
        walk::{Budget, walk},
    },
    source,
};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, Read as _},
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
};

/// Files that a Dockerfile may copy.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// The tar file.
    pub(super) tar: PathBuf,
    /// The symbolic links in it.
    pub(super) links: BTreeSet<PathBuf>,
    /// Of the tar file.
    pub(super) digest: String,
}

/// No files.
pub(super) fn empty(to: &Path) -> io::Result<Context> {
    std::fs::write(to, [0; 1024])?;
    Ok(Context {
        tar: to.to_owned(),
        links: BTreeSet::new(),
        digest: String::new(),
    })
}

/// What a folder below the layers holds.
pub(super) fn of_folder(layers: &Path, folder: &Path, to: &Path, max_bytes: u64) -> Result<Context, String> {
    let pack = || {
        let root = Beneath::open(layers)?.folder(folder)?;
        let tree = walk(root, &Budget::new(source::MAX_ENTRIES, max_bytes))?;
        let cancelled = AtomicBool::new(false);
        let mut archive = Archive::new(BufWriter::new(File::create(to)?), &cancelled);
        // The folder itself has no name in a context.
        let entries = tree
            .entries
            .iter()
            .filter(|entry| !entry.path.as_os_str().is_empty());
        archive.entries(&tree.root, Path::new(""), Owner::ROOT, entries)?;
        archive
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
    };
    pack().map_err(|error| error.to_string())?;
    let scanned = source::scan(to, max_bytes).map_err(|error| error.to_string())?;
    of_tar(to, scanned.links).map_err(|error| error.to_string())
}

/// What a tar file holds that was looked through.
pub(super) fn of_tar(tar: &Path, links: BTreeSet<PathBuf>) -> io::Result<Context> {
    let mut hasher = Sha256::new();
    let (mut file, mut buffer) = (File::open(tar)?, vec![0; 256 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(Context {
        tar: tar.to_owned(),
        links,
        digest: hex::encode(hasher.finalize()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_folder_is_packed_as_it_is_and_the_same_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("layers/generated/a/context");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/file"), "text").unwrap();
        symlink("sub/file", folder.join("link")).unwrap();
        let pack = |name: &str| {
            let layers = dir.path().join("layers");
            of_folder(
                &layers,
                Path::new("generated/a/context"),
                &dir.path().join(name),
                1000,
            )
        };
        let one = pack("one.tar").unwrap();
        let mut names = Vec::new();
        for entry in tar::Archive::new(File::open(&one.tar).unwrap())
            .entries()
            .unwrap()
        {
            names.push(entry.unwrap().path().unwrap().display().to_string());
        }
        assert_eq!(names, ["link", "sub/", "sub/file"]);
        assert_eq!(one.links, BTreeSet::from([PathBuf::from("link")]));
        assert_eq!(pack("two.tar").unwrap().digest, one.digest);
        fs::write(folder.join("sub/file"), "other").unwrap();
        assert_ne!(pack("three.tar").unwrap().digest, one.digest);
        symlink("../../../../etc/passwd", folder.join("out")).unwrap();
        insta::assert_snapshot!(pack("four.tar").unwrap_err(), @r#"the source holds "out", a symbolic link that leaves the source's folder"#);
        fs::remove_file(folder.join("out")).unwrap();
        fs::write(folder.join("large"), [0; 2000]).unwrap();
        assert!(pack("five.tar").unwrap_err().contains("too large"));
    }
}

//! A digest over what a layer is made from: lockfiles, settings, folders. It goes into the layer's key.
//!
//! Every part has its name and length before it, so that no two lists of parts have the same bytes.

use crate::{Failure, Result};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

/// A digest being made.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint {
    hasher: Sha256,
}

impl Fingerprint {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A text, under a name.
    pub fn text(&mut self, name: &str, text: &str) {
        self.part(name.as_bytes(), text.len() as u64);
        self.hasher.update(text);
    }

    /// A file of `dir`, or that there is none of that name.
    pub fn file(&mut self, dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(name);
        match File::open(&path).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((metadata, file)) if metadata.is_file() => self
                .content(name.as_bytes(), metadata.len(), file)
                .map_err(|error| Failure::io("read", &path, &error)),
            _ => {
                self.part(name.as_bytes(), u64::MAX);
                Ok(())
            }
        }
    }

    /// All that is below `dir` but for what `skip` says of a name: paths, whether files are programs, contents,
    /// where links lead.
    pub fn tree(&mut self, dir: &Path, skip: &dyn Fn(&str) -> bool) -> Result<()> {
        self.folder(dir, dir, skip)
            .map_err(|error| Failure::io("read", dir, &error))
    }

    /// The digest, in hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        hex::encode(self.hasher.finalize())
    }

    fn folder(&mut self, root: &Path, dir: &Path, skip: &dyn Fn(&str) -> bool) -> io::Result<()> {
        let mut entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if skip(&entry.file_name().to_string_lossy()) {
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap_or(&path).as_os_str().as_bytes();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                self.part(name, 0);
                self.folder(root, &path, skip)?;
            } else if metadata.is_symlink() {
                self.content(name, 0, fs::read_link(&path)?.as_os_str().as_bytes())?;
            } else if metadata.is_file() {
                self.hasher.update([u8::from(metadata.mode() & 0o111 != 0)]);
                self.content(name, metadata.len(), File::open(&path)?)?;
            }
        }
        Ok(())
    }

    fn content(&mut self, name: &[u8], length: u64, mut reader: impl Read) -> io::Result<()> {
        self.part(name, length);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(()),
                read => self.hasher.update(&buffer[..read]),
            }
        }
    }

    fn part(&mut self, name: &[u8], length: u64) {
        self.hasher.update((name.len() as u64).to_le_bytes());
        self.hasher.update(name);
        self.hasher.update(length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    fn tree(dir: &Path) -> String {
        let mut fingerprint = Fingerprint::new();
        fingerprint.tree(dir, &|name| name == ".git").unwrap();
        fingerprint.finish()
    }

    #[test]
    fn a_tree_differs_when_a_name_or_a_content_does() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("a/b"), "1").unwrap();
        let first = tree(dir.path());
        files::write(&dir.path().join(".git/HEAD"), "x").unwrap();
        assert_eq!(tree(dir.path()), first);
        files::write(&dir.path().join("a/b"), "2").unwrap();
        let second = tree(dir.path());
        assert_ne!(second, first);
        files::write(&dir.path().join("a/b"), "1").unwrap();
        assert_eq!(tree(dir.path()), first);
        fs::rename(dir.path().join("a/b"), dir.path().join("a/c")).unwrap();
        assert_ne!(tree(dir.path()), first);
    }

    #[test]
    fn a_missing_file_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let mut fingerprint = Fingerprint::new();
            fingerprint.file(dir.path(), name).unwrap();
            fingerprint.finish()
        };
        let missing = of("lock");
        files::write(&dir.path().join("lock"), "").unwrap();
        assert_ne!(of("lock"), missing);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let of = |parts: &[(&str, &str)]| {
            let mut fingerprint = Fingerprint::new();
            for (name, text) in parts {
                fingerprint.text(name, text);
            }
            fingerprint.finish()
        };
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
        assert_ne!(of(&[("a", "b"), ("c", "")]), of(&[("a", "b"), ("", "c")]));
    }
}

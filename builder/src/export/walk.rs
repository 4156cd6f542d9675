//! All that is in a folder, in the order in which an image gets it, with two marks of it.
//!
//! The *fingerprint* is a mark of these very files: times and inodes go into it, so it is the same only when
//! nobody touched anything since, and then nothing need be read. The *shape* leaves both out: after an unpack or
//! a reinstallation of the same files it is the same again, and reading the contents is worth a try before they
//! are compressed once more.

use super::beneath::Beneath;
use rustix::fs::{FileType, Stat};
use sha2::{Digest, Sha256};
use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What all trees of one export may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Budget {
    pub(crate) fn new(entries: u64, bytes: u64) -> Self {
        Self {
            entries: entries.into(),
            bytes: bytes.into(),
        }
    }

    fn take(&self, bytes: u64) -> io::Result<()> {
        let minus = |left: &AtomicU64, count: u64| {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(count)
            })
            .is_ok()
        };
        let too_much = |what| io::Error::new(io::ErrorKind::FileTooLarge, what);
        if !minus(&self.entries, 1) {
            return Err(too_much("the image would have too many files"));
        }
        if !minus(&self.bytes, bytes) {
            return Err(too_much("the image would be too large"));
        }
        Ok(())
    }
}

/// One file, folder or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// From the tree's root, which is the empty path.
    pub(crate) path: PathBuf,
    /// What it is.
    pub(crate) kind: Kind,
    /// The permissions, set-user-ID and its like among them.
    pub(crate) mode: u32,
}

impl Entry {
    /// A file's size.
    pub(crate) fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            Kind::Folder | Kind::Link { .. } => 0,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File { size: u64 },
    Link { target: PathBuf },
}

/// A mark, as hex digits.
pub(crate) type Mark = String;

/// A folder and all below it.
pub(crate) struct Tree {
    /// Where to read it.
    pub(crate) root: Beneath,
    /// The root first, each folder before what is in it, names in the order of their bytes.
    pub(crate) entries: Vec<Entry>,
    /// Of these very files.
    pub(crate) fingerprint: Mark,
    /// The files' sizes together.
    pub(crate) bytes: u64,
}

/// Goes through a folder. Sockets, pipes and devices have no place in an image; they count for the fingerprint only.
pub(crate) fn walk(root: Beneath, budget: &Budget) -> io::Result<Tree> {
    let (mut fingerprint, mut entries, mut bytes) = (Sha256::new(), Vec::new(), 0);
    let mut open = vec![(PathBuf::new(), root.stat_self()?, None)];
    while let Some((path, stat, link)) = open.pop() {
        let kind = kind_of(&stat, link);
        let size = match &kind {
            Some(Kind::File { size }) => *size,
            _ => 0,
        };
        budget.take(size).map_err(|error| at(&path, &error))?;
        bytes += size;
        mark(&mut fingerprint, &path, stat.st_mode, kind.as_ref());
        mark_times(&mut fingerprint, &stat);
        if kind == Some(Kind::Folder) {
            list(&root, &path, &mut open).map_err(|error| at(&path, &error))?;
        }
        if let Some(kind) = kind {
            let mode = stat.st_mode & 0o7777;
            entries.push(Entry { path, kind, mode });
        }
    }
    Ok(Tree {
        root,
        entries,
        fingerprint: hex::encode(fingerprint.finalize()),
        bytes,
    })
}

/// The shape of a tree or of a part of one.
pub(crate) fn shape<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Mark {
    let mut hasher = Sha256::new();
    for entry in entries {
        mark(&mut hasher, &entry.path, entry.mode, Some(&entry.kind));
    }
    hex::encode(hasher.finalize())
}

/// Puts what is in a folder on the stack, the first name on top.
fn list(root: &Beneath, path: &Path, open: &mut Vec<(PathBuf, Stat, Option<PathBuf>)>) -> io::Result<()> {
    let folder = root.folder(path)?;
    for name in folder.names()?.into_iter().rev() {
        let stat = folder.stat(&name)?;
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        let link = is_link.then(|| folder.link(&name)).transpose()?;
        open.push((path.join(name), stat, link));
    }
    Ok(())
}

fn kind_of(stat: &Stat, link: Option<PathBuf>) -> Option<Kind> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Some(Kind::Folder),
        FileType::RegularFile => Some(Kind::File {
            size: stat.st_size.unsigned_abs(),
        }),
        FileType::Symlink => link.map(|target| Kind::Link { target }),
        _ => None,
    }
}

/// Each part has its length before it or a fixed one, so that no two trees write the same.
fn mark(hasher: &mut Sha256, path: &Path, mode: u32, kind: Option<&Kind>) {
    let text = |hasher: &mut Sha256, text: &Path| {
        hasher.update((text.as_os_str().len() as u64).to_le_bytes());
        hasher.update(text.as_os_str().as_bytes());
    };
    text(hasher, path);
    hasher.update(mode.to_le_bytes());
    match kind {
        None => hasher.update(b"o"),
        Some(Kind::Folder) => hasher.update(b"d"),
        Some(Kind::File { size }) => {
            hasher.update(b"f");
            hasher.update(size.to_le_bytes());
        }
        Some(Kind::Link { target }) => {
            hasher.update(b"l");
            text(hasher, target);
        }
    }
}

fn mark_times(hasher: &mut Sha256, stat: &Stat) {
    for number in [
        stat.st_mtime.unsigned_abs(),
        stat.st_mtime_nsec,
        stat.st_ctime.unsigned_abs(),
        stat.st_ctime_nsec,
        stat.st_ino,
    ] {
        hasher.update(number.to_le_bytes());
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

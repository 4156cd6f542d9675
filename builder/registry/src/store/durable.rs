//! Writing so that a power cut leaves the whole file or none: temp file, flush, rename, flush the folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};
use uuid::Uuid;

/// Writes `bytes` as `target`, by way of a temporary file in `temporary`, which is on the same file system.
pub(super) fn write(temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let path = temporary.join(Uuid::now_v7().to_string());
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| place(&path, target)).inspect_err(|_| {
        // What is left behind is swept later; the error that matters is the first.
        fs::remove_file(&path).ok();
    })
}

/// Moves a flushed file to its final name.
pub(super) fn place(from: &Path, target: &Path) -> io::Result<()> {
    fs::rename(from, target)?;
    sync_parent(target)
}

/// Makes a folder and those above it, each flushed into its parent, down from `root`, which exists.
pub(super) fn create_dirs(root: &Path, target: &Path) -> io::Result<()> {
    if target == root || target.is_dir() {
        return Ok(());
    }
    if let Some(parent) = target.parent() {
        create_dirs(root, parent)?;
    }
    match fs::create_dir(target) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_parent(target)
}

/// Flushes the folder that holds `path`.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes a file; that it is gone already is no error.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The names in a folder; none when it does not exist.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // Every name here is one that we gave, so a name that is no UTF-8 is none of ours.
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

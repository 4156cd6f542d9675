//! How much of the disk a folder takes: what is in several names counts once, and nothing is followed out of it.

use pvdify_builder::export::beneath::Beneath;
use rustix::fs::{FileType, Stat};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// In bytes; `None` when the limit is over before all is seen. What goes meanwhile counts for nothing.
pub(super) fn on_disk(folder: &Path, limit: Option<Duration>) -> io::Result<Option<u64>> {
    let begun = Instant::now();
    let root = Beneath::open(folder)?;
    let mut bytes = of(&root.stat_self()?);
    let mut seen = HashSet::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        let Some(folder) = root.folder_if_there(&path)? else {
            continue;
        };
        for name in folder.names()? {
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return Ok(None);
            }
            let stat = match folder.stat(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                stat => stat?,
            };
            if stat.st_nlink < 2 || is_folder(&stat) || seen.insert((stat.st_dev, stat.st_ino)) {
                bytes += of(&stat);
            }
            if is_folder(&stat) {
                open.push(path.join(name));
            }
        }
    }
    Ok(Some(bytes))
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn of(stat: &Stat) -> u64 {
    stat.st_blocks.unsigned_abs() * 512
}

//! How much disk a build uses, looked at while it runs: a quota that needs nothing of the file system.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the free space is asked for, which costs next to nothing.
const INTERVAL: Duration = Duration::from_millis(500);
/// A build's folders are counted again when this much of the free space went since.
const STEP: u64 = 256 * 1024 * 1024;

/// Too much disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The build's own folders hold this many bytes, which is over the limit.
    Build(u64),
    /// This many bytes are left on the disk, whoever used them.
    Host(u64),
}

/// Ends when the folders hold more than `limit` bytes or fewer than `reserve` are free; else never.
pub(crate) async fn excess(folders: Vec<PathBuf>, limit: u64, reserve: u64) -> Excess {
    let Some(first) = folders.first().cloned() else {
        return std::future::pending().await;
    };
    let mut counted_at = free(&first);
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = free(&first);
        if now < reserve {
            return Excess::Host(now);
        }
        if counted_at.saturating_sub(now) >= STEP.min(limit / 4) {
            let counting = folders.clone();
            let used = tokio::task::spawn_blocking(move || counting.iter().map(|folder| size(folder)).sum());
            let used: u64 = used.await.unwrap_or(0);
            if used > limit {
                return Excess::Build(used);
            }
            counted_at = now;
        }
    }
}

fn free(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What a folder's files take up on the disk. Links are not followed; what goes meanwhile is not counted.
fn size(folder: &Path) -> u64 {
    let mut folders = vec![folder.to_owned()];
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(meta.blocks() * 512);
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

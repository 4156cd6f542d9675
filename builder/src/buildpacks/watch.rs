//! How much disk a build uses, looked at while it runs: a quota that needs nothing of the file system.

use crate::export::beneath::Beneath;
use rustix::fs::{FileType, StatVfs, statvfs};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::Instant;

/// How often the free space is asked for, which costs next to nothing.
const INTERVAL: Duration = Duration::from_millis(500);
/// A build's folders are counted again when this much of the free space went since.
const STEP: u64 = 256 * 1024 * 1024;
/// And when so many of the files that the disk can hold did.
const FILES_STEP: u64 = 100_000;
/// And now and then, whatever went: somebody else may have freed what the build took.
const AT_LEAST_EVERY: Duration = Duration::from_secs(20);
/// How little of the time is spent counting.
const SHARE: u32 = 20;
/// Files that must stay free on the disk for everyone else.
const FILES_RESERVE: u64 = 20_000;

/// Too much disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The build's own folders hold this many bytes, which is over the limit.
    Build(u64),
    /// They hold this many files and folders, which is over the limit.
    Files(u64),
    /// There is a path in them that is longer than the kernel takes.
    Path,
    /// This many bytes are left on the disk, whoever used them.
    Host(u64),
    /// The disk can hold this many files more.
    HostFiles(u64),
}

/// What a build may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// Bytes that must stay free for everyone else.
    pub(crate) reserve: u64,
}

/// Ends when the folders hold more than they may or too little is free; else never.
pub(crate) async fn excess(folders: Vec<PathBuf>, quota: Quota) -> Excess {
    let Some(first) = folders.first().cloned() else {
        return std::future::pending().await;
    };
    let mut before = Free::of(&first);
    let mut due = Instant::now() + AT_LEAST_EVERY;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let now = Free::of(&first);
        if now.bytes < quota.reserve {
            return Excess::Host(now.bytes);
        }
        if now.files < FILES_RESERVE {
            return Excess::HostFiles(now.files);
        }
        before = before.most(now);
        let took = before.bytes - now.bytes >= STEP.min(quota.bytes / 4)
            || before.files - now.files >= FILES_STEP.min(quota.files / 4);
        if took || Instant::now() >= due {
            let (counting, began) = (folders.clone(), Instant::now());
            let counted = tokio::task::spawn_blocking(move || used(&counting, quota)).await;
            if let Ok(Some(excess)) = counted {
                return excess;
            }
            before = now;
            due = Instant::now() + AT_LEAST_EVERY.max(began.elapsed() * SHARE);
        }
    }
}

/// What is free on a disk.
#[derive(Clone, Copy)]
struct Free {
    bytes: u64,
    files: u64,
}

impl Free {
    fn of(path: &Path) -> Self {
        let files = |disk: &StatVfs| match disk.f_files {
            // It makes room for them as they come.
            0 => u64::MAX,
            _ => disk.f_favail,
        };
        statvfs(path).map_or(
            Self {
                bytes: u64::MAX,
                files: u64::MAX,
            },
            |disk| Self {
                bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
                files: files(&disk),
            },
        )
    }

    fn most(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            files: self.files.max(other.files),
        }
    }
}

/// Counts what the folders' files take up on the disk, each once, as far as it is over the quota. What goes
/// meanwhile is not counted, and nothing is followed out of the folders.
fn used(folders: &[PathBuf], quota: Quota) -> Option<Excess> {
    let (mut bytes, mut files) = (0_u64, 0_u64);
    let mut linked = HashSet::new();
    for folder in folders {
        let Ok(root) = Beneath::open(folder) else { continue };
        let mut open = vec![PathBuf::new()];
        while let Some(path) = open.pop() {
            let inner = match root.folder(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::InvalidFilename => {
                    return Some(Excess::Path);
                }
                Err(_) => continue,
                Ok(inner) => inner,
            };
            for name in inner.names().unwrap_or_default() {
                let Ok(stat) = inner.stat(&name) else { continue };
                let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if !is_folder && stat.st_nlink > 1 && !linked.insert(stat.st_ino) {
                    continue;
                }
                files += 1;
                bytes = bytes.saturating_add(stat.st_blocks.unsigned_abs() * 512);
                if bytes > quota.bytes {
                    return Some(Excess::Build(bytes));
                }
                if files > quota.files {
                    return Some(Excess::Files(files));
                }
                if is_folder {
                    open.push(path.join(&name));
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const QUOTA: Quota = Quota {
        bytes: 1 << 20,
        files: 20,
        reserve: 0,
    };

    #[test]
    fn each_file_counts_once_and_nothing_outside() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two, outside) = (dir.path().join("1"), dir.path().join("2"), dir.path().join("3"));
        for folder in [&one, &two, &outside] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(one.join("a"), vec![1; 600 << 10]).unwrap();
        fs::hard_link(one.join("a"), two.join("same")).unwrap();
        fs::write(outside.join("large"), vec![1; 900 << 10]).unwrap();
        std::os::unix::fs::symlink(&outside, two.join("link")).unwrap();
        let folders = [one, two.clone(), dir.path().join("none")];
        assert_eq!(used(&folders, QUOTA), None);
        fs::create_dir(two.join("b")).unwrap();
        fs::write(two.join("b/b"), vec![1; 600 << 10]).unwrap();
        assert!(matches!(used(&folders, QUOTA), Some(Excess::Build(bytes)) if bytes > 1 << 20));
    }

    #[test]
    fn empty_files_and_paths_without_end_are_too_much_too() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..21 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(used(&[dir.path().to_owned()], QUOTA), Some(Excess::Files(21)));
        let dir = tempfile::tempdir().unwrap();
        crate::buildpacks::folders::tests::deep(dir.path());
        let quota = Quota {
            files: 10_000,
            bytes: 1 << 30,
            ..QUOTA
        };
        assert_eq!(used(&[dir.path().to_owned()], quota), Some(Excess::Path));
    }

    #[tokio::test]
    async fn a_build_that_fills_the_disk_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "").unwrap();
        let quota = Quota {
            reserve: u64::MAX,
            ..QUOTA
        };
        let folders = vec![dir.path().to_owned()];
        assert!(matches!(excess(folders.clone(), quota).await, Excess::Host(_)));
        let fill = async {
            for number in 0..21 {
                fs::write(dir.path().join(number.to_string()), "").unwrap();
            }
        };
        assert_eq!(tokio::join!(excess(folders, QUOTA), fill).0, Excess::Files(21));
    }
}

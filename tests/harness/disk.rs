//! A disk of its own for one test: a tmpfs, mounted while it is held, whose size can be changed at any time.
//!
//! What is used never takes more memory than it has bytes: a disk is filled by taking its free space away.

use crate::run;
use rustix::fs::statvfs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a write takes at least.
const PAGE: u64 = 4096;

/// Unmounted when dropped, also when the test failed.
pub struct SmallDisk {
    home: TempDir,
    mounted: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes.
    ///
    /// # Panics
    /// When it can't be mounted, which only root can.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let mut home = tempfile::Builder::new();
        let home = home.prefix("pvdify-disk-").tempdir().expect("a folder");
        let mounted = home.path().join("state");
        std::fs::create_dir(&mounted).expect("a mount point");
        let options = format!("size={bytes},mode=0700");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", &mounted.to_string_lossy()],
        );
        Self { home, mounted }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mounted
    }

    /// A file that is not on it, and goes with it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Makes the disk such that about this many bytes are free.
    ///
    /// # Panics
    /// When it can't.
    pub fn leave_free(&self, bytes: u64) {
        // What is written meanwhile may need more than the new size: then it is refused.
        for _ in 0..20 {
            let disk = statvfs(&self.mounted).expect("it is mounted");
            let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
            let size = (used + bytes).next_multiple_of(PAGE).max(PAGE);
            let remounted = std::process::Command::new("mount")
                .args(["-o", &format!("remount,size={size}")])
                .arg(&self.mounted)
                .output()
                .expect("mount starts");
            if remounted.status.success() {
                return;
            }
        }
        panic!("{} can't be made smaller", self.mounted.display());
    }

    /// Bytes that can be written.
    ///
    /// # Panics
    /// When it can't be asked.
    #[must_use]
    pub fn free(&self) -> u64 {
        let disk = statvfs(&self.mounted).expect("it is mounted");
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that the test left would otherwise keep it mounted.
        let unmounted = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.mounted)
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.mounted.display());
        }
    }
}

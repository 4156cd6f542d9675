//! A disk that fails to write through, for one pvdifyd: `fsync` ends with EIO on the files that are named, while
//! they are, or with the process. It is a library that is loaded before the system's own (tests/fixtures/faults/fsync.c).

use crate::binaries::fsync_faults;
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// The faults of one pvdifyd, none at first.
pub struct FsyncFaults {
    dir: TempDir,
    library: String,
    order: String,
}

impl Default for FsyncFaults {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let order = dir.path().join("order").display().to_string();
        let library = fsync_faults().display().to_string();
        Self { dir, library, order }
    }
}

impl FsyncFaults {
    /// What [`Platform::start_with`](crate::Platform::start_with) needs to know of it.
    #[must_use]
    pub fn settings(&self) -> [(&str, &str); 2] {
        [("LD_PRELOAD", &self.library), ("PVDIFY_FSYNC_FAULT", &self.order)]
    }

    /// From now on each `fsync` of a file whose path holds this fails.
    ///
    /// # Panics
    /// When it can't be ordered.
    pub fn fail(&self, path_part: &str) {
        self.order(&format!("0 {path_part}"));
    }

    /// The same for the `nth` such `fsync` from now on alone, beginning with 1.
    ///
    /// # Panics
    /// When it can't be ordered.
    pub fn fail_nth(&self, nth: u32, path_part: &str) {
        self.order(&format!("{nth} {path_part}"));
    }

    /// `kill -9` of the process at the `nth` such `fsync` from now on, before anything is written through.
    ///
    /// # Panics
    /// When it can't be ordered.
    pub fn kill_nth(&self, nth: u32, path_part: &str) {
        self.order(&format!("-{nth} {path_part}"));
    }

    /// No further ones fail; gives the paths of those that did since the order.
    ///
    /// # Panics
    /// When it can't be ordered.
    #[must_use]
    pub fn heal(&self) -> Vec<String> {
        self.write("");
        let hits = fs::read_to_string(self.hits()).unwrap_or_default();
        hits.lines().map(str::to_owned).collect()
    }

    /// Whether one failed since the order.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.hits().exists()
    }

    fn hits(&self) -> PathBuf {
        self.dir.path().join("order.hits")
    }

    fn order(&self, text: &str) {
        if self.has_struck() {
            fs::remove_file(self.hits()).expect("the old hits go");
        }
        self.write(text);
    }

    /// Whole at any moment: the other side reads it at any moment.
    fn write(&self, text: &str) {
        let fresh = self.dir.path().join("fresh");
        fs::write(&fresh, text).expect("an order is written");
        fs::rename(&fresh, &self.order).expect("an order is given");
    }
}

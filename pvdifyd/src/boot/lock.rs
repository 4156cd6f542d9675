//! One process for each part of a state directory: two would fight over containers, repositories or ports. The
//! locks are the kernel's and die with the process, however it dies.

use super::Failure;
use crate::config::Parts;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    path::Path,
};

/// Holds the state directory's parts until dropped.
pub(super) fn take(state_dir: &Path, parts: Parts) -> Result<Vec<File>, Failure> {
    parts
        .names()
        .into_iter()
        .map(|part| take_one(state_dir, part))
        .collect()
}

fn take_one(state_dir: &Path, part: &str) -> Result<File, Failure> {
    let path = state_dir.join(format!("run/{part}.lock"));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(format!(
            "another pvdifyd runs the part \"{part}\" on {}: stop it, or set PVDIFY_STATE_DIR",
            state_dir.display()
        )
        .into()),
        Err(error) => Err(format!("can't lock {}: {error}", path.display()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: Parts = Parts {
        control: true,
        git: false,
        router: false,
    };
    const ALL: Parts = Parts {
        control: true,
        git: true,
        router: true,
    };
    const ROUTER: Parts = Parts {
        control: false,
        git: false,
        router: true,
    };

    #[test]
    fn each_part_of_a_state_directory_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("run")).unwrap();
        let control = take(dir.path(), CONTROL).unwrap();
        let router = take(dir.path(), ROUTER).unwrap();
        assert!(take(dir.path(), ALL).is_err());
        drop((control, router));
        assert!(take(dir.path(), ALL).is_ok());
    }
}

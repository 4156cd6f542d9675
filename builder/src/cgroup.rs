//! The control group of one build: every process that its RUN steps start, and no other. A build that has several
//! containers or RUN steps of several Dockerfiles has a group for each, so that the end of one is not the next one's.
//!
//! Podman does not stop a RUN step when its client goes, so a build that is cancelled, timed out or left
//! behind by a killed server is ended here. The group also caps the number of processes, for which the build
//! API has no parameter. Runs on the old and the new control groups; without root there is no group.

use pvdify_types::{BuildId, InstallationId};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

const MOUNT: &str = "/sys/fs/cgroup";
/// Podman's group for the monitors of the containers beside it.
const MONITOR: &str = "conmon";

/// A group's path, from the root of each hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    path: String,
}

/// Where all groups of an installation's builds are.
pub(crate) fn prefix(installation: &InstallationId) -> String {
    format!("/pvdify-build-{installation}")
}

impl Cgroup {
    /// A new group of a build, or `None` without the right to make one.
    pub(crate) fn of(installation: &InstallationId, build: &BuildId) -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        rustix::process::geteuid().is_root().then(|| Self {
            path: format!("{}/{build}-{count}", prefix(installation)),
        })
    }

    /// The group above those of all builds of an installation.
    pub(crate) fn of_all(installation: &InstallationId) -> Option<Self> {
        rustix::process::geteuid().is_root().then(|| Self {
            path: prefix(installation),
        })
    }

    /// The group that the containers get. The runtime removes it after each step, so limits stand one above.
    pub(crate) fn of_containers(&self) -> String {
        format!("{}/run", self.path)
    }

    /// Makes the group and caps its processes.
    pub(crate) fn create(&self, max_processes: u64) -> io::Result<()> {
        let old = Path::new(MOUNT).join("pids");
        let root = if old.is_dir() {
            old
        } else {
            enable_pids(Path::new(MOUNT))?;
            PathBuf::from(MOUNT)
        };
        let folder = join(&root, &self.path);
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
            if root == Path::new(MOUNT) {
                enable_pids(parent)?;
            }
        }
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("pids.max"), max_processes.to_string())
    }

    /// Kills every process of the group; says whether there was one.
    pub(crate) fn kill(&self) -> bool {
        let mut any = false;
        for root in hierarchies() {
            for folder in below(join(&root, &self.path)) {
                let listed = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
                for pid in listed
                    .lines()
                    .filter_map(|line| line.parse().ok())
                    .filter_map(Pid::from_raw)
                {
                    // It may have ended by itself between the two calls.
                    any |= kill_process(pid, Signal::KILL).is_ok();
                }
            }
        }
        any
    }

    /// Whether a process of the containers is left; Podman's monitor of one, which outlives it, is none of them.
    pub(crate) fn is_at_work(&self) -> bool {
        let groups = hierarchies()
            .into_iter()
            .flat_map(|root| below(join(&root, &self.path)));
        groups
            .filter(|folder| !folder.ends_with(MONITOR))
            .filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok())
            .any(|listed| !listed.trim().is_empty())
    }

    /// Removes the group, once it is empty.
    pub(crate) fn remove(&self) {
        for root in hierarchies() {
            for folder in below(join(&root, &self.path)).into_iter().rev() {
                fs::remove_dir(folder).ok();
            }
        }
    }
}

/// The new hierarchy lets a folder limit processes only when its parent says so.
fn enable_pids(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.subtree_control"), "+pids")
}

fn join(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The one new hierarchy, or each of the old ones.
fn hierarchies() -> Vec<PathBuf> {
    let mount = PathBuf::from(MOUNT);
    if mount.join("cgroup.procs").exists() {
        return vec![mount];
    }
    subfolders(&mount)
}

/// A folder and all below it, parents first.
fn below(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = vec![folder];
    let mut next = 0;
    while let Some(folder) = found.get(next) {
        let children = subfolders(folder);
        found.extend(children);
        next += 1;
    }
    found
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter(is_folder).map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_was_never_made_has_nothing_to_kill() {
        let group = Cgroup {
            path: "/pvdify-build-none/none".to_owned(),
        };
        assert!(!group.kill() && !group.is_at_work());
        group.remove();
        assert_eq!(group.of_containers(), "/pvdify-build-none/none/run");
    }
}

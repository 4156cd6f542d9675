//! What the host gives: each finding with its fix, for `pvdifyd doctor` and for the limits of each container.
//!
//! Podman's defaults ask for more than some hosts allow, and then no container starts. So limits are always
//! explicit and never above the host's hard ones.

mod findings;

use super::{Result, podman::during};
use findings::decide;
use pvdify_builder::podman::Libpod;
use rustix::process::{Resource, getrlimit};
use std::path::Path;

/// Given to each container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open files.
    pub nofile: u64,
    /// Processes of one user.
    pub nproc: u64,
    /// The OCI runtime; `None`: Podman's default.
    pub runtime: Option<String>,
}

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, with less than could be.
    Warn,
    /// Does not work.
    Problem,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// How good that is.
    pub level: Level,
    /// What to do.
    pub fix: Option<String>,
}

/// What a host gives.
#[derive(Clone, Debug)]
pub struct HostProbe {
    /// For the person.
    pub findings: Vec<Finding>,
    /// For each container.
    pub limits: Limits,
    /// Whether an init process can be put into containers.
    pub init: bool,
}

/// What is read from the host beside Podman's report.
#[derive(Clone, Debug)]
struct Facts {
    nofile: Option<u64>,
    nproc: Option<u64>,
    has_runc: bool,
    has_init: bool,
}

/// Asks the Podman behind a socket, and the kernel.
///
/// # Errors
/// When Podman does not answer.
pub async fn probe(socket: &Path) -> Result<HostProbe> {
    let info = Libpod::new(socket.to_owned()).info().await;
    let info = info.map_err(during("podman info"))?;
    let facts = Facts {
        nofile: getrlimit(Resource::Nofile).maximum,
        nproc: getrlimit(Resource::Nproc).maximum,
        has_runc: installed(&["runc"]),
        has_init: installed(&["catatonit", "podman/catatonit"]),
    };
    Ok(decide(&info, &facts))
}

/// The OCI runtime that Podman's service needs on this host; `None`: its default does. For the whole service:
/// builds need it too, and Podman 5 does not heed what a single container asks for.
pub(super) fn needed_runtime() -> Option<String> {
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    runtime_for(unified, installed(&["runc"]))
}

/// crun, the default where it is installed, refuses cgroup v1 beside v2.
fn runtime_for(unified: bool, has_runc: bool) -> Option<String> {
    (!unified && has_runc).then(|| "runc".to_owned())
}

/// In one of the folders where distributions put programs and Podman's helpers.
fn installed(names: &[&str]) -> bool {
    let folders = [
        "/usr/bin",
        "/usr/sbin",
        "/usr/local/bin",
        "/usr/libexec",
        "/usr/lib",
        "/usr/local/libexec",
    ];
    folders
        .iter()
        .any(|folder| names.iter().any(|name| Path::new(folder).join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_gets_runc_where_crun_refuses() {
        let table = [
            (true, true, None),
            (true, false, None),
            (false, true, Some("runc")),
            (false, false, None),
        ];
        for (unified, has_runc, chosen) in table {
            assert_eq!(runtime_for(unified, has_runc).as_deref(), chosen);
        }
    }
}

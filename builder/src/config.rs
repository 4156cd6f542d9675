//! The builder's settings, and what one build may use.

use pvdify_types::InstallationId;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub(crate) const MIB: u64 = 1024 * 1024;

/// What one build may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory of each step, swap included.
    pub memory_bytes: u64,
    /// The period over which processor time is counted, in microseconds.
    pub cpu_period: u64,
    /// Processor time in each period, in microseconds: the period times the number of processors.
    pub cpu_quota: u64,
    /// The whole build's time.
    pub timeout: Duration,
    /// The source's size.
    pub context_bytes: u64,
    /// An image's size, as its layers are stored.
    pub image_bytes: u64,
    /// The build log's size.
    pub log_bytes: u64,
    /// Disk that a buildpack build's own folders may take up.
    pub disk_bytes: u64,
    /// Files and folders that they may hold.
    pub disk_files: u64,
    /// Disk space that must be free before a build begins.
    pub free_bytes: u64,
    /// Open files of a process; at most the host's hard limit.
    pub nofile: u64,
    /// Processes of a user; at most the host's hard limit.
    pub nproc: u64,
    /// Processes of the build.
    pub pids: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 2048 * MIB,
            cpu_period: 100_000,
            cpu_quota: 200_000,
            timeout: Duration::from_secs(30 * 60),
            context_bytes: 1024 * MIB,
            image_bytes: 10 * 1024 * MIB,
            log_bytes: 4 * MIB,
            disk_bytes: 10 * 1024 * MIB,
            disk_files: 2_000_000,
            free_bytes: 1024 * MIB,
            nofile: 16_384,
            nproc: 16_384,
            pids: 4096,
        }
    }
}

/// The builder's settings.
#[derive(Clone)]
pub struct Config {
    /// Podman's API socket.
    pub podman_socket: PathBuf,
    /// The own registry as Podman reaches it, `127.0.0.1:5000`.
    pub registry_address: String,
    /// The user and password by which the builder pushes.
    pub registry_credentials: (String, String),
    /// A folder of the builder's own, on the host that Podman runs on.
    pub work_dir: PathBuf,
    /// The folder that holds `pvdify-lifecycle`, `pvdify-launcher`, `pvdify-buildpack`, `pvdify-static-server`.
    pub programs: PathBuf,
    /// What one build may use.
    pub limits: Limits,
    /// A CA bundle that builds trust, given to each RUN step and left out of the image.
    pub build_ca: Option<PathBuf>,
    /// Variables that every buildpack build has: mirrors of package registries, proxies.
    pub build_env: BTreeMap<String, String>,
    /// The image that buildpack builds run in, in Podman's storage.
    pub build_image: String,
    /// The runtime of build containers, where Podman's own choice does not work on this host.
    pub oci_runtime: Option<String>,
    /// Whose builds these are.
    pub installation: InstallationId,
}

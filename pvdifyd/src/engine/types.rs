//! Plain values that go in and out of an engine.

use super::{command::Command, labels::InstanceKey};
use pvdify_types::{
    AppId, AppName, Binding, ConfigVars, ImageRef, InstallationId, InstanceId, Resources, VolumeMount,
};
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::SystemTime};

/// All that makes one container.
#[derive(Clone, Debug)]
pub struct InstanceSpec {
    /// Which instance of what.
    pub key: InstanceKey,
    /// Pinned.
    pub image: ImageRef,
    /// What its first process is.
    pub command: Command,
    /// Whether the image has a launcher of buildpacks, by which its processes start.
    pub launcher: bool,
    /// The config vars. Their values never show in `Debug`.
    pub config: ConfigVars,
    /// What Pvdify sets beside them (`PORT`, `DYNO`, ...); wins over a config var of the same name.
    pub own_env: BTreeMap<&'static str, String>,
    /// The TCP port to publish on a loopback address of the host; only `web` has one.
    pub publish: Option<u16>,
    /// What it may use.
    pub resources: Resources,
    /// What the app is bound to. Its entries never show in `Debug`.
    pub bindings: Vec<Binding>,
    /// The app's volumes that it has.
    pub mounts: Vec<VolumeMount>,
}

/// A container as the engine shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInstance {
    /// The engine's id.
    pub id: InstanceId,
    /// From its labels.
    pub key: InstanceKey,
    /// Whether it runs.
    pub state: EngineState,
    /// Its first process, as the host numbers it.
    pub pid: Option<u32>,
    /// The engine's monitor of it.
    pub conmon_pid: Option<u32>,
    /// It is said to run, but its monitor is gone: nobody would see it die, and it can't be stopped.
    pub lost: bool,
    /// How often the engine restarted it.
    pub restarts: u32,
    /// When it was last started.
    pub started_at: Option<SystemTime>,
    /// When it last exited.
    pub finished_at: Option<SystemTime>,
    /// Where its published port answers.
    pub endpoint: Option<SocketAddr>,
    /// Where its output is kept.
    pub log_path: Option<PathBuf>,
}

/// Whether a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineState {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Ended with this status.
    Exited(i64),
    /// On its way between two of these.
    Changing,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The status of its first process; `None` when it was gone already.
    pub status: Option<i64>,
    /// It took longer than the grace and was killed.
    pub killed: bool,
}

/// A network of this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineNetwork {
    /// Its name.
    pub name: String,
    /// Whose; `None` when its label is no app's id.
    pub app: Option<AppId>,
}

/// What a command inside a container left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit status.
    pub status: i64,
    /// What it wrote there.
    pub stdout: Vec<u8>,
    /// What it wrote there.
    pub stderr: Vec<u8>,
}

/// Where one container's output can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSource {
    /// Which.
    pub instance: InstanceId,
    /// Whose.
    pub app: AppId,
    /// As `web.1`.
    pub process: String,
    /// A file in the Kubernetes (CRI) log format.
    pub path: PathBuf,
}

impl EngineInstance {
    /// Where its output can be read.
    #[must_use]
    pub fn log_source(&self) -> Option<LogSource> {
        Some(LogSource {
            instance: self.id.clone(),
            app: self.key.app.clone(),
            process: self.key.dyno(),
            path: self.log_path.clone()?,
        })
    }
}

/// The name people see: `<app>-<process>-v<N>-<ordinal>-<hash8>`. The same key always has the same name, so
/// that a start that is repeated meets what the first left.
#[must_use]
pub fn container_name(installation: &InstallationId, key: &InstanceKey) -> String {
    let mut hash = Sha256::new();
    for part in [installation.as_str(), key.app.as_str(), &key.spec_hash] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(key.restart_generation.to_be_bytes());
    let hash = hex::encode(hash.finalize());
    format!(
        "{}-{}-v{}-{}-{}",
        key.app_name,
        key.process,
        key.release.0,
        key.ordinal,
        &hash[..8]
    )
}

/// The name of an app's network: `pvdify-<app>-<hash8>`.
#[must_use]
pub fn network_name(installation: &InstallationId, app: &AppId, name: &AppName) -> String {
    let hash = hex::encode(Sha256::digest(format!("{installation}\0{app}")));
    format!("pvdify-{name}-{}", &hash[..8])
}

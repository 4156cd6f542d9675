//! The engine seam: one container at a time, on one host.
//!
//! An [`InstanceEngine`] knows nothing of releases that take over, of routes or of back-off: it starts what
//! a spec says, lists what runs, stops and removes. Rollout belongs to `reconcile`, so that it is the same
//! whatever engine is below.
//!
//! What always holds: containers belong to the engine and outlive pvdifyd; they are found again by their
//! labels alone, never by name; every call may be repeated and then changes nothing.

mod command;
mod labels;
pub mod podman;
pub mod probe;
pub mod service;
mod session;
mod types;

pub use command::Command;
pub use labels::{INSTALLATION, InstanceKey, InstanceKind};
pub use session::{
    EngineSession, ExecSpec, Frame, OutputStream, Session, SessionEngine, SessionInput, SessionProcess,
    SessionSpec,
};
pub use types::{
    EngineInstance, EngineNetwork, EngineState, ExecOutput, InstanceSpec, LogSource, Stopped, container_name,
    network_name,
};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use pvdify_types::{AppId, AppName, ImageRef, InstanceId};
use std::time::Duration;

/// Why the engine did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// It answered, and the answer is no: the same call again most likely gets the same answer.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, or what it needs did not: worth trying again.
    #[error("{0}")]
    Unavailable(String),
}

/// Of an engine call.
pub type Result<T> = std::result::Result<T, EngineError>;

/// Runs single containers of one installation.
#[async_trait]
pub trait InstanceEngine: Send + Sync {
    /// The app's own network, made when it is not there.
    async fn ensure_network(&self, app: &AppId, name: &AppName) -> Result<String>;
    /// All networks of this installation.
    async fn networks(&self) -> Result<Vec<EngineNetwork>>;
    /// Removes a network by name; one that is gone is no failure.
    async fn remove_network(&self, name: &str) -> Result<()>;
    /// Makes the pinned image's content present, and gives the engine's own id of it.
    async fn ensure_image(&self, image: &ImageRef) -> Result<String>;
    /// Whether all that a start needs is there, and makes present what can be: so that what has to stop first does not
    /// stop for nothing.
    async fn prepare(&self, spec: &InstanceSpec) -> Result<()>;
    /// Creates and starts a container; a leftover of the same name that does not run is replaced, one that
    /// runs is taken as it is (its name holds the hash of all that makes it).
    async fn start(&self, spec: &InstanceSpec) -> Result<InstanceId>;
    /// SIGTERM to its processes, SIGKILL after `grace`. It stays, exited; one that is gone is no failure.
    async fn stop(&self, instance: &InstanceId, grace: Duration) -> Result<Stopped>;
    /// Kills and removes it with all that it wrote; one that is gone is no failure.
    async fn remove(&self, instance: &InstanceId) -> Result<()>;
    /// Every container of an app's processes, running or not; one-offs are not among them.
    async fn list(&self) -> Result<Vec<EngineInstance>>;
    /// One of them; `None` when it is gone.
    async fn inspect(&self, instance: &InstanceId) -> Result<Option<EngineInstance>>;
    /// The status of its last exit, also when it has been restarted since; `None` when it never exited.
    async fn last_exit(&self, instance: &InstanceId) -> Result<Option<i64>>;
    /// Runs a command inside and waits for its end.
    async fn exec(&self, instance: &InstanceId, command: &[String]) -> Result<ExecOutput>;
    /// Something happened to one of this installation's containers: a hint to look, no more. The stream
    /// ends when the engine goes away.
    fn events(&self) -> BoxStream<'static, ()>;
}

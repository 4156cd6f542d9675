//! Someone at the standard streams of a process: of a one-off container, or of a command inside one that runs.
//!
//! What always holds: a one-off's streams are taken over before it starts, so its first byte is not missed; whoever
//! holds a session ends it ([`SessionProcess::end`]), and nothing is left then, however it went before; a one-off
//! bears the mark of the pvdifyd that holds its session, so that the next one finds what a killed one left.

use super::{EngineInstance, InstanceSpec, Result};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use pvdify_types::{InstanceId, TerminalSize};
use std::{collections::BTreeMap, time::Duration};

pub use pvdify_builder::podman::{Frame, OutputStream};

/// All that makes the container of a session.
#[derive(Clone, Debug)]
pub struct SessionSpec {
    /// As if it were one of the app's one-off processes; its key is of the kind `Session`.
    pub instance: InstanceSpec,
    /// The size of its terminal; `None`: it has none, and its outputs are told apart.
    pub terminal: Option<TerminalSize>,
    /// Which pvdifyd holds it.
    pub holder: String,
    /// When it is killed, whoever lives then.
    pub time_limit: Duration,
}

/// A session's container as the engine shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSession {
    /// How it is; type and ordinal of its key are its name.
    pub instance: EngineInstance,
    /// Which pvdifyd holds it.
    pub holder: String,
}

/// A command inside a container that runs.
#[derive(Clone, Debug)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// On top of the container's environment. Not for secrets: it shows in `Debug`.
    pub env: BTreeMap<String, String>,
    /// As of a session's own container.
    pub terminal: Option<TerminalSize>,
    /// Which pvdifyd holds it.
    pub session: String,
}

/// The standard streams of a process, and the process.
pub struct Session {
    /// What it reads.
    pub input: Box<dyn SessionInput>,
    /// What it writes, until it ends.
    pub output: BoxStream<'static, Result<Frame>>,
    /// The rest.
    pub process: Box<dyn SessionProcess>,
}

/// What a process reads.
#[async_trait]
pub trait SessionInput: Send {
    /// Writes all of it; waits as long as the process reads nothing.
    async fn write(&mut self, bytes: &[u8]) -> Result<()>;
    /// The end of its input.
    async fn close(self: Box<Self>);
}

/// A process with a session.
#[async_trait]
pub trait SessionProcess: Send + Sync {
    /// Sets the size of its terminal.
    async fn resize(&self, size: TerminalSize) -> Result<()>;
    /// Waits for its end, and gives its exit status.
    async fn wait(&self) -> Result<i64>;
    /// Ends it where it still runs (SIGHUP, SIGTERM, after `grace` SIGKILL), and removes a one-off's container.
    async fn end(&self, grace: Duration) -> Result<()>;
}

/// Runs what has a session.
#[async_trait]
pub trait SessionEngine: Send + Sync {
    /// Makes and starts a one-off container with its streams taken over. A command that the image does not have is
    /// a session that ends with a word on it and the status that a shell gives then, 127 or 126.
    async fn run_session(&self, spec: &SessionSpec) -> Result<Session>;
    /// Starts a command inside a container that runs; in the same way.
    async fn exec_session(&self, instance: &InstanceId, spec: &ExecSpec) -> Result<Session>;
    /// Every session's container of this installation, running or not.
    async fn sessions(&self) -> Result<Vec<EngineSession>>;
    /// Kills and removes a session's container; one that is gone is no failure.
    async fn remove_session(&self, instance: &InstanceId) -> Result<()>;
    /// Ends the commands inside containers of this installation that bear the mark of another pvdifyd.
    async fn end_lost_execs(&self, session: &str) -> Result<()>;
}

//! A command inside a running container.

use super::{
    attached::{Attached, query},
    path,
};
use crate::podman::{Libpod, OutputStream, PodmanError, frames::frames, percent_encode, transport::parse};
use futures_util::TryStreamExt;
use pvdify_types::TerminalSize;
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// A command to be run inside, with its standard streams attached.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecSpec {
    /// The program and its arguments.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`, on top of the container's.
    pub env: Vec<String>,
    /// Whether there is an input.
    pub attach_stdin: bool,
    /// Whether its standard streams are a terminal.
    pub tty: bool,
    /// Whether its standard output is read.
    pub attach_stdout: bool,
    /// Whether its standard error is read.
    pub attach_stderr: bool,
}

impl ExecSpec {
    /// A command whose output is read.
    #[must_use]
    pub fn new(command: &[String]) -> Self {
        Self {
            cmd: command.to_vec(),
            attach_stdout: true,
            attach_stderr: true,
            ..Self::default()
        }
    }
}

impl fmt::Debug for ExecSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExecSpec({:?})", self.cmd)
    }
}

/// How a command inside is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ExecState {
    /// Whether it runs.
    pub running: bool,
    /// Of its end.
    pub exit_code: i64,
    /// Its process, as the host numbers it; 0: none.
    #[serde(default)]
    pub pid: i32,
}

/// What a start says.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
    /// 0: not said.
    h: u16,
    w: u16,
}

fn exec_path(exec: &str, call: &str) -> String {
    format!("/libpod/exec/{}{call}", percent_encode(exec))
}

impl Libpod {
    /// Runs a command inside and waits for its end, however long that takes.
    ///
    /// # Errors
    /// As [`Libpod::get`]; a command that fails is none.
    pub async fn exec(&self, container: &str, command: &[String]) -> Result<ExecOutput, PodmanError> {
        let exec = self.create_exec(container, &ExecSpec::new(command)).await?;
        let start = start(false, None);
        let started = self.stream(&exec_path(&exec, "/start"), Some(&start)).await?;
        let mut written = std::pin::pin!(frames(started));
        let mut output = ExecOutput::default();
        while let Some(frame) = written.try_next().await? {
            match frame.stream {
                OutputStream::Stdout => output.stdout.extend_from_slice(&frame.bytes),
                OutputStream::Stderr => output.stderr.extend_from_slice(&frame.bytes),
            }
        }
        output.status = self.inspect_exec(&exec).await?.exit_code;
        Ok(output)
    }

    /// Makes a command inside a running container, to be started, and gives its id.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn create_exec(&self, container: &str, spec: &ExecSpec) -> Result<String, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        let created = self.post(&path(container, "/exec"), spec).await?;
        Ok(parse::<Created>(&created)?.id)
    }

    /// Starts it with its streams attached; `size` is that of its terminal, where it has one. Of a command that can't be
    /// started, the output has Podman's own words, and the exit status is 127 or 126.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn start_exec(
        &self,
        exec: &str,
        terminal: bool,
        size: Option<TerminalSize>,
    ) -> Result<Attached, PodmanError> {
        let start = start(terminal, size);
        let connection = self.hijack(&exec_path(exec, "/start"), Some(&start)).await?;
        Ok(Attached::new(connection, terminal))
    }

    /// Sets the size of its terminal.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn resize_exec(&self, exec: &str, size: TerminalSize) -> Result<(), PodmanError> {
        let resize = query(size).on(&exec_path(exec, "/resize"));
        self.post_empty(&resize).await.map(|_| ())
    }

    /// How it is.
    ///
    /// # Errors
    /// As [`Libpod::get`]; also when it is not known any more, as when its container was restarted.
    pub async fn inspect_exec(&self, exec: &str) -> Result<ExecState, PodmanError> {
        self.get(&exec_path(exec, "/json")).await
    }
}

fn start(tty: bool, size: Option<TerminalSize>) -> Start {
    Start {
        detach: false,
        tty,
        h: size.map_or(0, |size| size.rows),
        w: size.map_or(0, |size| size.columns),
    }
}

//! A command inside a running container.

use super::path;
use crate::podman::{Libpod, OutputStream, PodmanError, frames::frames, percent_encode, transport::parse};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};

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

impl Libpod {
    /// Runs a command inside and waits for its end, however long that takes.
    ///
    /// # Errors
    /// As [`Libpod::get`]; a command that fails is none.
    pub async fn exec(&self, container: &str, command: &[String]) -> Result<ExecOutput, PodmanError> {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Create<'a> {
            cmd: &'a [String],
            attach_stdout: bool,
            attach_stderr: bool,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Start {
            detach: bool,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Ended {
            exit_code: i64,
        }
        let create = Create {
            cmd: command,
            attach_stdout: true,
            attach_stderr: true,
        };
        let created = self.post(&path(container, "/exec"), &create).await?;
        let exec = percent_encode(&parse::<Created>(&created)?.id);
        let start = format!("/libpod/exec/{exec}/start");
        let started = self.stream(&start, Some(&Start { detach: false })).await?;
        let mut written = std::pin::pin!(frames(started));
        let mut output = ExecOutput::default();
        while let Some(frame) = written.try_next().await? {
            match frame.stream {
                OutputStream::Stdout => output.stdout.extend_from_slice(&frame.bytes),
                OutputStream::Stderr => output.stderr.extend_from_slice(&frame.bytes),
            }
        }
        let ended: Ended = self.get(&format!("/libpod/exec/{exec}/json")).await?;
        output.status = ended.exit_code;
        Ok(output)
    }
}

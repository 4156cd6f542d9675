//! Processes of words: `echo` gives back what it reads, `deaf` reads nothing; each goes on until its input ends, or it
//! is ended.

use async_trait::async_trait;
use futures_util::{StreamExt, future::pending};
use pvdify_types::{InstanceId, TerminalSize};
use pvdifyd::engine::{
    EngineSession, ExecSpec, Frame, OutputStream, Result, Session, SessionEngine, SessionInput,
    SessionProcess, SessionSpec,
};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;

/// How many run is there to be waited for.
pub(crate) struct ScriptedSessions {
    pub(crate) running: watch::Sender<usize>,
    /// As they were last told of their terminal.
    pub(crate) size: watch::Sender<Option<TerminalSize>>,
}

impl Default for ScriptedSessions {
    fn default() -> Self {
        Self {
            running: watch::channel(0).0,
            size: watch::channel(None).0,
        }
    }
}

struct Input {
    output: mpsc::UnboundedSender<Result<Frame>>,
    status: watch::Sender<Option<i64>>,
    deaf: bool,
}

#[async_trait]
impl SessionInput for Input {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.deaf {
            return pending().await;
        }
        let frame = Frame {
            stream: OutputStream::Stdout,
            bytes: bytes.to_vec().into(),
        };
        self.output.send(Ok(frame)).ok();
        Ok(())
    }

    async fn close(self: Box<Self>) {
        self.status.send_replace(Some(0));
    }
}

struct Process {
    status: watch::Sender<Option<i64>>,
    running: watch::Sender<usize>,
    size: watch::Sender<Option<TerminalSize>>,
}

#[async_trait]
impl SessionProcess for Process {
    async fn resize(&self, size: TerminalSize) -> Result<()> {
        self.size.send_replace(Some(size));
        Ok(())
    }

    async fn wait(&self) -> Result<i64> {
        let mut status = self.status.subscribe();
        let status = status.wait_for(Option::is_some).await.unwrap();
        Ok(status.unwrap())
    }

    async fn end(&self, _: Duration) -> Result<()> {
        self.status
            .send_if_modified(|status| status.replace(status.unwrap_or(137)).is_none());
        self.running.send_modify(|running| *running -= 1);
        Ok(())
    }
}

impl ScriptedSessions {
    fn session(&self, command: &str) -> Session {
        let (output, frames) = mpsc::unbounded_channel();
        let status = watch::channel(None).0;
        self.running.send_modify(|running| *running += 1);
        let mut ended = status.subscribe();
        let end = async move { ended.wait_for(Option::is_some).await.map(drop).ok() };
        Session {
            input: Box::new(Input {
                output,
                status: status.clone(),
                deaf: command == "deaf",
            }),
            output: UnboundedReceiverStream::new(frames)
                .take_until(Box::pin(end))
                .boxed(),
            process: Box::new(Process {
                status,
                running: self.running.clone(),
                size: self.size.clone(),
            }),
        }
    }
}

#[async_trait]
impl SessionEngine for ScriptedSessions {
    async fn run_session(&self, spec: &SessionSpec) -> Result<Session> {
        Ok(self.session(&spec.instance.command.shown()))
    }

    async fn exec_session(&self, _: &InstanceId, spec: &ExecSpec) -> Result<Session> {
        Ok(self.session(&spec.command.join(" ")))
    }

    async fn sessions(&self) -> Result<Vec<EngineSession>> {
        Ok(Vec::new())
    }

    async fn remove_session(&self, _: &InstanceId) -> Result<()> {
        Ok(())
    }

    async fn end_lost_execs(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

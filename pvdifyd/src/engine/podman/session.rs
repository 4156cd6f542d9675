//! Sessions on Podman: the streams are its hijacked connections, the end is signals and a removal.
//!
//! Podman ends no command inside a container, whoever goes away. What such a command starts bears a mark in its
//! environment, and is found by that and signalled from the host; also what a pvdifyd left that was killed.

use super::{
    PodmanEngine, create, during, inspect,
    not_started::{Opening, not_started, said},
    process, stop, volumes,
};
use crate::engine::{
    EngineSession, ExecSpec, Frame, InstanceEngine, Result, Session, SessionEngine, SessionInput,
    SessionProcess, SessionSpec, labels,
};
use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use pvdify_builder::podman::{self, Attached, AttachedInput, AttachedOutput, Libpod, PodmanError};
use pvdify_types::{InstanceId, TerminalSize};
use rustix::process::Signal;
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Between two looks at whether something ended.
const LOOK: Duration = Duration::from_millis(50);
/// How long what was killed may take to be gone.
const KILLED: Duration = Duration::from_secs(5);
/// The status of what is gone with its container.
const GONE: i64 = 137;
/// The mark of what was started inside a container: `INSTALLATION.SESSION.NUMBER`.
const MARK: &str = "PVDIFY_SESSION";
/// Frames that are read ahead: a process that ends without having read its input can lose what is not.
const AHEAD: usize = 64;
static EXECS: AtomicU64 = AtomicU64::new(0);

#[async_trait]
impl SessionEngine for PodmanEngine {
    async fn run_session(&self, spec: &SessionSpec) -> Result<Session> {
        let key = &spec.instance.key;
        let image = self.ensure_image(&spec.instance.image).await?;
        let network = self.ensure_network(&key.app, &key.app_name).await?;
        let mounts = volumes::mounts(&self.volumes, &spec.instance)?;
        let (installation, options) = (&self.installation, &self.options);
        let container = create::session(installation, options, spec, &image, &network, mounts);
        let id = self.create(&container, &key.dyno()).await?;
        let process = Box::new(OneOff {
            libpod: self.libpod.clone(),
            id,
            has_terminal: spec.terminal.is_some(),
        });
        match self.start_attached(&process.id, &image, spec).await {
            Ok(Ok(attached)) => Ok(session(
                attached,
                spec.instance.command.program(),
                spec.terminal.is_some(),
                process,
            )),
            Ok(Err((words, status))) => Ok(Session {
                input: Box::new(NoInput),
                output: stream::iter([Ok(said(&words, spec.terminal.is_some()))]).boxed(),
                process: Box::new(NotStarted { process, status }),
            }),
            Err(error) => {
                // Without a word: it is swept up later, and the start's own failure is what to tell.
                if let Err(leftover) = process.remove().await {
                    tracing::warn!(id = %process.id, error = %leftover, "a one-off that did not start was not removed");
                }
                Err(error)
            }
        }
    }

    async fn exec_session(&self, instance: &InstanceId, spec: &ExecSpec) -> Result<Session> {
        let number = EXECS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{MARK}={}.{}.{number}", self.installation, spec.session);
        let env = spec.env.iter().map(|(key, value)| format!("{key}={value}"));
        let create = podman::ExecSpec {
            env: env.chain([mark.clone()]).collect(),
            attach_stdin: true,
            tty: spec.terminal.is_some(),
            ..podman::ExecSpec::new(&spec.command)
        };
        let exec = self.libpod.create_exec(instance.as_str(), &create).await;
        let exec = exec.map_err(during("exec"))?;
        let has_terminal = spec.terminal.is_some();
        let started = self.libpod.start_exec(&exec, has_terminal, spec.terminal).await;
        let attached = started.map_err(during("exec"))?;
        let process = Exec {
            libpod: self.libpod.clone(),
            exec,
            mark,
            has_terminal,
        };
        let name = spec.command.first().cloned().unwrap_or_default();
        Ok(session(attached, name, has_terminal, Box::new(process)))
    }

    async fn sessions(&self) -> Result<Vec<EngineSession>> {
        let listed = self.libpod.containers(&self.filters()).await;
        let mut sessions = Vec::new();
        for listed in listed.map_err(during("list containers"))? {
            if !self.owns(&listed.labels) || labels::holder(&listed.labels).is_none() {
                continue;
            }
            let container = self.libpod.inspect_container(&listed.id).await;
            sessions.extend(
                container
                    .map_err(during("inspect container"))?
                    .and_then(inspect::session),
            );
        }
        Ok(sessions)
    }

    async fn remove_session(&self, instance: &InstanceId) -> Result<()> {
        self.remove(instance).await
    }

    async fn end_lost_execs(&self, session: &str) -> Result<()> {
        let ours = format!("{MARK}={}.", self.installation);
        let living = format!("{ours}{session}.");
        let lost = |mark: &str| mark.starts_with(&ours) && !mark.starts_with(&living);
        process::signal_marked(lost, Signal::KILL);
        Ok(())
    }
}

impl PodmanEngine {
    /// Starts what was made, its streams taken over; `Err`: what a shell would say, and its status.
    async fn start_attached(
        &self,
        id: &InstanceId,
        image: &str,
        spec: &SessionSpec,
    ) -> Result<std::result::Result<Attached, (String, i64)>> {
        super::bindings::put(&self.libpod, id, &spec.instance).await?;
        volumes::claim(&self.libpod, &self.volumes, id, image, &spec.instance).await?;
        let (libpod, id, has_terminal) = (&self.libpod, id.as_str(), spec.terminal.is_some());
        let started = async {
            let attached = libpod.attach_both_ways(id, has_terminal).await?;
            if let Some(size) = spec.terminal {
                libpod.resize_container(id, size).await?;
            }
            libpod.start_container(id).await?;
            Ok(attached)
        };
        match started.await {
            Ok(attached) => Ok(Ok(attached)),
            Err(PodmanError::Refused { message, .. }) if not_started(&message).is_some() => {
                let name = spec.instance.command.program();
                let (words, status) = not_started(&message).expect("it was looked at");
                Ok(Err((format!("{name}: {words}"), status)))
            }
            Err(error) => Err(during(&format!("start {}", spec.instance.key.dyno()))(error)),
        }
    }
}

/// A session; of a command that can't be started it says so as a shell does, with a shell's status.
fn session(
    attached: Attached,
    name: String,
    has_terminal: bool,
    process: Box<dyn SessionProcess>,
) -> Session {
    let status = Arc::new(OnceLock::new());
    let opening = Opening::new(name, has_terminal, Arc::clone(&status));
    Session {
        input: Box::new(Input(attached.input)),
        output: ahead(attached.output, opening),
        process: Box::new(Plain { process, status }),
    }
}

/// A process whose status may be known before its end.
struct Plain {
    process: Box<dyn SessionProcess>,
    status: Arc<OnceLock<i64>>,
}

#[async_trait]
impl SessionProcess for Plain {
    async fn resize(&self, size: TerminalSize) -> Result<()> {
        self.process.resize(size).await
    }

    async fn wait(&self) -> Result<i64> {
        let status = self.process.wait().await?;
        Ok(self.status.get().copied().unwrap_or(status))
    }

    async fn end(&self, grace: Duration) -> Result<()> {
        self.process.end(grace).await
    }
}

fn ahead(mut output: AttachedOutput, mut opening: Opening) -> BoxStream<'static, Result<Frame>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        while let Some(frame) = output.next().await {
            let frames = match frame {
                Ok(frame) => opening.take(frame).into_iter().map(Ok).collect(),
                Err(error) => vec![Err(during("read what the process writes")(error))],
            };
            for frame in frames {
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
        }
        for frame in opening.rest() {
            sender.send(Ok(frame)).await.ok();
        }
    });
    ReceiverStream::new(receiver).boxed()
}

struct Input(AttachedInput);

#[async_trait]
impl SessionInput for Input {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write(bytes).await.map_err(during("write to the process"))
    }

    async fn close(self: Box<Self>) {
        self.0.close().await;
    }
}

/// Of a process that never was.
struct NoInput;

#[async_trait]
impl SessionInput for NoInput {
    async fn write(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    async fn close(self: Box<Self>) {}
}

/// A one-off container.
struct OneOff {
    libpod: Libpod,
    id: InstanceId,
    has_terminal: bool,
}

impl OneOff {
    async fn remove(&self) -> Result<()> {
        let removed = self.libpod.remove_container(self.id.as_str()).await;
        removed.map_err(during("remove container"))
    }
}

#[async_trait]
impl SessionProcess for OneOff {
    async fn resize(&self, size: TerminalSize) -> Result<()> {
        let resized = self.libpod.resize_container(self.id.as_str(), size).await;
        resized.map_err(during("resize"))
    }

    async fn wait(&self) -> Result<i64> {
        match self.libpod.wait_container(self.id.as_str()).await {
            Err(error) if error.is_not_found() => Ok(GONE),
            status => status.map_err(during("wait for the end")),
        }
    }

    async fn end(&self, grace: Duration) -> Result<()> {
        let id = self.id.as_str();
        let container = self.libpod.inspect_container(id).await;
        let container = container.map_err(during("inspect container"))?;
        if container.is_some_and(|container| container.state.pid > 0) {
            if self.has_terminal {
                // What an interactive shell ends by; it pays no heed to SIGTERM.
                let hung_up = self.libpod.kill_container(id, Signal::HUP).await;
                hung_up.map_err(during("hang up"))?;
            }
            stop::stop(&self.libpod, &self.id, grace).await?;
        }
        self.remove().await
    }
}

/// A one-off container whose command can't be started.
struct NotStarted {
    process: Box<OneOff>,
    status: i64,
}

#[async_trait]
impl SessionProcess for NotStarted {
    async fn resize(&self, _: TerminalSize) -> Result<()> {
        Ok(())
    }

    async fn wait(&self) -> Result<i64> {
        Ok(self.status)
    }

    async fn end(&self, _: Duration) -> Result<()> {
        self.process.remove().await
    }
}

/// A command inside a container.
struct Exec {
    libpod: Libpod,
    exec: String,
    mark: String,
    has_terminal: bool,
}

impl Exec {
    /// Its exit status, once there is one.
    async fn status(&self) -> Result<Option<i64>> {
        match self.libpod.inspect_exec(&self.exec).await {
            Ok(state) => Ok((!state.running).then_some(state.exit_code)),
            Err(error) if error.is_not_found() => Ok(Some(GONE)),
            Err(error) => Err(during("look at the command")(error)),
        }
    }

    fn signal(&self, signal: Signal) -> bool {
        process::signal_marked(|mark| mark == self.mark, signal)
    }
}

#[async_trait]
impl SessionProcess for Exec {
    async fn resize(&self, size: TerminalSize) -> Result<()> {
        let resized = self.libpod.resize_exec(&self.exec, size).await;
        resized.map_err(during("resize"))
    }

    async fn wait(&self) -> Result<i64> {
        loop {
            if let Some(status) = self.status().await? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn end(&self, grace: Duration) -> Result<()> {
        if self.status().await?.is_some() {
            return Ok(());
        }
        if self.has_terminal {
            self.signal(Signal::HUP);
        }
        let begun = Instant::now();
        let mut left = self.signal(Signal::TERM);
        while left && begun.elapsed() < grace {
            tokio::time::sleep(LOOK).await;
            left = process::any_marked(|mark| mark == self.mark);
        }
        while left && begun.elapsed() < grace + KILLED {
            left = self.signal(Signal::KILL);
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

//! The containers of a buildpack build (that of the build itself, and those that fetch buildpacks for it): made,
//! followed to their end, and gone, in whatever way the build ends.
//!
//! It holds no secret of the server and can reach nothing of it: no socket, no credentials, no capability, no way
//! to become root, a [network](crate::sandbox) that other apps' are closed to and no other build is in. What it is given is read-only but for the
//! app's own layers and folders that go with the build.

mod end;
mod spec;

pub(crate) use spec::Mounts;

use super::{ground::Ground, turns::Held, watch};
use crate::{
    BuildError, Config,
    cgroup::Cgroup,
    export::Owner,
    log::Log,
    podman::{ContainerSpec, Libpod, OutputStream, PodmanError, output_lines},
    sandbox::Sandboxes,
};
use end::{End, Gone};
use futures_util::TryStreamExt;
use pvdify_types::{AppName, BuildId};
use serde::Deserialize;
use spec::{for_build, powerless};
use std::{
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Before the one line by which the lifecycle tells the host how it ended.
const FAILURE_PREFIX: &str = "pvdify-lifecycle: ";
/// How often, and how long between, it is looked whether a container's processes are gone.
const STILL_TRIES: u32 = 50;
const STILL_PAUSE: Duration = Duration::from_millis(4);

/// How a build container ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Exited {
        /// 0, or why not (platform.md, "Exit Codes").
        code: i64,
        /// What the lifecycle says of it.
        failure: Option<String>,
        /// Its last lines of output.
        tail: Vec<String>,
    },
    /// It ran out of time.
    TimedOut,
    /// It used more disk than a build may.
    Disk(watch::Excess),
}

impl Ended {
    /// Whether it ended by itself, with this code.
    pub(crate) fn has_code(&self, wanted: i64) -> bool {
        matches!(self, Self::Exited { code, .. } if *code == wanted)
    }
}

/// All that a run needs.
pub(crate) struct Run<'a> {
    pub(crate) podman: &'a Libpod,
    pub(crate) config: &'a Config,
    pub(crate) app: &'a AppName,
    pub(crate) build: &'a BuildId,
    pub(crate) mounts: Mounts,
    pub(crate) ground: &'a Ground,
    pub(crate) sandboxes: &'a Sandboxes,
    pub(crate) held: &'a Held,
}

/// The lifecycle's work in one container of a build.
#[derive(Debug)]
pub(crate) struct Work {
    /// Its command.
    pub(crate) phase: &'static str,
    /// The image to work in, where it is not the server's own.
    pub(crate) image: Option<String>,
    /// How long it may take.
    pub(crate) time: Duration,
}

impl Run<'_> {
    /// Runs the lifecycle; its output goes to `output` as it comes.
    pub(crate) async fn run(&self, work: &Work, output: &mpsc::Sender<String>) -> Result<Ended, BuildError> {
        let limits = &self.config.limits;
        let job = Job {
            podman: self.podman,
            config: self.config,
            app: self.app,
            build: self.build,
            time: work.time,
            writable: self.mounts.writable(),
            disk_bytes: limits.disk_bytes,
            sandboxes: self.sandboxes,
            held: self.held,
            image: &self.ground.image,
            owner: self.ground.owner,
        };
        let what = |spec| for_build(spec, &self.mounts, self.ground, work);
        let (ended, gone) = job.follow(what, output).await?;
        if matches!(ended, Ended::Exited { code: 0, .. }) {
            // Podman takes longer for that than an image without changes does. The app's next build waits for it.
            gone.at_leisure();
        } else {
            gone.now().await?;
        }
        Ok(ended)
    }
}

/// One container of a build.
pub(crate) struct Job<'a> {
    pub(crate) podman: &'a Libpod,
    pub(crate) config: &'a Config,
    pub(crate) app: &'a AppName,
    pub(crate) build: &'a BuildId,
    /// How long it may run.
    pub(crate) time: Duration,
    /// The folders that it can fill, and how far.
    pub(crate) writable: Vec<PathBuf>,
    pub(crate) disk_bytes: u64,
    pub(crate) sandboxes: &'a Sandboxes,
    pub(crate) held: &'a Held,
    /// The image in Podman's storage that it runs in, and as whom.
    pub(crate) image: &'a str,
    pub(crate) owner: Owner,
}

impl Job<'_> {
    /// Runs a container that `what` says the purpose of, and removes it; its output goes to `output` as it comes.
    pub(crate) async fn run(
        &self,
        what: impl FnOnce(ContainerSpec) -> ContainerSpec,
        output: &mpsc::Sender<String>,
    ) -> Result<Ended, BuildError> {
        let (ended, gone) = self.follow(what, output).await?;
        gone.now().await?;
        Ok(ended)
    }

    /// Runs it to its end, when nothing of it runs any more unless it was out of time or disk.
    async fn follow(
        &self,
        what: impl FnOnce(ContainerSpec) -> ContainerSpec,
        output: &mpsc::Sender<String>,
    ) -> Result<(Ended, Gone), BuildError> {
        let limits = &self.config.limits;
        let cgroup = Cgroup::of(&self.config.installation, self.build);
        if let Some(Err(error)) = cgroup.as_ref().map(|group| group.create(limits.pids)) {
            tracing::warn!(%error, "builds run without a limit of processes of their own");
        }
        let sandbox = self.sandboxes.enter().await?;
        let name = self.name();
        let spec = what(powerless(self, &name, &sandbox.namespace(), cgroup.as_ref()));
        // Before it is made: nobody knows how far what is broken off got.
        let mut gone = Gone(Some(End {
            podman: self.podman.clone(),
            name: name.clone(),
            cgroup: cgroup.clone(),
            sandbox: Some(sandbox),
            held: self.held.clone(),
        }));
        let container = self.podman.create_container(&spec).await;
        let container = container.map_err(|error| self.no_image(error))?;
        // Before the start, so that its first word is not missed.
        let mut lines = Box::pin(output_lines(self.podman.attach(&container).await?));
        self.podman.start_container(&container).await?;
        let deadline = Instant::now() + self.time;
        let quota = watch::Quota {
            bytes: self.disk_bytes,
            files: limits.disk_files,
            reserve: limits.free_bytes / 2,
        };
        let mut disk = Box::pin(watch::excess(self.writable.clone(), quota));
        let (mut log, mut failure) = (Log::new(limits.log_bytes), None);
        let ended = loop {
            tokio::select! {
                line = lines.try_next() => match line? {
                    None => {
                        let code = match said(failure.as_deref(), cgroup.as_ref()).await {
                            Some(code) => {
                                gone.leave_sandbox();
                                code
                            }
                            None => self.podman.wait_container(&container).await?,
                        };
                        break Ended::Exited { code, failure, tail: log.tail() };
                    }
                    Some(line) => match line.text.strip_prefix(FAILURE_PREFIX) {
                        Some(json) if line.stream == OutputStream::Stderr => failure = Some(json.to_owned()),
                        _ => {
                            if let Some(text) = log.program(&line.text, "") {
                                // Nobody may be listening any more; the build goes on all the same.
                                output.send(text).await.ok();
                            }
                        }
                    },
                },
                () = tokio::time::sleep_until(deadline) => break Ended::TimedOut,
                excess = &mut disk => break Ended::Disk(excess),
            }
        };
        Ok((ended, gone))
    }

    fn no_image(&self, error: PodmanError) -> BuildError {
        if !error.is_not_found() {
            return error.into();
        }
        BuildError::unavailable(if self.image == self.config.build_image {
            "the image that builds run in is missing: run `pvdifyd stack build` on the server, then push again"
        } else {
            "Podman lost the builder image: push again"
        })
    }

    /// A build has several, one after the other.
    fn name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("pvdify-build-{}-{count}", self.build)
    }
}

/// The exit status of a container whose output has ended, as its lifecycle tells it, once none of its processes is left:
/// Podman tells it a third of a second later, when its monitor has cleaned up. A build can lie about it, but only about
/// itself: what it leaves is read as a stranger's in any case. `None` where only Podman knows.
async fn said(word: Option<&str>, cgroup: Option<&Cgroup>) -> Option<i64> {
    let word: Word = serde_json::from_str(word?).ok()?;
    let cgroup = cgroup?;
    for _ in 0..STILL_TRIES {
        if !cgroup.is_at_work() {
            return Some(word.code);
        }
        tokio::time::sleep(STILL_PAUSE).await;
    }
    None
}

/// What the host reads of the lifecycle's last line.
#[derive(Deserialize)]
struct Word {
    code: i64,
}

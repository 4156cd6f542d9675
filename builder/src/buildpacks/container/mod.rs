//! The containers of a buildpack build (that of the build itself, and those that fetch buildpacks for it): made,
//! followed to their end, and gone, in whatever way the build ends.
//!
//! It holds no secret of the server and can reach nothing of it: no socket, no credentials, no capability, no way
//! to become root, a network of its own that other apps' are closed to. What it is given is read-only but for the
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
    podman::{ContainerSpec, Libpod, NetworkSpec, OutputStream, PodmanError, output_lines},
};
use end::{End, Gone};
use futures_util::TryStreamExt;
use pvdify_types::{AppName, BuildId};
use spec::{for_build, labels, powerless};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Before the one line by which the lifecycle tells the host why it failed.
const FAILURE_PREFIX: &str = "pvdify-lifecycle: ";

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
            held: self.held,
            image: &self.ground.image,
            owner: self.ground.owner,
        };
        let what = |spec| for_build(spec, &self.mounts, self.ground, work);
        job.run(what, output).await
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
        let limits = &self.config.limits;
        let cgroup = Cgroup::of(&self.config.installation, self.build);
        if let Some(Err(error)) = cgroup.as_ref().map(|group| group.create(limits.pids)) {
            tracing::warn!(%error, "builds run without a limit of processes of their own");
        }
        let name = self.name();
        let spec = what(powerless(self, &name, cgroup.as_ref()));
        // Before either is made: nobody knows how far what is broken off got.
        let gone = Gone(Some(End {
            podman: self.podman.clone(),
            name: name.clone(),
            cgroup,
            held: self.held.clone(),
        }));
        self.network(&name).await?;
        let (isolated, container) = tokio::join!(
            self.podman.isolate_network(&name),
            self.podman.create_container(&spec)
        );
        isolated?;
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
                        // Not before Podman's monitor has cleaned up: Podman 4.3 loses track of its storage when
                        // the next container is made meanwhile.
                        let code = self.podman.wait_container(&container).await?;
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
        gone.now().await?;
        Ok(ended)
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

    /// Of the container and its network; a build has several, one after the other.
    fn name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("pvdify-build-{}-{count}", self.build)
    }

    /// Makes the container's network, to be isolated before the container is started: on Podman's own one it would be
    /// among other builds, and could reach the networks of apps.
    async fn network(&self, name: &str) -> Result<(), PodmanError> {
        let spec = NetworkSpec {
            name: name.to_owned(),
            labels: labels(self),
            options: BTreeMap::new(),
            dns_enabled: false,
        };
        self.podman.create_isolated_network(spec).await
    }
}

//! The containers of a buildpack build (that of the build itself, and those that fetch buildpacks for it): made,
//! followed to their end, and gone, in whatever way the build ends.
//!
//! It holds no secret of the server and can reach nothing of it: no socket, no credentials, no capability, no way
//! to become root, a network of its own that other apps' are closed to. What it is given is read-only but for the app's own layers and folders that go with the build.

use super::{
    owned::CNB_ID,
    platform::{APT_FILE, CA_FILE},
    turns::Held,
    watch,
};
use crate::{
    BuildError, Config,
    cgroup::Cgroup,
    log::Log,
    podman::{
        ContainerSpec, CpuLimit, Libpod, LogConfiguration, MemoryLimit, Mount, Namespace, NetworkAttachment,
        NetworkSpec, OutputStream, PidsLimit, PodmanError, ResourceLimits, Rlimit, output_lines,
    },
};
use futures_util::TryStreamExt;
use pvdify_types::{AppName, BuildId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Before the one line by which the lifecycle tells the host why it failed.
const FAILURE_PREFIX: &str = "pvdify-lifecycle: ";
/// Seconds after the build's limit at which Podman itself ends what a killed server left.
const LAST_RESORT: u32 = 120;
/// How often a container's end is tried, and how long between.
const END_TRIES: u32 = 10;
const END_PAUSE: Duration = Duration::from_millis(200);

/// Paths on the host that a build container sees.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) source: PathBuf,
    pub(crate) files: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) layers: PathBuf,
    pub(crate) platform: PathBuf,
    pub(crate) lifecycle: PathBuf,
    pub(crate) buildpacks: PathBuf,
    pub(crate) order: PathBuf,
    pub(crate) downloads_shared: PathBuf,
    pub(crate) downloads_new: PathBuf,
    pub(crate) tmp: PathBuf,
    pub(crate) home: PathBuf,
    /// Where the app's folder is in the container.
    pub(crate) app_dir: &'static str,
    /// The CA bundle and apt's configuration for it.
    pub(crate) ca: Option<(PathBuf, PathBuf)>,
}

impl Mounts {
    /// The folders that the build can fill.
    fn writable(&self) -> Vec<PathBuf> {
        [
            &self.workspace,
            &self.layers,
            &self.downloads_new,
            &self.tmp,
            &self.home,
        ]
        .map(PathBuf::clone)
        .to_vec()
    }
}

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

/// All that a run needs.
pub(crate) struct Run<'a> {
    pub(crate) podman: &'a Libpod,
    pub(crate) config: &'a Config,
    pub(crate) app: &'a AppName,
    pub(crate) build: &'a BuildId,
    pub(crate) mounts: Mounts,
    pub(crate) held: &'a Held,
}

impl Run<'_> {
    /// Runs the lifecycle; its output goes to `output` as it comes.
    pub(crate) async fn run(&self, output: &mpsc::Sender<String>) -> Result<Ended, BuildError> {
        let limits = &self.config.limits;
        let job = Job {
            podman: self.podman,
            config: self.config,
            app: self.app,
            build: self.build,
            time: limits.timeout,
            writable: self.mounts.writable(),
            disk_bytes: limits.disk_bytes,
            held: self.held,
        };
        job.run(|spec| for_build(spec, &self.mounts), output).await
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
}

impl Job<'_> {
    /// Runs a container that `what` says the purpose of; its output goes to `output` as it comes.
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
        let container = self.podman.create_container(&spec).await.map_err(no_image)?;
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

    /// Of the container and its network; a build has several, one after the other.
    fn name(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("pvdify-build-{}-{count}", self.build)
    }

    /// Makes the container's network: on Podman's own one it would be among other builds, and could reach the
    /// networks of apps.
    async fn network(&self, name: &str) -> Result<(), PodmanError> {
        let mut spec = NetworkSpec {
            name: name.to_owned(),
            labels: labels(self),
            options: BTreeMap::from([("isolate".to_owned(), "true".to_owned())]),
            dns_enabled: false,
        };
        match self.podman.create_network(&spec).await {
            // Older network backends do not know the option; the network is still the build's own.
            Err(PodmanError::Refused { message, .. }) if message.contains("isolate") => {
                spec.options.clear();
                self.podman.create_network(&spec).await?;
            }
            made => made?,
        }
        self.podman.isolate_network(name).await
    }
}

fn labels(job: &Job<'_>) -> BTreeMap<String, String> {
    BTreeMap::from([
        (
            "pvdify.installation".to_owned(),
            job.config.installation.to_string(),
        ),
        ("pvdify.kind".to_owned(), "build".to_owned()),
        ("pvdify.build".to_owned(), job.build.to_string()),
        ("pvdify.app-name".to_owned(), job.app.to_string()),
    ])
}

fn no_image(error: PodmanError) -> BuildError {
    if error.is_not_found() {
        return BuildError::unavailable(
            "the image that builds run in is missing: run `pvdifyd stack build` on the server, then push again",
        );
    }
    error.into()
}

/// What makes the container of the build itself.
fn for_build(spec: ContainerSpec, mounts: &Mounts) -> ContainerSpec {
    ContainerSpec {
        env: environment(mounts.app_dir),
        work_dir: Some(mounts.app_dir.to_owned()),
        entrypoint: Some(vec!["/cnb/lifecycle/lifecycle".to_owned()]),
        command: Some(vec!["create".to_owned()]),
        mounts: binds(mounts),
        ..spec
    }
}

/// What all containers of a build have in common: limits, and no power over anything.
fn powerless(job: &Job<'_>, name: &str, cgroup: Option<&Cgroup>) -> ContainerSpec {
    let (config, limits) = (job.config, &job.config.limits);
    let seconds = u32::try_from(job.time.as_secs()).unwrap_or(u32::MAX);
    ContainerSpec {
        name: name.to_owned(),
        image: config.build_image.clone(),
        labels: labels(job),
        user: Some(format!("{CNB_ID}:{CNB_ID}")),
        hostname: Some("build".to_owned()),
        // What it writes anywhere else would be on the disk uncounted.
        read_only_filesystem: true,
        cap_drop: vec!["ALL".to_owned()],
        no_new_privileges: true,
        // Buildpacks leave processes behind that somebody has to reap.
        init: true,
        ipcns: Some(Namespace::private()),
        netns: Some(Namespace::bridge()),
        networks: BTreeMap::from([(name.to_owned(), NetworkAttachment::default())]),
        r_limits: vec![
            Rlimit::new("nofile", limits.nofile),
            Rlimit::new("nproc", limits.nproc),
        ],
        resource_limits: ResourceLimits {
            memory: Some(MemoryLimit {
                limit: limits.memory_bytes,
                swap: limits.memory_bytes,
            }),
            cpu: Some(CpuLimit {
                quota: limits.cpu_quota,
                period: limits.cpu_period,
            }),
            pids: Some(PidsLimit { limit: limits.pids }),
        },
        cgroup_parent: cgroup.map(Cgroup::of_containers),
        timeout: Some(seconds.saturating_add(LAST_RESORT)),
        log_configuration: Some(LogConfiguration {
            driver: "none".to_owned(),
            size: None,
        }),
        oci_runtime: config.oci_runtime.clone(),
        ..ContainerSpec::default()
    }
}

fn environment(app_dir: &str) -> BTreeMap<String, String> {
    [
        ("HOME", "/home/cnb"),
        ("CNB_PLATFORM_API", "0.15"),
        ("CNB_APP_DIR", app_dir),
        ("CNB_LAYERS_DIR", "/layers"),
        ("CNB_PLATFORM_DIR", "/platform"),
        ("CNB_BUILDPACKS_DIR", "/cnb/buildpacks"),
        ("CNB_ORDER_PATH", "/cnb/order.toml"),
        ("CNB_EXEC_ENV", "production"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn binds(mounts: &Mounts) -> Vec<Mount> {
    let bind = |from: &Path, to: &str, read_only| Mount::bind(from.display().to_string(), to, read_only);
    let mut all = vec![
        bind(&mounts.source, "/run/pvdify/source.tar", true),
        bind(&mounts.files, "/run/pvdify/files.toml", true),
        bind(&mounts.workspace, mounts.app_dir, false),
        bind(&mounts.layers, "/layers", false),
        bind(&mounts.platform, "/platform", true),
        bind(&mounts.lifecycle, "/cnb/lifecycle", true),
        bind(&mounts.buildpacks, "/cnb/buildpacks", true),
        bind(&mounts.order, "/cnb/order.toml", true),
        bind(&mounts.downloads_shared, "/downloads/shared", true),
        bind(&mounts.downloads_new, "/downloads/new", false),
        bind(&mounts.tmp, "/tmp", false),
        bind(&mounts.home, "/home/cnb", false),
    ];
    if let Some((ca, apt)) = &mounts.ca {
        all.push(bind(ca, CA_FILE, true));
        all.push(bind(apt, APT_FILE, true));
    }
    all
}

/// Ends the container and removes it when the run ends, in whatever way.
struct Gone(Option<End>);

/// All that is to be removed, and what stays until it is.
struct End {
    podman: Libpod,
    /// Of the container and its network.
    name: String,
    cgroup: Option<Cgroup>,
    held: Held,
}

impl End {
    async fn run(self) -> Result<(), PodmanError> {
        let mut removed = Ok(());
        for _ in 0..END_TRIES {
            removed = self.podman.remove_container(&self.name).await;
            if removed.is_ok() {
                break;
            }
            // What does not end for Podman ends by this.
            self.cgroup.as_ref().map(Cgroup::kill);
            tokio::time::sleep(END_PAUSE).await;
        }
        if let Some(cgroup) = &self.cgroup {
            for _ in 0..END_TRIES {
                if !cgroup.kill() {
                    break;
                }
                tokio::time::sleep(END_PAUSE).await;
            }
            cgroup.remove();
        }
        let removed = removed.and(self.podman.remove_network(&self.name).await);
        drop(self.held);
        removed
    }
}

impl Gone {
    /// Goes on also when nobody waits for it any more.
    async fn now(mut self) -> Result<(), BuildError> {
        let Some(end) = self.0.take() else { return Ok(()) };
        let ended = tokio::spawn(end.run()).await;
        Ok(ended.map_err(BuildError::unavailable)??)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        let Some(end) = self.0.take() else { return };
        tokio::spawn(async move {
            if let Err(error) = end.run().await {
                tracing::warn!(%error, "a cancelled build's container could not be removed");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::turns::Turns, *};

    #[tokio::test]
    async fn the_container_has_no_way_to_root_and_writes_to_its_own_folders_alone() {
        let path = |name: &str| PathBuf::from(format!("/state/{name}"));
        let mounts = Mounts {
            source: path("source.tar"),
            files: path("files.toml"),
            workspace: path("workspace"),
            layers: path("layers"),
            platform: path("platform"),
            lifecycle: path("lifecycle"),
            buildpacks: path("buildpacks"),
            order: path("order.toml"),
            downloads_shared: path("shared"),
            downloads_new: path("new"),
            tmp: path("tmp"),
            home: path("home"),
            app_dir: "/workspace",
            ca: Some((path("ca"), path("apt"))),
        };
        let config = Config {
            podman_socket: PathBuf::new(),
            registry_address: String::new(),
            registry_credentials: ("user".to_owned(), "secret".to_owned()),
            work_dir: PathBuf::new(),
            programs: PathBuf::new(),
            limits: crate::Limits::default(),
            build_ca: None,
            build_env: BTreeMap::new(),
            build_image: "build".to_owned(),
            oci_runtime: None,
            installation: "0190a8c0-0000-7000-8000-000000000000".parse().unwrap(),
        };
        let build: BuildId = "0190a8c0-0000-7000-8000-000000000001".parse().unwrap();
        let app: AppName = "demo".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let folder = crate::Folder {
            path: dir.path().join("build"),
            work_dir: dir.path().to_owned(),
        };
        let held = Held::new(folder, Turns::default().wait(&app).await);
        let job = Job {
            podman: &Libpod::new(PathBuf::new()),
            config: &config,
            app: &app,
            build: &build,
            time: Duration::from_secs(1),
            writable: Vec::new(),
            disk_bytes: 0,
            held: &held,
        };
        let spec = for_build(powerless(&job, "name", None), &mounts);
        let writable: Vec<&str> = spec
            .mounts
            .iter()
            .filter(|mount| mount.options.iter().any(|option| option == "rw"))
            .map(|mount| mount.destination.as_str())
            .collect();
        assert_eq!(
            writable,
            ["/workspace", "/layers", "/downloads/new", "/tmp", "/home/cnb"]
        );
        assert!(spec.read_only_filesystem);
        assert_eq!(spec.cap_drop, ["ALL"]);
        assert!(spec.no_new_privileges && spec.cap_add.is_empty());
        assert_eq!(spec.user.as_deref(), Some("10001:10001"));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(spec.networks.keys().collect::<Vec<_>>(), ["name"]);
        assert!(
            !text.contains("secret") && !text.contains("podman.sock"),
            "{text}"
        );
    }
}

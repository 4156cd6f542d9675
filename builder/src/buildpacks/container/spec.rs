//! What a build's containers are made of: what they see, and how little they may.

use super::{Job, Work};
use crate::{
    buildpacks::{
        ground::Ground,
        platform::{APT_FILE, CA_FILE},
    },
    cgroup::Cgroup,
    podman::{
        ContainerSpec, CpuLimit, LogConfiguration, MemoryLimit, Mount, Namespace, PidsLimit, ResourceLimits,
        Rlimit,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Seconds after the build's limit at which Podman itself ends what a killed server left.
const LAST_RESORT: u32 = 120;

/// Paths on the host that a build container sees.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) source: PathBuf,
    pub(crate) files: PathBuf,
    pub(crate) workspace: PathBuf,
    pub(crate) layers: PathBuf,
    pub(crate) platform: PathBuf,
    pub(crate) lifecycle: PathBuf,
    /// Nothing where the image has its own.
    pub(crate) buildpacks: Option<PathBuf>,
    /// Image extensions, if there are any.
    pub(crate) extensions: Option<PathBuf>,
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
    pub(super) fn writable(&self) -> Vec<PathBuf> {
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

/// What makes the container of the build itself.
pub(super) fn for_build(spec: ContainerSpec, mounts: &Mounts, ground: &Ground, work: &Work) -> ContainerSpec {
    let programs = programs(ground);
    ContainerSpec {
        env: environment(mounts.app_dir, ground),
        work_dir: Some(mounts.app_dir.to_owned()),
        entrypoint: Some(vec![format!("{programs}/lifecycle")]),
        command: Some(vec![work.phase.to_owned()]),
        mounts: binds(mounts, programs),
        image: work.image.clone().unwrap_or(spec.image),
        ..spec
    }
}

/// What all containers of a build have in common: limits, and no power over anything.
pub(super) fn powerless(
    job: &Job<'_>,
    name: &str,
    namespace: &str,
    cgroup: Option<&Cgroup>,
) -> ContainerSpec {
    let (config, limits) = (job.config, &job.config.limits);
    let seconds = u32::try_from(job.time.as_secs()).unwrap_or(u32::MAX);
    ContainerSpec {
        name: name.to_owned(),
        image: job.image.to_owned(),
        labels: labels(job),
        user: Some(format!("{}:{}", job.owner.uid, job.owner.gid)),
        hostname: Some("build".to_owned()),
        // What it writes anywhere else would be on the disk uncounted.
        read_only_filesystem: true,
        image_volume_mode: Some("ignore".to_owned()),
        cap_drop: vec!["ALL".to_owned()],
        no_new_privileges: true,
        // Buildpacks leave processes behind that somebody has to reap.
        init: true,
        ipcns: Some(Namespace::private()),
        netns: Some(Namespace::path(namespace)),
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

/// Where our programs are: a whole builder image has its own where they otherwise would be.
fn programs(ground: &Ground) -> &'static str {
    if ground.has_lifecycle {
        "/run/pvdify/lifecycle"
    } else {
        "/cnb/lifecycle"
    }
}

fn environment(app_dir: &str, ground: &Ground) -> BTreeMap<String, String> {
    let api = ground.api.to_string();
    let phases = ground
        .has_lifecycle
        .then_some(("PVDIFY_PHASES", "/cnb/lifecycle"));
    [
        ("HOME", "/home/cnb"),
        ("CNB_PLATFORM_API", &api),
        ("CNB_APP_DIR", app_dir),
        ("CNB_LAYERS_DIR", "/layers"),
        ("CNB_PLATFORM_DIR", "/platform"),
        ("CNB_BUILDPACKS_DIR", "/cnb/buildpacks"),
        ("CNB_ORDER_PATH", "/cnb/order.toml"),
        ("CNB_EXEC_ENV", "production"),
    ]
    .into_iter()
    .chain(phases)
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn binds(mounts: &Mounts, programs: &str) -> Vec<Mount> {
    let bind = |from: &Path, to: &str, read_only| Mount::bind(from.display().to_string(), to, read_only);
    let mut all = vec![
        bind(&mounts.source, "/run/pvdify/source.tar", true),
        bind(&mounts.files, "/run/pvdify/files.toml", true),
        bind(&mounts.workspace, mounts.app_dir, false),
        bind(&mounts.layers, "/layers", false),
        bind(&mounts.platform, "/platform", true),
        bind(&mounts.lifecycle, programs, true),
        bind(&mounts.order, "/cnb/order.toml", true),
        bind(&mounts.downloads_shared, "/downloads/shared", true),
        bind(&mounts.downloads_new, "/downloads/new", false),
        bind(&mounts.tmp, "/tmp", false),
        bind(&mounts.home, "/home/cnb", false),
    ];
    if let Some(buildpacks) = &mounts.buildpacks {
        all.push(bind(buildpacks, "/cnb/buildpacks", true));
    }
    if let Some(extensions) = &mounts.extensions {
        all.push(bind(extensions, "/cnb/extensions", true));
    }
    if let Some((ca, apt)) = &mounts.ca {
        all.push(bind(ca, CA_FILE, true));
        all.push(bind(apt, APT_FILE, true));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config,
        buildpacks::turns::{Held, Turns},
        export::{Owner, RunImage},
        podman::Libpod,
        sandbox::Sandboxes,
    };
    use pvdify_types::{AppName, BuildId};
    use std::{sync::Arc, time::Duration};

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
            buildpacks: Some(path("buildpacks")),
            extensions: Some(path("extensions")),
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
        let working = crate::rest::Work::default().begin().await;
        let held = Held::new(folder, Turns::default().wait(&app).await, working);
        let config = Arc::new(config);
        let sandboxes = Sandboxes::new(Libpod::new(PathBuf::new()), Arc::clone(&config));
        for ground in [ground(10001, false), ground(1001, true)] {
            let job = Job {
                podman: &Libpod::new(PathBuf::new()),
                config: &config,
                app: &app,
                build: &build,
                time: Duration::from_secs(1),
                writable: Vec::new(),
                disk_bytes: 0,
                sandboxes: &sandboxes,
                held: &held,
                image: &ground.image,
                owner: ground.owner,
            };
            let work = Work {
                phase: "resume",
                image: Some("extended".to_owned()),
                time: Duration::from_secs(1),
            };
            let spec = for_build(
                powerless(&job, "name", "/run/netns/n", None),
                &mounts,
                &ground,
                &work,
            );
            assert_eq!(
                (spec.image.as_str(), spec.command.as_deref()),
                ("extended", Some(&["resume".to_owned()][..]))
            );
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
            assert!(spec.read_only_filesystem && spec.image_volume_mode.as_deref() == Some("ignore"));
            assert_eq!(spec.cap_drop, ["ALL"]);
            assert!(spec.no_new_privileges && spec.cap_add.is_empty());
            assert_eq!(spec.user, Some(format!("{0}:{0}", ground.owner.uid)));
            let text = serde_json::to_string(&spec).unwrap();
            assert_eq!(spec.netns, Some(Namespace::path("/run/netns/n")));
            assert!(spec.networks.is_empty());
            assert!(
                !text.contains("secret") && !text.contains("podman.sock"),
                "{text}"
            );
            // A whole builder's own lifecycle stays where it is.
            let is_over = spec
                .mounts
                .iter()
                .any(|mount| mount.destination == "/cnb/lifecycle");
            assert_eq!(is_over, !ground.has_lifecycle);
            assert_eq!(spec.env.contains_key("PVDIFY_PHASES"), ground.has_lifecycle);
        }
    }

    fn ground(id: u32, has_lifecycle: bool) -> Ground {
        Ground {
            image: "image".to_owned(),
            owner: Owner { uid: id, gid: id },
            api: pvdify_cnb::api::PLATFORM,
            has_lifecycle,
            run_image: RunImage {
                repository: "pvdify/run".parse().unwrap(),
                reference: "trixie".parse().unwrap(),
                image: String::new(),
                mirrors: Vec::new(),
            },
            launcher: PathBuf::new(),
            launcher_version: String::new(),
            note: String::new(),
        }
    }
}

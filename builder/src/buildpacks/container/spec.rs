//! What a build's containers are made of: what they see, and how little they may.

use super::Job;
use crate::{
    buildpacks::{
        owned::CNB_ID,
        platform::{APT_FILE, CA_FILE},
    },
    cgroup::Cgroup,
    podman::{
        ContainerSpec, CpuLimit, LogConfiguration, MemoryLimit, Mount, Namespace, NetworkAttachment,
        PidsLimit, ResourceLimits, Rlimit,
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

pub(super) fn labels(job: &Job<'_>) -> BTreeMap<String, String> {
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
pub(super) fn for_build(spec: ContainerSpec, mounts: &Mounts) -> ContainerSpec {
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
pub(super) fn powerless(job: &Job<'_>, name: &str, cgroup: Option<&Cgroup>) -> ContainerSpec {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Config,
        buildpacks::turns::{Held, Turns},
        podman::Libpod,
    };
    use pvdify_types::{AppName, BuildId};
    use std::time::Duration;

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

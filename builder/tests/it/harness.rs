//! A Podman service, a registry and a builder, all of one test's own and gone with it.

use futures_util::{FutureExt, future::BoxFuture};
use pvdify_builder::{
    BuildError, Builder, Built, Config, Limits, Request, Resolver,
    podman::{Libpod, forget_bridge},
};
use pvdify_registry::{Access, Action, Credentials, Store, router};
use pvdify_types::{AppName, BuildId, BuildVars, InstallationId, config_vars::NO_BUILD_VARS};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// How long what a test started may take to be gone by itself.
const END_LIMIT: Duration = Duration::from_secs(5);

pub(crate) const CREDENTIALS: (&str, &str) = ("builder", "s3cret");

/// The builder's user may do all; anyone may pull from `public/`.
struct BuilderOnly;

impl Access for BuilderOnly {
    fn allows<'a>(
        &'a self,
        credentials: Option<Credentials<'a>>,
        repository: Option<&'a str>,
        action: Action,
    ) -> BoxFuture<'a, bool> {
        let known = credentials.is_some_and(|given| (given.user, given.password) == CREDENTIALS);
        // `/v2/` stays closed: Podman sends its password only where that path asks for one.
        let open = action == Action::Pull && repository.is_some_and(|name| name.starts_with("public/"));
        async move { known || open }.boxed()
    }
}

/// A registry on an ephemeral port.
pub(crate) async fn registry(folder: &Path) -> (Store, SocketAddr) {
    let store = Store::open(folder).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(store.clone(), Arc::new(BuilderOnly));
    // Ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, app).await });
    (store, address)
}

/// Podman with a storage of its own below this folder.
fn podman(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.arg("--root").arg(folder.join("root"));
    command.arg("--runroot").arg(folder.join("run"));
    command.args([
        "--storage-driver=vfs",
        "--runtime=runc",
        "--cgroup-manager=cgroupfs",
    ]);
    command
}

/// `podman system service` with its own root.
pub(crate) struct Podman {
    child: Child,
    root: PathBuf,
}

impl Podman {
    pub(crate) async fn start(root: &Path) -> Self {
        let podman = Self {
            child: Self::service(root),
            root: root.to_owned(),
        };
        until("the Podman service answers", async || {
            podman.client().info().await.is_ok()
        })
        .await;
        podman
    }

    /// After [`Podman::kill`].
    pub(crate) async fn start_again(&mut self) {
        self.child = Self::service(&self.root);
        until("the Podman service answers", async || {
            self.client().info().await.is_ok()
        })
        .await;
    }

    fn service(root: &Path) -> Child {
        let socket = root.join("podman.sock");
        let mut command = podman(root);
        command
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", socket.display()))
            .env("TMPDIR", root)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().expect("podman is installed")
    }

    pub(crate) fn client(&self) -> Libpod {
        Libpod::new(self.root.join("podman.sock"))
    }

    /// As a crash does it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        // Containers outlive the service.
        podman(&self.root)
            .args(["rm", "--all", "--force", "--time=0"])
            .output()
            .ok();
        // The monitor of a container that ended has Podman clean up after it, which makes the folders of the storage
        // anew where they are gone; that of a command in one does so five minutes later, and is ended instead.
        // The list of processes is no snapshot: one look misses what begins as another ends.
        let (begun, mut unseen) = (Instant::now(), 0);
        while unseen < 3 && begun.elapsed() < 4 * END_LIMIT {
            std::thread::sleep(Duration::from_millis(10));
            let found = naming(&self.root);
            unseen = if found.is_empty() { unseen + 1 } else { 0 };
            if begun.elapsed() > END_LIMIT {
                for pid in found {
                    kill_process(pid, Signal::KILL).ok();
                }
            }
        }
        // What Buildah or the storage driver left mounted would keep the folder from going.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let root = self.root.to_string_lossy();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points
            .filter(|point| point.starts_with(&*root))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            Command::new("umount").args(["-l", point]).status().ok();
        }
    }
}

/// The processes that bear the folder in their arguments.
fn naming(folder: &Path) -> Vec<Pid> {
    let folder = folder.as_os_str().as_encoded_bytes();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let named = processes.filter(|process| {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.windows(folder.len()).any(|part| part == folder)
    });
    let pids = named.filter_map(|process| process.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).collect()
}

pub(crate) struct Bench {
    // Dropped in this order: the service before its folder.
    pub(crate) podman: Podman,
    pub(crate) builder: Builder,
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, address) = registry(&folder.path().join("registry")).await;
        let podman = Podman::start(folder.path()).await;
        let id = folder
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_lowercase();
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        let mut config = Config {
            podman_socket: folder.path().join("podman.sock"),
            registry_address: address.to_string(),
            registry_credentials: (CREDENTIALS.0.to_owned(), CREDENTIALS.1.to_owned()),
            work_dir: folder.path().join("work"),
            limits: Limits {
                nofile: 4096,
                free_bytes: 0,
                ..Limits::default()
            },
            build_ca: None,
            programs: PathBuf::new(),
            build_env: std::collections::BTreeMap::new(),
            build_image: "localhost/build:none".to_owned(),
            oci_runtime: None,
            installation: format!("test{id}").parse().unwrap(),
        };
        change(&mut config);
        Self {
            podman,
            builder: Builder::new(config.clone(), store.clone()),
            config,
            store,
            folder,
        }
    }

    /// A bench whose Podman has `pvdify/run:trixie`, made of a static busybox.
    pub(crate) async fn with_run_image(change: impl FnOnce(&mut Config)) -> Self {
        let bench = Self::with(change).await;
        bench
            .import(
                "localhost/pvdify/run:trixie&changes=CMD%20%5B%22%2Fbin%2Fsh%22%5D",
                run_image(),
            )
            .await;
        bench
    }

    /// Makes an image of one layer in Podman's storage.
    pub(crate) async fn import(&self, name: &str, tar: bytes::Bytes) {
        let path = format!("/libpod/images/import?reference={name}");
        let (headers, body) = (http::HeaderMap::new(), pvdify_builder::podman::full_body(tar));
        let imported = self
            .podman
            .client()
            .request(http::Method::POST, &path, headers, body)
            .await;
        // Done when the answer is, not when it begins.
        http_body_util::BodyExt::collect(imported.unwrap().into_body())
            .await
            .unwrap();
    }

    pub(crate) fn source(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.tar"));
        let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, content) in files {
            append(&mut tar, name, content);
        }
        tar.finish().unwrap();
        path
    }

    /// Builds files as `app`; the log and the result.
    pub(crate) async fn build(
        &self,
        build: &str,
        files: &[(&str, &[u8])],
    ) -> (Vec<String>, Result<Built, BuildError>) {
        self.build_with(build, files, NO_BUILD_VARS).await
    }

    /// The same with config vars that the build sees.
    pub(crate) async fn build_with(
        &self,
        build: &str,
        files: &[(&str, &[u8])],
        config: &BuildVars,
    ) -> (Vec<String>, Result<Built, BuildError>) {
        let source = self.source(build, files);
        self.build_source(build, &source, config).await
    }

    /// Builds a tar file as `app`.
    pub(crate) async fn build_source(
        &self,
        build: &str,
        source: &Path,
        config: &BuildVars,
    ) -> (Vec<String>, Result<Built, BuildError>) {
        let (output, mut lines) = mpsc::channel(16);
        let collect = async {
            let mut all = Vec::new();
            while let Some(line) = lines.recv().await {
                all.push(line);
            }
            all
        };
        let app = "demo".parse().unwrap();
        let build = build.parse().unwrap();
        let request = Request {
            config,
            ..request(&app, &build, source)
        };
        let (result, all) = tokio::join!(self.builder.build(request, output), collect);
        (all, result)
    }

    /// The build containers that Podman's storage holds.
    pub(crate) async fn build_containers(&self) -> usize {
        let all: Vec<serde_json::Value> = self
            .podman
            .client()
            .get("/libpod/containers/json?all=true&external=true")
            .await
            .unwrap();
        all.len()
    }

    /// Whether a process of this bench's builds runs.
    pub(crate) fn has_build_process(&self) -> bool {
        has_build_process(&self.config.installation)
    }
}

/// Whether a process of an installation's builds runs; one that was killed may have yet to be reaped.
pub(crate) fn has_build_process(installation: &InstallationId) -> bool {
    let group = format!("/pvdify-build-{installation}/");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    processes
        .map(|entry| entry.path())
        .any(|folder| read(&folder, "cgroup").contains(&group) && !read(&folder, "stat").contains(") Z "))
}

impl Bench {
    /// Whether this installation's control group is there, which a builder keeps for its next build.
    pub(crate) fn has_control_group(&self) -> bool {
        let name = format!("pvdify-build-{}", self.config.installation);
        control_groups().any(|folder| folder.ends_with(&name))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Podman keeps networks beside its storages: they are there for all of them.
        let label = format!("label=pvdify.installation={}", self.config.installation);
        let ask = |args: &[&str]| {
            let asked = podman(self.folder.path()).arg("network").args(args).output();
            asked.map_or_else(
                |_| String::new(),
                |output| String::from_utf8_lossy(&output.stdout).into_owned(),
            )
        };
        for network in ask(&["ls", "--quiet", "--filter", &label]).lines() {
            forget_bridge(ask(&["inspect", "--format", "{{.NetworkInterface}}", network]).trim());
            ask(&["rm", "--force", network]);
        }
        let group = format!("pvdify-build-{}", self.config.installation);
        for folder in control_groups() {
            // Also those of a second installation, whose name begins with the first one's.
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&group) {
                remove_group(&folder);
            }
        }
    }
}

/// The uppermost control groups of each hierarchy.
fn control_groups() -> impl Iterator<Item = PathBuf> {
    let mount = PathBuf::from("/sys/fs/cgroup");
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let hierarchies = folders(&mount).into_iter().chain([mount]);
    hierarchies.flat_map(move |hierarchy| folders(&hierarchy))
}

/// A build of a source, with nothing set besides.
pub(crate) fn request<'a>(app: &'a AppName, build: &'a BuildId, source: &'a Path) -> Request<'a> {
    Request {
        app,
        build,
        source,
        commit: None,
        buildpacks: &[],
        first_config: None,
        config: NO_BUILD_VARS,
        bindings: &[],
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .unwrap_or_else(|_| panic!("waited too long until {what}"));
}

pub(crate) fn append(tar: &mut tar::Builder<impl std::io::Write>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(if name.starts_with("bin/") { 0o755 } else { 0o644 });
    header.set_cksum();
    tar.append_data(&mut header, name, content).unwrap();
}

/// A root file system with a shell, packed once per run of the tests.
fn run_image() -> bytes::Bytes {
    static IMAGE: OnceLock<bytes::Bytes> = OnceLock::new();
    let pack = || {
        let mut tar = tar::Builder::new(Vec::new());
        append_busybox(
            &mut tar,
            &[
                "sh", "cat", "ls", "sleep", "stty", "wget", "seq", "dd", "touch", "false",
            ],
        );
        tar.into_inner().unwrap().into()
    };
    IMAGE.get_or_init(pack).clone()
}

/// A static busybox, and links to it under these names.
pub(crate) fn append_busybox(tar: &mut tar::Builder<impl std::io::Write>, applets: &[&str]) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .iter()
        .find_map(|path| std::fs::read(path).ok())
        .expect("busybox-static is installed");
    append(tar, "bin/busybox", &busybox);
    for applet in applets {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox")
            .unwrap();
    }
}

/// Removes a control group's folder and all below it.
fn remove_group(folder: &Path) {
    for child in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&child.path());
        }
    }
    // It may never have been made.
    std::fs::remove_dir(folder).ok();
}

/// Names as someone would set them up who wants the server to fetch from its own inside.
pub(crate) fn inside() -> Resolver {
    Arc::new(|host| {
        let addresses: &[&str] = match host.as_str() {
            "metadata.example" => &["169.254.169.254"],
            "both.example" => &["93.184.216.34", "10.0.0.7"],
            "six.example" => &["fe80::1"],
            _ => &["93.184.216.34"],
        };
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Box::pin(std::future::ready(Ok(addresses)))
    })
}

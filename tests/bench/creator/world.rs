//! What both sides share: a registry on loopback with the run image in it, Podman, a source and a buildpack.

use super::buildpack;
use futures_util::future::BoxFuture;
use pvdify_builder::{Builder, Config, Limits};
use pvdify_registry::{Access, Action, Credentials, Store};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(super) const BUILD_IMAGE: &str = "localhost/pvdify/build:trixie";
/// The user of the images.
pub(super) const CNB: u32 = 10_001;

/// A registry that lets everybody do everything.
struct Open;

impl Access for Open {
    fn allows<'a>(
        &'a self,
        _: Option<Credentials<'a>>,
        _: Option<&'a str>,
        _: Action,
    ) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

pub(super) struct World {
    // Dropped in this order: the service before its folder.
    _service: Service,
    folder: TempDir,
    pub(super) reference: PathBuf,
    pub(super) programs: PathBuf,
    pub(super) registry: String,
    pub(super) builder: Builder,
}

impl World {
    pub(super) async fn start(reference: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // The peer's user has to get at its folders.
        open_to_all(folder.path());
        let store = Store::open(&folder.path().join("registry")).expect("a registry");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let registry = listener.local_addr().expect("an address").to_string();
        let app = pvdify_registry::router(store.clone(), Arc::new(Open));
        // Ends with the benchmark.
        tokio::spawn(async move { axum::serve(listener, app).await });
        let service = Service::start(&folder.path().join("podman.sock"));
        let programs = pvdify_tests::build_programs();
        let config = Config {
            podman_socket: folder.path().join("podman.sock"),
            registry_address: registry.clone(),
            registry_credentials: ("bench".to_owned(), "bench".to_owned()),
            work_dir: folder.path().join("work"),
            programs: programs.clone(),
            limits: Limits::default(),
            build_ca: None,
            build_env: BTreeMap::new(),
            build_image: BUILD_IMAGE.to_owned(),
            oci_runtime: Some("runc".to_owned()),
            installation: installation().parse().expect("an installation's id"),
        };
        let builder = Builder::new(config, store);
        builder
            .publish_run_image()
            .await
            .expect("the run image is published: `pvdifyd stack build` makes it where it is missing");
        builder
            .get_ready()
            .await
            .expect("what a server makes at its start is made");
        buildpack::write(&folder.path().join("buildpacks").join(buildpack::FOLDER));
        fs::write(folder.path().join("order.toml"), buildpack::ORDER).expect("the order is written");
        Self {
            _service: service,
            folder,
            reference: reference.to_owned(),
            programs,
            registry,
            builder,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The app: 200 files of code, of which one says what version it is.
    pub(super) fn write_source(&self, version: &str) {
        let source = self.path("source");
        fs::create_dir_all(source.join("code")).expect("a folder");
        for file in 0..200 {
            let text = format!("line {file} of the code\n").repeat(100);
            fs::write(source.join(format!("code/{file}.txt")), text).expect("the code is written");
        }
        fs::write(source.join("code/version.txt"), version).expect("the code is written");
        let (tar, source) = (self.path("source.tar"), source.display().to_string());
        pvdify_tests::run("tar", &["-cf", &tar.display().to_string(), "-C", &source, "."]);
    }

    /// `podman run` of the build image as its user, with these folders of the host and this command.
    pub(super) fn container(&self, mounts: &[(PathBuf, &str)], command: &[&str]) -> Command {
        let mut podman = Command::new("podman");
        podman
            .args(["run", "--rm", "--runtime", "runc", "--network", "host"])
            .args(["--ulimit", "nofile=16384:16384", "--ulimit", "nproc=16384:16384"])
            .args(["--env", "CNB_PLATFORM_API=0.14"])
            .arg(format!("--user={CNB}:{CNB}"));
        for (from, to) in mounts {
            podman.arg(format!("--volume={}:{to}", from.display()));
        }
        podman.arg(BUILD_IMAGE).args(command).stdin(Stdio::null());
        podman
    }
}

impl Drop for World {
    fn drop(&mut self) {
        pvdify_tests::leftovers::remove(&installation(), Some(&self.registry));
    }
}

/// What its containers and control groups are known by.
fn installation() -> String {
    format!("bench{}", std::process::id())
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("the folder is opened");
}

/// An empty folder of the images' user.
pub(super) fn fresh(folder: &Path) {
    if folder.exists() {
        fs::remove_dir_all(folder).expect("the old folder goes");
    }
    fs::create_dir_all(folder).expect("a folder");
    std::os::unix::fs::chown(folder, Some(CNB), Some(CNB)).expect("its owner");
}

/// `podman system service` of its own.
struct Service(Child);

impl Service {
    fn start(socket: &Path) -> Self {
        let child = Command::new("podman")
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", socket.display()))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("Podman starts");
        let service = Self(child);
        let started = Instant::now();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(60),
                "Podman does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        service
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do about either.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

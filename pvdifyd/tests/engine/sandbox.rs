//! A real Podman for one test: its own API service, its own installation id, its own image; all of it is
//! gone at the end, also when the test fails.

use pvdify_builder::podman::forget_bridge;
use pvdify_types::{ImageRef, InstallationId};
use pvdifyd::{
    engine::{
        podman::{PodmanEngine, PodmanOptions, RegistryAccess},
        probe,
        service::{PodmanService, ServiceOptions},
    },
    volumes::Volumes,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// The commands of the image, all of them busybox.
const APPLETS: [&str; 13] = [
    "sh", "sleep", "echo", "httpd", "cat", "env", "kill", "seq", "mkdir", "nc", "true", "id", "printf",
];

pub(crate) struct Sandbox {
    pub(crate) installation: InstallationId,
    pub(crate) service: Arc<PodmanService>,
    /// Pinned by a digest that local storage knows.
    pub(crate) image: ImageRef,
    /// Its local name.
    pub(crate) tag: String,
    // Before the folder: the service writes there.
    _cleanup: Cleanup,
    pub(crate) dir: tempfile::TempDir,
}

/// Made before there is anything to clean up, so that a sandbox that is half made leaves nothing either.
struct Cleanup {
    filter: String,
    tag: String,
    socket: PathBuf,
}

impl Sandbox {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let tag = format!("localhost/pvdify-test-{id}:1");
        let cleanup = Cleanup {
            filter: format!("label=pvdify.installation=test-{id}"),
            tag: tag.clone(),
            socket: dir.path().join("run/podman.sock"),
        };
        let service = PodmanService::find_or_start(service_options(dir.path()))
            .await
            .unwrap();
        let digest = import_image(dir.path(), &id, &tag);
        Self {
            installation: format!("test-{id}").parse().unwrap(),
            service: Arc::new(service),
            image: format!("localhost/pvdify-test-{id}@{digest}").parse().unwrap(),
            tag,
            _cleanup: cleanup,
            dir,
        }
    }

    pub(crate) async fn engine(&self) -> Arc<PodmanEngine> {
        self.engine_with(None).await
    }

    pub(crate) async fn engine_with(&self, registry: Option<RegistryAccess>) -> Arc<PodmanEngine> {
        let host = probe::probe(self.service.socket()).await.unwrap();
        let options = PodmanOptions {
            limits: host.limits,
            init: host.init,
            registry,
        };
        let service = Arc::clone(&self.service);
        let engine = PodmanEngine::new(self.installation.clone(), service, options, self.volumes());
        Arc::new(engine)
    }

    pub(crate) fn volumes(&self) -> Volumes {
        Volumes::open(&self.dir.path().join("volumes")).unwrap()
    }
}

pub(crate) fn service_options(state_dir: &Path) -> ServiceOptions {
    ServiceOptions {
        use_system_socket: false,
        ..ServiceOptions::new(state_dir)
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // First: what the test asked of it last would otherwise be made after it was looked for.
        self.kill_service();
        for id in try_podman(&["ps", "-aq", "--no-trunc", "--filter", &self.filter]).lines() {
            try_podman(&["rm", "-f", "-t", "0", "-v", id]);
        }
        for id in try_podman(&["network", "ls", "-q", "--filter", &self.filter]).lines() {
            let bridge = try_podman(&["network", "inspect", "--format", "{{.NetworkInterface}}", id]);
            forget_bridge(&bridge);
            try_podman(&["network", "rm", "-f", id]);
        }
        try_podman(&["rmi", "-f", &self.tag]);
        // Again: a reconciler of the test may have revived it.
        self.kill_service();
    }
}

impl Cleanup {
    fn kill_service(&self) {
        let begun = std::time::Instant::now();
        let mut pids = service_pids(&self.socket);
        while !pids.is_empty() && begun.elapsed().as_secs() < 10 {
            for pid in pids {
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            pids = service_pids(&self.socket);
        }
    }
}

/// The API service of one socket, found by its own argument.
pub(crate) fn service_pids(socket: &Path) -> Vec<rustix::process::Pid> {
    let url = format!("unix://{}", socket.display());
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            arguments
                .split(|byte| *byte == 0)
                .any(|argument| argument == url.as_bytes())
        })
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

/// Runs Podman and gives what it printed.
pub(crate) fn podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "podman {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The same where it may fail: a failure in clean-up must not hide the test's own.
fn try_podman(arguments: &[&str]) -> String {
    let output = Command::new("podman").args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Imports an image of its own content, since Podman's storage does not take it well when one process
/// removes a layer that another adds; gives its digest.
fn import_image(dir: &Path, id: &str, tag: &str) -> String {
    let root = dir.join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::write(root.join("id"), id).unwrap();
    fs::copy("/bin/busybox", root.join("bin/busybox"))
        .expect("busybox is needed: apt-get install busybox-static");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let archive = dir.join("root.tar");
    let (root, archive) = (root.to_str().unwrap(), archive.to_str().unwrap());
    let tar = Command::new("tar")
        .args(["-cf", archive, "-C", root, "."])
        .status()
        .unwrap();
    assert!(tar.success());
    let command = r#"CMD ["/bin/sleep","1000"]"#;
    // A prune by another user of this host may take an image between its import and its name.
    for _ in 0..3 {
        podman(&["import", "-q", "--change", command, archive, tag]);
        let digest = try_podman(&["image", "inspect", "--format", "{{.Digest}}", tag]);
        if !digest.is_empty() {
            return digest;
        }
    }
    podman(&["image", "inspect", "--format", "{{.Digest}}", tag])
}

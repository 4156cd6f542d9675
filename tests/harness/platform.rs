//! A whole Pvdify of one's own.

use crate::{
    binaries::{binary, run},
    disk::SmallDisk,
    leftovers,
};
use serde_json::Value;
use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a start may take on a busy machine before the scenario gives up.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(180);

/// A running `pvdifyd --dev` on free ports.
pub struct Platform {
    place: Place,
    child: Option<Child>,
    pub(crate) args: &'static [&'static str],
    pub(crate) settings: Vec<(String, String)>,
    addresses: Value,
}

/// Where the state directory is.
enum Place {
    Folder(TempDir),
    Disk(SmallDisk),
}

impl Platform {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with more settings, as `("PVDIFY_...", "...")`.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_as(&["--dev"], settings, Place::Folder(folder())).await
    }

    /// Starts one whose state directory is on this disk; its log is not.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_on(disk: SmallDisk) -> Self {
        Self::start_as(&["--dev"], &[], Place::Disk(disk)).await
    }

    /// Starts one without `--dev`, as on a server: the API wants a token.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_server() -> Self {
        Self::start_as(&[], &[], Place::Folder(folder())).await
    }

    async fn start_as(args: &'static [&'static str], settings: &[(&str, &str)], place: Place) -> Self {
        let mut all: Vec<(String, String)> = ["LISTEN", "SSH_LISTEN", "HTTP_LISTEN", "REGISTRY_LISTEN"]
            .map(|name| (format!("PVDIFY_{name}"), "127.0.0.1:0".to_owned()))
            .into();
        all.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut platform = Self {
            place,
            child: None,
            args,
            settings: all,
            addresses: Value::Null,
        };
        platform.boot().await;
        // From here on the same ports, so that a restart is one that a user would see.
        for (name, part) in [
            ("LISTEN", "api"),
            ("SSH_LISTEN", "ssh"),
            ("HTTP_LISTEN", "http"),
            ("REGISTRY_LISTEN", "registry"),
        ] {
            // A part that another process runs has none here.
            let Some(address) = platform.addresses[part].as_str().map(str::to_owned) else {
                continue;
            };
            platform.settings.push((format!("PVDIFY_{name}"), address));
        }
        platform
    }

    /// Starts pvdifyd (again) and waits until the API answers.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub async fn boot(&mut self) {
        let published = self.state_dir().join("run/addresses.json");
        if published.exists() {
            std::fs::remove_file(&published).expect("the old addresses go");
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        let child = Command::new(binary("pvdifyd"))
            .args(self.args)
            .env("PVDIFY_STATE_DIR", self.state_dir())
            .env(
                "PVDIFY_LOG_LEVEL",
                "debug,hyper=info,h2=info,russh=info,reqwest=info",
            )
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("pvdifyd starts");
        self.child = Some(child);
        let started = Instant::now();
        loop {
            assert!(
                started.elapsed() < START_LIMIT,
                "pvdifyd does not come up:\n{}",
                self.log()
            );
            let exited = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            assert!(
                exited.is_none(),
                "pvdifyd ended at its start: {exited:?}\n{}",
                self.log()
            );
            let text = std::fs::read_to_string(&published).unwrap_or_default();
            if let Ok(addresses) = serde_json::from_str(&text) {
                self.addresses = addresses;
                if self.api().health().await.is_ok() {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`, and waits for the process to be gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("pvdifyd runs");
        child.kill().expect("pvdifyd is killed");
        child.wait().expect("pvdifyd is gone");
    }

    /// `kill -9` of its Podman service, with whatever build that is at work.
    pub fn kill_podman(&self) {
        leftovers::stop_podman_service(self.state_dir());
    }

    /// SIGTERM to what the RUN steps of its builds run.
    ///
    /// # Panics
    /// When none runs.
    pub fn end_run_steps(&self) {
        let id = self.installation().expect("a server that builds has an id");
        let pids = leftovers::build_processes(&id);
        let pids: Vec<&str> = pids.iter().map(String::as_str).collect();
        run("kill", &[&["-TERM"], pids.as_slice()].concat());
    }

    /// The process id of pvdifyd.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("pvdifyd runs").id()
    }

    /// Where a part listens: `api`, `ssh`, `http` or `registry`.
    ///
    /// # Panics
    /// When there is no such part.
    #[must_use]
    pub fn address(&self, part: &str) -> SocketAddr {
        let text = self.addresses[part]
            .as_str()
            .unwrap_or_else(|| panic!("no address of {part}"));
        text.parse().expect("an address")
    }

    /// `id pid` of each running container, sorted: changes when one is restarted.
    ///
    /// # Panics
    /// When it was never started.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let id = self.installation().expect("pvdifyd writes its installation's id");
        leftovers::running(&id)
    }

    /// Sends SIGUSR1 to the first process of the running containers that are not among `before`.
    ///
    /// # Panics
    /// When there is none.
    pub fn signal_new(&self, before: &[String]) {
        let running = self.running();
        let new = running.iter().filter(|line| !before.contains(line));
        let ids: Vec<&str> = new.filter_map(|line| line.split(' ').next()).collect();
        assert!(!ids.is_empty(), "only those run: {before:?}");
        run(
            "podman",
            &[&["kill", "--signal", "USR1"], ids.as_slice()].concat(),
        );
    }

    /// Waits until so many containers run; what went or failed is gone a moment later.
    ///
    /// # Panics
    /// When it is another number for a minute.
    pub async fn wait_running(&self, count: usize) {
        let begun = Instant::now();
        while self.running().len() != count {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "not {count} run, but {:?}",
                self.running()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What its containers, networks and builds are recognised by; `None` when it never came that far.
    #[must_use]
    pub fn installation(&self) -> Option<String> {
        let id = std::fs::read_to_string(self.state_dir().join("installation-id")).ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    /// Everything under here is what must survive.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        match &self.place {
            Place::Folder(folder) => folder.path(),
            Place::Disk(disk) => disk.path(),
        }
    }

    /// The disk of [`Self::start_on`].
    ///
    /// # Panics
    /// When it was started otherwise.
    #[must_use]
    pub fn disk(&self) -> &SmallDisk {
        match &self.place {
            Place::Folder(_) => panic!("this platform has no disk of its own"),
            Place::Disk(disk) => disk,
        }
    }

    fn log_file(&self) -> PathBuf {
        match &self.place {
            Place::Folder(folder) => folder.path().join("pvdifyd.log"),
            Place::Disk(disk) => disk.beside("pvdifyd.log"),
        }
    }

    /// What pvdifyd logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let file = self.log_file();
        // A device has no end.
        if file.metadata().is_ok_and(|meta| meta.is_file()) {
            std::fs::read_to_string(file).unwrap_or_default()
        } else {
            String::new()
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- pvdifyd.log (end)\n{}", tail(&self.log(), 80));
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; then there is nothing to kill, only to reap.
            child.kill().ok();
            child.wait().ok();
        }
        leftovers::stop_podman_service(self.state_dir());
        // One that never got an id never got to Podman either.
        if let Some(id) = self.installation() {
            leftovers::remove(&id, self.addresses["registry"].as_str());
        }
    }
}

fn folder() -> TempDir {
    let mut folder = tempfile::Builder::new();
    folder.prefix("pvdify-").tempdir().expect("a state directory")
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

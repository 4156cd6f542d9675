//! A whole Pvdify of one's own.

use crate::{binaries::binary, podman};
use pvdify_client::Client;
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
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `pvdifyd --dev` on free ports.
pub struct Platform {
    state: TempDir,
    child: Option<Child>,
    args: &'static [&'static str],
    settings: Vec<(String, String)>,
    addresses: Value,
    installation: String,
}

/// A process that runs one part of Pvdify; killed when dropped.
pub struct Part {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Part {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill, only to reap.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a success.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
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
        Self::start_as(&["--dev"], settings).await
    }

    /// Starts one without `--dev`, as on a server: the API wants a token.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_server() -> Self {
        Self::start_as(&[], &[]).await
    }

    async fn start_as(args: &'static [&'static str], settings: &[(&str, &str)]) -> Self {
        let mut all: Vec<(String, String)> = ["LISTEN", "SSH_LISTEN", "HTTP_LISTEN", "REGISTRY_LISTEN"]
            .map(|name| (format!("PVDIFY_{name}"), "127.0.0.1:0".to_owned()))
            .into();
        all.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut platform = Self {
            state: tempfile::Builder::new()
                .prefix("pvdify-")
                .tempdir()
                .expect("a state directory"),
            child: None,
            args,
            settings: all,
            addresses: Value::Null,
            installation: String::new(),
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
        let published = self.state.path().join("run/addresses.json");
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
            .env("PVDIFY_STATE_DIR", self.state.path())
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
        let id = std::fs::read_to_string(self.state.path().join("installation-id"));
        id.expect("pvdifyd writes its installation's id")
            .trim()
            .clone_into(&mut self.installation);
    }

    /// Starts one more process that runs this part alone (`git` or `router`) on a free port, and waits until
    /// it listens; gives the process and its address.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_part(&self, part: &str) -> Part {
        let published = self.state.path().join(format!("run/addresses-{part}.json"));
        if published.exists() {
            std::fs::remove_file(&published).expect("the old address goes");
        }
        // Owned from the start, so that it ends with the scenario whatever comes; its own address is read below.
        let mut part_process = Part {
            address: self.address("api"),
            child: Command::new(binary("pvdifyd"))
                .args(self.args)
                .env("PVDIFY_STATE_DIR", self.state.path())
                .envs(self.settings.iter().map(|(name, value)| (name, value)))
                .env("PVDIFY_PARTS", part)
                .env("PVDIFY_SSH_LISTEN", "127.0.0.1:0")
                .env("PVDIFY_HTTP_LISTEN", "127.0.0.1:0")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("pvdifyd starts"),
        };
        let started = Instant::now();
        loop {
            assert!(
                started.elapsed() < START_LIMIT,
                "the part {part} does not come up"
            );
            let text = std::fs::read_to_string(&published).unwrap_or_default();
            let name = if part == "git" { "ssh" } else { "http" };
            let address = serde_json::from_str::<Value>(&text)
                .ok()
                .and_then(|all| all[name].as_str()?.parse().ok());
            if let Some(address) = address {
                part_process.address = address;
                return part_process;
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

    /// The API, as a program would use it.
    ///
    /// # Panics
    /// Never: a loopback URL is one.
    #[must_use]
    pub fn api(&self) -> Client {
        Client::over_tcp(&format!("http://{}", self.address("api")), None).expect("a loopback URL is one")
    }

    /// Runs `pvdify ARGS` as a person would.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn cli(&self, args: &[&str]) -> Output {
        self.cli_with_token(args, "").await
    }

    /// Runs `pvdifyd ARGS` on the host, beside the running server.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn on_host(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(binary("pvdifyd"));
        command.args(args).env("PVDIFY_STATE_DIR", self.state.path());
        output_of(command).await
    }

    /// Runs `pvdify ARGS` with this token in `PVDIFY_TOKEN`.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn cli_with_token(&self, args: &[&str], token: &str) -> Output {
        let mut command = tokio::process::Command::new(binary("pvdify"));
        command
            .args(args)
            .env("PVDIFY_API_URL", format!("http://{}", self.address("api")))
            .env("PVDIFY_TOKEN", token)
            .env_remove("PVDIFY_APP");
        output_of(command).await
    }

    /// GETs a path of an app through the router; the status and the body.
    ///
    /// # Panics
    /// When the router does not answer at all.
    pub async fn get(&self, app: &str, path: &str) -> (u16, String) {
        self.get_host(&format!("{app}.localhost"), path).await
    }

    /// GETs a path of a host through the router.
    ///
    /// # Panics
    /// When the router does not answer at all.
    pub async fn get_host(&self, host: &str, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.address("http"));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let response = client
            .get(url)
            .header("host", host)
            .send()
            .await
            .expect("the router answers");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// Waits until an app answers `/` with a body that holds `text`.
    ///
    /// # Panics
    /// When it does not within `limit`.
    pub async fn wait_for(&self, app: &str, text: &str, limit: Duration) -> Duration {
        let started = Instant::now();
        loop {
            let url = format!("http://{}/", self.address("http"));
            let client = reqwest::Client::builder().no_proxy().build().expect("a client");
            let last = match client
                .get(url)
                .header("host", format!("{app}.localhost"))
                .send()
                .await
            {
                Ok(response) => response.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if last.contains(text) {
                return started.elapsed();
            }
            assert!(
                started.elapsed() < limit,
                "{app} does not answer {text:?} within {limit:?}, but {last:?}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `id pid` of each running container, sorted.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        podman::running(&self.installation)
    }

    /// Everything under here is what must survive.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// GETs `/` of an app through the router at this address; `None` when it does not answer.
    pub async fn get_through(&self, router: SocketAddr, app: &str) -> Option<String> {
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        let request = client
            .get(format!("http://{router}/"))
            .header("host", format!("{app}.localhost"));
        let response = request.send().await.ok()?;
        if response.status() == 200 {
            response.text().await.ok()
        } else {
            None
        }
    }

    fn log_file(&self) -> PathBuf {
        self.state.path().join("pvdifyd.log")
    }

    /// What pvdifyd logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
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
        podman::remove_all(&self.installation);
        stop_own_podman_service(self.state.path());
    }
}

async fn output_of(mut command: tokio::process::Command) -> Output {
    let command = command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.expect("the program starts");
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// pvdifyd's own Podman service outlives it by design; the scenario's must not outlive the scenario.
fn stop_own_podman_service(state: &Path) {
    let needle = state.to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name
            .to_str()
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        else {
            continue;
        };
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        if command.contains("system\0service") && command.contains(&needle) {
            Command::new("kill").arg(pid).status().ok();
        }
    }
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

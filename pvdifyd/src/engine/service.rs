//! Finds Podman's API socket, or starts Podman's API service.
//!
//! The service must outlive pvdifyd and must not tie containers to it. It runs in a session of its own
//! with no terminal, no inherited descriptors and without `INVOCATION_ID`: with that variable set, Podman
//! leaves each container's monitor in the caller's systemd unit, and stopping pvdifyd would kill it. The
//! next start finds the service again by its socket. Losing the service stops no container.
//!
//! Podman's temporary files, which are as large as the sources it builds, lie in a folder of the service's own:
//! one that is killed leaves them, and nobody could tell whose they are among those of the host's.

use super::{EngineError, Result, probe};
use pvdify_builder::podman::Libpod;
use rustix::fs::{Mode, OFlags};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Command;

/// What systemd tells a service about itself, none of it true for ours.
const UNIT_VARIABLES: [&str; 7] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
];
/// From exec to an answer; the first start on a host sets up storage.
const START_LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);
const PING_LIMIT: Duration = Duration::from_secs(5);
/// Where distributions put the socket of Podman's own systemd unit.
const SYSTEM_SOCKET: &str = "/run/podman/podman.sock";

/// Where to look, and what to start when nothing is there.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// A socket that the person set: then no other is tried and none is started.
    pub socket: Option<PathBuf>,
    /// Where the own socket and its log live, below `run/`.
    pub state_dir: PathBuf,
    /// The program.
    pub podman: PathBuf,
    /// The OCI runtime of the own service; `None`: Podman's default.
    pub runtime: Option<String>,
    /// Whether a socket of the system may be taken.
    pub use_system_socket: bool,
}

impl ServiceOptions {
    /// The usual places.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            socket: None,
            state_dir: state_dir.to_owned(),
            podman: PathBuf::from("podman"),
            runtime: probe::needed_runtime(),
            use_system_socket: true,
        }
    }

    fn own_socket(&self) -> PathBuf {
        self.state_dir.join("run/podman.sock")
    }
}

/// A socket behind which Podman answered.
#[derive(Debug)]
pub struct PodmanService {
    socket: PathBuf,
    options: ServiceOptions,
    starting: tokio::sync::Mutex<()>,
}

impl PodmanService {
    /// Finds a socket that answers: the setting, the own one of an earlier start, the system's; else starts one.
    ///
    /// # Errors
    /// When Podman is not installed or its service does not come up.
    pub async fn find_or_start(options: ServiceOptions) -> Result<Self> {
        let own = options.own_socket();
        let candidates = match &options.socket {
            Some(set) => vec![set.clone()],
            None => {
                let user = std::env::var_os("XDG_RUNTIME_DIR")
                    .map(|dir| PathBuf::from(dir).join("podman/podman.sock"));
                let system = [Some(PathBuf::from(SYSTEM_SOCKET)), user].into_iter().flatten();
                let system = system.filter(|_| options.use_system_socket);
                std::iter::once(own.clone()).chain(system).collect()
            }
        };
        for socket in candidates {
            if answers(&socket).await {
                return Ok(Self::at(socket, options));
            }
        }
        if let Some(set) = &options.socket {
            return Err(EngineError::Unavailable(format!(
                "no Podman answers at {}: start it with `systemctl start podman.socket`, or leave the setting \
                 out and pvdifyd starts its own",
                set.display()
            )));
        }
        let service = Self::at(own, options);
        service.revive().await?;
        Ok(service)
    }

    fn at(socket: PathBuf, options: ServiceOptions) -> Self {
        Self {
            socket,
            options,
            starting: tokio::sync::Mutex::default(),
        }
    }

    /// Where it answers.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Starts the own service again when it does not answer.
    ///
    /// # Errors
    /// When it does not come up, or the socket is another's to revive.
    pub async fn revive(&self) -> Result<()> {
        let _one_at_a_time = self.starting.lock().await;
        if answers(&self.socket).await {
            return Ok(());
        }
        if self.socket != self.options.own_socket() {
            return Err(EngineError::Unavailable(format!(
                "no Podman answers at {}",
                self.socket.display()
            )));
        }
        self.spawn().await?;
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if answers(&self.socket).await {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(EngineError::Unavailable(format!(
            "`podman system service` did not answer within {} seconds; its output is in {}",
            START_LIMIT.as_secs(),
            self.log_path().display()
        )))
    }

    fn log_path(&self) -> PathBuf {
        self.options.state_dir.join("run/podman.log")
    }

    /// Whoever starts a service knows that none is left that uses this.
    fn empty_temporary(&self) -> std::io::Result<PathBuf> {
        let folder = self.options.state_dir.join("run/podman-tmp");
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    async fn spawn(&self) -> Result<()> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            EngineError::Unavailable(format!("start the Podman service: {what}: {error}"))
        };
        let run_dir = self.options.state_dir.join("run");
        std::fs::create_dir_all(&run_dir).map_err(|error| failed(&run_dir.to_string_lossy(), &error))?;
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
        let log: std::fs::File = rustix::fs::open(self.log_path(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| failed(&self.log_path().to_string_lossy(), &error))?
            .into();
        let errors = log.try_clone().map_err(|error| failed("log", &error))?;
        let temporary = self
            .empty_temporary()
            .map_err(|error| failed("its temporary files", &error))?;
        // setsid(1) forks: the service is nobody's child and has no terminal.
        let mut command = Command::new("setsid");
        command.arg("--fork").arg(&self.options.podman);
        if let Some(runtime) = &self.options.runtime {
            command.args(["--runtime", runtime]);
        }
        command
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", self.socket.display()))
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .current_dir("/");
        for variable in UNIT_VARIABLES {
            command.env_remove(variable);
        }
        let status = command.status().await.map_err(|error| failed("setsid", &error))?;
        if status.success() {
            Ok(())
        } else {
            Err(failed("setsid", &status))
        }
    }
}

async fn answers(socket: &Path) -> bool {
    if !socket.exists() {
        return false;
    }
    let podman = Libpod::new(socket.to_owned()).within(PING_LIMIT);
    podman.ping().await.is_ok()
}

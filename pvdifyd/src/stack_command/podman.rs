//! Podman's API for one command: at the socket that is set, else a service of this command's own that ends with it.
//! A server may run beside it or not; both see the same images.

use super::refusal;
use crate::config::Config;
use pvdify_builder::podman::Libpod;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// From exec to an answer; the first start on a host sets up storage.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From a stop to its end.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// Of the calls that are answered whole; removals of large images are among them.
const CALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// A Podman that answers.
pub(super) struct Podman {
    client: Libpod,
    service: Option<Service>,
}

/// `podman system service`, in a folder of its own for its socket and its temporary files.
struct Service {
    child: Child,
    folder: PathBuf,
}

impl Podman {
    pub(super) async fn start(config: &Config, temporary: &Path) -> Result<Self, String> {
        if let Some(socket) = &config.podman_socket {
            let client = Libpod::new(socket.clone()).within(CALL_LIMIT);
            let podman = Self {
                client,
                service: None,
            };
            return match podman.client.ping().await {
                Ok(()) => Ok(podman),
                Err(error) => Err(refusal(error, "start it, or leave PVDIFY_PODMAN_SOCKET out")),
            };
        }
        let folder = temporary.join(format!("pvdify-podman-{}", std::process::id()));
        let unusable = |error| {
            let cause = format!("{} can't be made: {error}", folder.display());
            refusal(cause, "set TMPDIR to a folder that can be written")
        };
        std::fs::create_dir(&folder).map_err(unusable)?;
        let socket = folder.join("podman.sock");
        let spawned = Command::new("podman")
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", socket.display()))
            .env("TMPDIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = spawned.map_err(|error| {
            std::fs::remove_dir(&folder).ok();
            refusal(
                format!("podman can't be started: {error}"),
                "run: apt-get install podman runc netavark aardvark-dns",
            )
        })?;
        let mut podman = Self {
            client: Libpod::new(socket).within(CALL_LIMIT),
            service: Some(Service { child, folder }),
        };
        podman.wait().await?;
        Ok(podman)
    }

    pub(super) fn client(&self) -> &Libpod {
        &self.client
    }

    async fn wait(&mut self) -> Result<(), String> {
        let answers = async {
            while self.client.ping().await.is_err() {
                if let Some(Ok(Some(status))) = self.service.as_mut().map(|service| service.child.try_wait())
                {
                    return Err(refusal(
                        format!("`podman system service` ended at its start, with {status}"),
                        "see what this host lacks: pvdifyd doctor",
                    ));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        tokio::time::timeout(START_LIMIT, answers)
            .await
            .unwrap_or_else(|_| {
                Err(refusal(
                    format!(
                        "`podman system service` did not answer within {} s",
                        START_LIMIT.as_secs()
                    ),
                    "see what this host lacks: pvdifyd doctor",
                ))
            })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let end = Instant::now() + STOP_LIMIT;
        // Told to stop, it removes what a build that was broken off has mounted.
        if pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok()) {
            while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK);
            }
        }
        // It may have ended by itself; the runtime reaps it.
        self.child.start_kill().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

//! One part of Pvdify, `git` or `router`, in a process of its own beside the others.

use crate::{
    binaries::binary,
    platform::{Platform, START_LIMIT},
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

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

impl Platform {
    /// Starts one more process that runs this part alone (`git` or `router`) on a free port, and waits until
    /// it listens; gives the process and its address.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start_part(&self, part: &str) -> Part {
        let published = self.state_dir().join(format!("run/addresses-{part}.json"));
        if published.exists() {
            std::fs::remove_file(&published).expect("the old address goes");
        }
        // Owned from the start, so that it ends with the scenario whatever comes; its own address is read below.
        let mut part_process = Part {
            address: self.address("api"),
            child: Command::new(binary("pvdifyd"))
                .args(self.args)
                .env("PVDIFY_STATE_DIR", self.state_dir())
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
}

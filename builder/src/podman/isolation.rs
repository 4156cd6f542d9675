//! Networks that are cut off from each other stay so.
//!
//! Netavark (1.4, Debian 12) takes the way into its chain of isolation out of the firewall whenever the last container
//! of any isolated network goes, and puts it back when the next one starts. In between every app could reach every
//! other. So it is put back whenever a container went: Netavark's own rule, where its own chain is.

use std::process::{Command, Stdio};

const CHAIN: &str = "NETAVARK_ISOLATION_1";

/// Puts the rule back where it is missing. Where there is no such chain, or no right to change it, nothing happens.
pub(super) async fn restore() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let restored = tokio::task::spawn_blocking(|| {
        if iptables(&["-n", "-L", CHAIN]) && !iptables(&["-C", "FORWARD", "-j", CHAIN]) {
            iptables(&["-I", "FORWARD", "-j", CHAIN])
        } else {
            false
        }
    });
    if restored.await.unwrap_or(false) {
        tracing::debug!("the isolation of networks is restored");
    }
}

/// Whether it did what it was asked to; without the program it did not.
fn iptables(args: &[&str]) -> bool {
    // It waits for others who change the rules.
    let status = Command::new("iptables")
        .arg("--wait=5")
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

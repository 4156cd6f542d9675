//! Networks that are cut off from each other stay so.
//!
//! Podman's own isolation has gaps: Netavark 1.4 (Debian 12) takes the way into its chain out of the firewall whenever
//! the last container of any isolated network goes, and puts it back when the next one starts; in between every app
//! could reach every other. So each network of ours has rules of our own, in a table that Netavark leaves alone and that
//! is asked before its own: nothing goes from the network's bridge to another of Podman's, nor to the address where
//! clouds hand out a machine's credentials. The rules are put there whenever the network is asked for, so also after a
//! reboot or a flushed firewall, and go with the network: just before it, as Podman gives the name of a bridge that is
//! gone to the next network, whose rules they would be.
//!
//! Where there is no iptables, or no right to use it (without root), Podman's isolation is all there is.

use std::process::{Command, Stdio};
use tokio::sync::Mutex;

/// Our chain in the table `mangle`, which packets pass before `filter`.
const CHAIN: &str = "PVDIFY_ISOLATION";
/// Where EC2, GCP, Azure and others answer with a machine's credentials.
const METADATA: &str = "169.254.169.254";
/// A look and a change are one step: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Cuts a network's bridge off from those of other networks.
pub(super) async fn close(bridge: String) {
    with_turn(bridge, |bridge| {
        if !iptables(&["-n", "-L", CHAIN]) {
            // Another process may be at the same; then it is there all the same.
            iptables(&["-N", CHAIN]);
        }
        let closed = add("FORWARD", &["-j", CHAIN]) && rules(bridge).iter().all(|rule| add(CHAIN, rule));
        if !closed {
            tracing::debug!(
                bridge,
                "the network has no rules of its own: iptables does not take them"
            );
        }
    })
    .await;
}

/// Removes the rules of a network that is about to go.
pub(super) async fn forget(bridge: String) {
    with_turn(bridge, forget_bridge).await;
}

/// Removes the rules of a network's bridge, for whoever removes networks with other means than
/// [`Libpod::remove_network`](super::Libpod::remove_network), as `podman network rm` is one. Blocks.
pub fn forget_bridge(bridge: &str) {
    for rule in rules(bridge) {
        let rule: Vec<&str> = ["-D", CHAIN].into_iter().chain(rule).collect();
        while iptables(&rule) {}
    }
}

/// In this order: what stays within the bridge is none of ours.
fn rules(bridge: &str) -> [Vec<&str>; 3] {
    // Netavark calls them podman0, podman1, ..., its forerunner cni-podman0, ...
    let all = if bridge.starts_with("cni-") {
        "cni-podman+"
    } else {
        "podman+"
    };
    [
        vec!["-i", bridge, "-o", bridge, "-j", "RETURN"],
        vec!["-i", bridge, "-o", all, "-j", "DROP"],
        vec![
            "-i", bridge, "-d", METADATA, "-p", "tcp", "--dport", "80", "-j", "DROP",
        ],
    ]
}

async fn with_turn(bridge: String, change: impl FnOnce(&str) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _turn = TURN.lock().await;
    let changed = tokio::task::spawn_blocking(move || change(&bridge)).await;
    if let Err(error) = changed {
        tracing::warn!(%error, "the rules of a network could not be changed");
    }
}

/// Appends a rule that is not there yet.
fn add(chain: &str, rule: &[&str]) -> bool {
    let with =
        |how: &'static str| -> Vec<&str> { [how, chain].into_iter().chain(rule.iter().copied()).collect() };
    iptables(&with("-C")) || iptables(&with("-A"))
}

/// Whether it did what it was asked to; without the program it did not.
fn iptables(args: &[&str]) -> bool {
    // It waits for others who change the rules.
    let status = Command::new("iptables")
        .args(["--wait=5", "--table=mangle"])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

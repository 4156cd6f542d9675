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

use std::{
    io::Write as _,
    process::{Command, Stdio},
};
use tokio::sync::Mutex;

/// Our chain in the table `mangle`, which packets pass before `filter`.
const CHAIN: &str = "PVDIFY_ISOLATION";
/// The rule of a packet's way that leads there.
const JUMP: [&str; 2] = ["-j", CHAIN];
/// Where EC2, GCP, Azure and others answer with a machine's credentials.
const METADATA: &str = "169.254.169.254/32";
/// A look and a change are one step: one at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// Cuts a network's bridge off from those of other networks.
pub(super) async fn close(bridge: String) {
    let closing = with_turn(bridge, |bridge| {
        let there = listed();
        let known = there.contains(&line("FORWARD", &JUMP));
        let closed = if holds(&there, bridge) {
            true
        } else if known && !there.contains(&format!(" -i {bridge} ")) {
            // A new network, most of the time: all at once.
            let rules: String = rules(bridge).iter().map(|rule| line(CHAIN, rule)).collect();
            restore(&format!("*mangle\n{rules}COMMIT\n"))
        } else {
            // Another process may be at the same; then it is there all the same.
            iptables(&["-N", CHAIN]);
            add("FORWARD", &JUMP) && rules(bridge).iter().all(|rule| add(CHAIN, rule))
        };
        if !closed {
            tracing::debug!(
                bridge,
                "the network has no rules of its own: iptables does not take them"
            );
        }
    });
    closing.await;
}

/// Whether it is cut off.
pub(super) async fn is_closed(bridge: String) -> bool {
    let looked = with_turn(bridge, |bridge| holds(&listed(), bridge)).await;
    looked.unwrap_or_default()
}

/// Whether all of a network's rules are among those listed, and asked.
fn holds(there: &str, bridge: &str) -> bool {
    let has = |chain, rule: &[&str]| there.contains(&line(chain, rule));
    has("FORWARD", &JUMP) && rules(bridge).iter().all(|rule| has(CHAIN, rule))
}

/// A rule as it is listed and restored, with its line's end.
fn line(chain: &str, rule: &[&str]) -> String {
    format!("-A {chain} {}\n", rule.join(" "))
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

/// In this order: what stays within the bridge is none of ours. Written as iptables lists them.
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
            "-d", METADATA, "-i", bridge, "-p", "tcp", "-m", "tcp", "--dport", "80", "-j", "DROP",
        ],
    ]
}

/// What `act` gives; nothing without root.
async fn with_turn<T: Send + 'static>(
    bridge: String,
    act: impl FnOnce(&str) -> T + Send + 'static,
) -> Option<T> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let _turn = TURN.lock().await;
    let acted = tokio::task::spawn_blocking(move || act(&bridge)).await;
    if let Err(error) = &acted {
        tracing::warn!(%error, "the rules of a network could not be changed");
    }
    acted.ok()
}

/// Appends a rule that is not there yet.
fn add(chain: &str, rule: &[&str]) -> bool {
    let with =
        |how: &'static str| -> Vec<&str> { [how, chain].into_iter().chain(rule.iter().copied()).collect() };
    iptables(&with("-C")) || iptables(&with("-A"))
}

/// All rules of the table, a line each; nothing without the program.
fn listed() -> String {
    let output = program("iptables").arg("-S").stdout(Stdio::piped()).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// Adds rules, all or none.
fn restore(rules: &str) -> bool {
    let child = program("iptables-restore")
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn();
    child.is_ok_and(|mut child| {
        // The pipe closes where its end is dropped.
        let given = child
            .stdin
            .take()
            .is_some_and(|mut pipe| pipe.write_all(rules.as_bytes()).is_ok());
        child.wait().is_ok_and(|status| status.success()) && given
    })
}

/// Whether it did what it was asked to; without the program it did not.
fn iptables(args: &[&str]) -> bool {
    let status = program("iptables").args(args).status();
    status.is_ok_and(|status| status.success())
}

fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        // It waits for others who change the rules.
        .args(["--wait=5", "--table=mangle"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_listed() {
        let lines: Vec<String> = rules("podman1").iter().map(|rule| line(CHAIN, rule)).collect();
        assert_eq!(
            lines.concat(),
            "-A PVDIFY_ISOLATION -i podman1 -o podman1 -j RETURN\n\
             -A PVDIFY_ISOLATION -i podman1 -o podman+ -j DROP\n\
             -A PVDIFY_ISOLATION -d 169.254.169.254/32 -i podman1 -p tcp -m tcp --dport 80 -j DROP\n"
        );
    }
}

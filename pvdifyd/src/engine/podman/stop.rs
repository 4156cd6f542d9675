//! Stops a container as Heroku stops a dyno: SIGTERM to all its processes, SIGKILL after a grace.
//!
//! Podman signals the first process alone. That is an init which passes the signal to its one child, often
//! the shell that runs the command line: the shell dies, the init ends, and the kernel kills the rest, the
//! app itself, without grace. So the processes below the shell are signalled here first, and the container
//! is stopped once they ended.

use super::Libpod;
use crate::engine::{Result, Stopped};
use pvdify_types::InstanceId;
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::{
    fs,
    time::{Duration, Instant},
};

/// Between two looks at whether the processes ended.
const LOOK: Duration = Duration::from_millis(100);
/// On top of the grace: Podman's own work.
const SLACK: Duration = Duration::from_secs(30);

pub(super) async fn stop(libpod: &Libpod, instance: &InstanceId, grace: Duration) -> Result<Stopped> {
    let begun = Instant::now();
    let below = below_shell(&processes(libpod, instance).await);
    for pid in &below {
        // A process that ended by itself meanwhile is what was wanted.
        kill_process(*pid, Signal::TERM).ok();
    }
    while begun.elapsed() < grace && below.iter().any(|pid| is_alive(*pid)) {
        tokio::time::sleep(LOOK).await;
    }
    let left = grace.saturating_sub(begun.elapsed()).as_secs();
    let path = format!("/containers/{instance}/stop?timeout={left}");
    let reply = libpod.call("POST", &path, None, None, grace + SLACK).await?;
    let killed = begun.elapsed() >= grace;
    if reply.found("stop container")?.is_none() {
        return Ok(Stopped {
            status: None,
            killed: false,
        });
    }
    Ok(Stopped {
        status: super::inspect::exit_status(libpod, instance).await?,
        killed,
    })
}

/// One process inside, as `podman top` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    host_pid: i32,
    pid: i32,
    parent: i32,
    command: String,
}

/// All processes inside; none when it does not run or Podman can't say, and then `podman stop` alone does it.
async fn processes(libpod: &Libpod, instance: &InstanceId) -> Vec<Process> {
    #[derive(Deserialize)]
    struct Top {
        #[serde(rename = "Processes")]
        processes: Vec<Vec<String>>,
    }
    let path = format!("/containers/{instance}/top?stream=false&ps_args=hpid,pid,ppid,args");
    let top: Option<Top> = match libpod.get(&path).await {
        Ok(reply) if reply.status.is_success() => serde_json::from_slice(&reply.body).ok(),
        _ => None,
    };
    let rows = top.map(|top| top.processes).unwrap_or_default();
    rows.iter()
        .filter_map(|row| match row.as_slice() {
            [host_pid, pid, parent, command, ..] => Some(Process {
                host_pid: host_pid.parse().ok()?,
                pid: pid.parse().ok()?,
                parent: parent.parse().ok()?,
                command: command.clone(),
            }),
            _ => None,
        })
        .collect()
}

/// What must be signalled apart: everything but the first process and its shell, when that shell still runs
/// the command line. A server that is the first process or the init's child stops its own workers.
fn below_shell(processes: &[Process]) -> Vec<Pid> {
    let shells: Vec<i32> = processes
        .iter()
        .filter(|process| process.command.starts_with("/bin/sh -c "))
        .filter(|process| process.pid == 1 || process.parent == 1)
        .map(|process| process.pid)
        .collect();
    if shells.is_empty() {
        return Vec::new();
    }
    processes
        .iter()
        .filter(|process| process.pid != 1 && !shells.contains(&process.pid))
        .filter_map(|process| Pid::from_raw(process.host_pid))
        .collect()
}

/// A process that ended stays as a zombie until its parent looks: that is not alive (proc(5), `stat`).
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()));
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, command: &str) -> Process {
        Process {
            host_pid: 1000 + pid,
            pid,
            parent,
            command: command.into(),
        }
    }

    fn signalled(processes: &[Process]) -> Vec<i32> {
        below_shell(processes)
            .into_iter()
            .map(|pid| pid.as_raw_nonzero().get())
            .collect()
    }

    #[test]
    fn what_a_shell_runs_is_signalled_before_the_shell() {
        let init = || process(1, 0, "/run/podman-init -- /bin/sh -c a && b");
        let shell = || process(2, 1, "/bin/sh -c a && b");
        assert_eq!(
            signalled(&[init(), shell(), process(3, 2, "a"), process(4, 3, "w")]),
            [1003, 1004]
        );
        assert_eq!(
            signalled(&[process(1, 0, "/bin/sh -c a"), process(7, 1, "a")]),
            [1007]
        );
    }

    #[test]
    fn a_server_without_a_shell_stops_its_own_workers() {
        let init = process(1, 0, "/run/podman-init -- gunicorn");
        assert!(signalled(&[init, process(2, 1, "gunicorn"), process(3, 2, "worker")]).is_empty());
        assert!(signalled(&[]).is_empty());
    }
}

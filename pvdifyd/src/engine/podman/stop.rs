//! Stops a container as Heroku stops a dyno: SIGTERM to all its processes, SIGKILL after a grace.
//!
//! Podman signals the first process alone. That is an init which passes the signal to its one child, often
//! the shell that runs the command line: the shell dies, the init ends, and the kernel kills the rest, the
//! app itself, without grace. So the processes below the shell are signalled here first, and the container
//! is stopped once they ended.

use super::{during, process};
use crate::engine::{Result, Stopped};
use pvdify_builder::podman::{Libpod, Process};
use pvdify_types::InstanceId;
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

/// Between two looks at whether the processes ended.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn stop(libpod: &Libpod, instance: &InstanceId, grace: Duration) -> Result<Stopped> {
    let begun = Instant::now();
    // It may not run, or Podman can't say; then `podman stop` alone does it.
    let processes = libpod.processes(instance.as_str()).await.unwrap_or_default();
    let below = below_shell(&processes);
    for pid in &below {
        // A process that ended by itself meanwhile is what was wanted.
        kill_process(*pid, Signal::TERM).ok();
    }
    while begun.elapsed() < grace && below.iter().any(|pid| process::is_alive(*pid)) {
        tokio::time::sleep(LOOK).await;
    }
    let left = grace.saturating_sub(begun.elapsed());
    let there = libpod.stop_container(instance.as_str(), left).await;
    let there = there.map_err(during("stop container"))?;
    let killed = begun.elapsed() >= grace;
    if !there {
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

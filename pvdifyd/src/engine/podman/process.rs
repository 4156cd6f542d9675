//! Which processes of the host are alive, which is a container's monitor, and which bear a mark of ours.
//!
//! A process that ended stays as a zombie until its parent looks, and for long where the first process of the
//! host does not reap what it inherits: it has its number and its name still, and is dead all the same.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// Whether it runs.
pub(super) fn is_alive(pid: Pid) -> bool {
    name_of_living(pid).is_some()
}

/// Whether Podman's monitor runs under this number; its name guards against a number that was given again.
pub(super) fn is_conmon(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.and_then(name_of_living).is_some_and(|name| name == "conmon")
}

/// Signals every process that bears such a mark in the environment it was started with; `false`: there is none.
pub(super) fn signal_marked(is_meant: impl Fn(&str) -> bool, signal: Signal) -> bool {
    let marked = marked(is_meant);
    for pid in &marked {
        // One that ended by itself meanwhile is what was wanted.
        kill_process(*pid, signal).ok();
    }
    !marked.is_empty()
}

/// Whether any process bears such a mark.
pub(super) fn any_marked(is_meant: impl Fn(&str) -> bool) -> bool {
    !marked(is_meant).is_empty()
}

/// A process whose environment may not be read is none of ours to signal, nor is one that ended.
fn marked(is_meant: impl Fn(&str) -> bool) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Pid::from_raw(name.to_str()?.parse().ok()?)
    });
    pids.filter(|pid| {
        let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
        let is_marked = |environment: Vec<u8>| {
            let mut variables = environment.split(|byte| *byte == 0);
            variables.any(|variable| std::str::from_utf8(variable).is_ok_and(&is_meant))
        };
        environment.is_ok_and(is_marked) && is_alive(*pid)
    })
    .collect()
}

fn name_of_living(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (name, state) = name_and_state(&stat)?;
    (!matches!(state, 'Z' | 'X')).then(|| name.to_owned())
}

/// Of a line as proc_pid_stat(5) has it: the name stands in parentheses and may hold some, and spaces, itself.
fn name_and_state(stat: &str) -> Option<(&str, char)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once(" (")?;
    Some((name, after.chars().next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{process::Command, thread, time::Duration};

    #[test]
    fn a_monitor_that_died_and_was_not_reaped_is_dead() {
        let folder = tempfile::tempdir().unwrap();
        let conmon = folder.path().join("conmon");
        std::os::unix::fs::symlink("/bin/cat", &conmon).unwrap();
        let mut child = Command::new(&conmon)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        assert!(is_conmon(child.id()));
        drop(child.stdin.take());
        let stat = format!("/proc/{}/stat", child.id());
        while name_and_state(&fs::read_to_string(&stat).unwrap()).unwrap() != ("conmon", 'Z') {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_conmon(child.id()));
        child.wait().unwrap();
        assert!(!is_conmon(child.id()));
    }

    #[test]
    fn a_process_is_found_and_signalled_by_its_mark_alone() {
        let mark = format!("PVDIFY_TEST=here.{}", std::process::id());
        let (key, value) = mark.split_once('=').unwrap();
        let mut child = Command::new("/bin/sleep")
            .arg("1000")
            .env(key, value)
            .spawn()
            .unwrap();
        while !any_marked(|variable| variable == mark) {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(!signal_marked(
            |variable| variable == format!("{mark}0"),
            Signal::KILL
        ));
        assert!(signal_marked(|variable| variable == mark, Signal::TERM));
        child.wait().unwrap();
        assert!(!any_marked(|variable| variable == mark));
    }

    #[test]
    fn a_name_may_hold_whatever_it_likes() {
        assert_eq!(name_and_state("7 (a) Z (b) S 1 7 7"), Some(("a) Z (b", 'S')));
        assert_eq!(name_and_state("7 (conmon) Z 1 7 7"), Some(("conmon", 'Z')));
        assert!(!is_conmon(std::process::id()) && is_alive(rustix::process::getpid()));
    }
}

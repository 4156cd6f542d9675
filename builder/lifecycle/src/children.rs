//! The programs of buildpacks: each in a process group of its own.
//!
//! What always holds:
//!
//! - When a program has ended, nothing of its group runs on.
//! - Told to stop (SIGTERM, SIGINT, SIGHUP), this program passes it on to all groups, gives them a moment, kills what
//!   is left, and starts nothing more.
//! - As the first process of a container, it also reaps what others leave behind.

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    collections::{HashMap, HashSet},
    fmt, io,
    process::Command,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// What a group gets between being asked to stop and being killed.
const GRACE: Duration = Duration::from_secs(5);

/// All programs that run.
#[derive(Clone, Default)]
pub(crate) struct Children(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: HashSet<Pid>,
    ended: HashMap<Pid, Ended>,
    stopped: bool,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exit(i32),
    Signal(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // 128 and SIGKILL: a shell passes on how its program ended.
            Self::Exit(137) => {
                f.write_str("exit status 137: a program of it was killed, as when memory runs out")
            }
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(9) => f.write_str("killed (signal 9), as when memory runs out"),
            Self::Signal(signal) => write!(f, "ended by signal {signal}"),
        }
    }
}

/// Why a program was not started.
pub(crate) enum NotStarted {
    /// Told to stop.
    Stopped,
    Io(io::Error),
}

impl Children {
    /// Begins to listen for signals.
    pub(crate) fn new() -> io::Result<Self> {
        let children = Self::default();
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        let listener = children.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for _ in signals.forever() {
                listener.stop();
            }
        })?;
        Ok(children)
    }

    /// Whether it was told to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Starts a program.
    pub(crate) fn start(&self, command: &mut Command) -> Result<Pid, NotStarted> {
        use std::os::unix::process::CommandExt as _;
        // Held over the start: a signal finds it among those that run, or it is not started.
        let mut state = self.state();
        if state.stopped {
            return Err(NotStarted::Stopped);
        }
        let child = command.process_group(0).spawn().map_err(NotStarted::Io)?;
        let pid = Pid::from_child(&child);
        state.running.insert(pid);
        Ok(pid)
    }

    /// Waits until a program has ended. Only the thread that starts programs may.
    pub(crate) fn wait(&self, pid: Pid) -> io::Result<Ended> {
        loop {
            if let Some(ended) = self.state().ended.remove(&pid) {
                return Ok(ended);
            }
            let (ended, status) = match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some(one)) => one,
                Ok(None) | Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut state = self.state();
            if state.running.remove(&ended) {
                kill(ended, Signal::KILL);
                state.ended.insert(ended, how(status));
                self.0.changed.notify_all();
            }
        }
    }

    fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        for group in &state.running {
            kill(*group, Signal::TERM);
        }
        let left = |state: &mut State| !state.running.is_empty();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, GRACE, left)
            .unwrap_or_else(PoisonError::into_inner);
        for group in &state.running {
            kill(*group, Signal::KILL);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is behind it is whole after every line.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group that is gone already needs nothing.
fn kill(group: Pid, signal: Signal) {
    rustix::process::kill_process_group(group, signal).ok();
}

fn how(status: WaitStatus) -> Ended {
    match status.terminating_signal() {
        Some(signal) => Ended::Signal(signal),
        None => Ended::Exit(status.exit_status().unwrap_or_default()),
    }
}

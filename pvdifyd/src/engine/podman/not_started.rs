//! A command that can't be started, told as a shell tells it.
//!
//! Podman, or the init process in a container, says so in words of its own, some of them as if the command had written
//! them and with a status that tells nothing. Pure.

use crate::engine::{Frame, OutputStream};
use std::sync::{Arc, OnceLock};

/// What Podman, or the init process in a container, says of a command that can't be started, and what a shell says and
/// gives then.
const NOT_STARTED: [(&str, &str, i64); 4] = [
    (
        "OCI runtime attempted to invoke a command that was not found",
        NOT_FOUND,
        127,
    ),
    ("failed to exec pid1: No such file or directory", NOT_FOUND, 127),
    ("OCI permission denied", NOT_PERMITTED, 126),
    ("failed to exec pid1: Permission denied", NOT_PERMITTED, 126),
];
const NOT_FOUND: &str = "command not found";
const NOT_PERMITTED: &str = "permission denied";
/// How long they are at most.
const LONGEST_WORDS: usize = 1024;
/// How the output begins then.
const SAID_BY_PODMAN: &[u8] = b"Error: ";
const SAID_BY_INIT: &[u8] = b"ERROR (catatonit:";

/// What a shell says of it, and its status; `None` for other words.
pub(super) fn not_started(text: &str) -> Option<(&'static str, i64)> {
    let known = NOT_STARTED.iter().find(|(sign, ..)| text.contains(sign));
    known.map(|(_, words, status)| (*words, *status))
}

/// A line as if the command had written it.
pub(super) fn said(words: &str, has_terminal: bool) -> Frame {
    let (stream, end) = match has_terminal {
        true => (OutputStream::Stdout, "\r\n"),
        false => (OutputStream::Stderr, "\n"),
    };
    Frame {
        stream,
        bytes: format!("{words}{end}").into(),
    }
}

/// The first line that is written, where it may be others' words on a command that can't be started: they come as if
/// it had written them, in pieces.
pub(super) struct Opening {
    name: String,
    has_terminal: bool,
    status: Arc<OnceLock<i64>>,
    /// `None`: it is decided.
    held: Option<Vec<Frame>>,
}

impl Opening {
    pub(super) fn new(name: String, has_terminal: bool, status: Arc<OnceLock<i64>>) -> Self {
        Self {
            name,
            has_terminal,
            status,
            held: Some(Vec::new()),
        }
    }

    /// What can be shown, now that this was written.
    pub(super) fn take(&mut self, frame: Frame) -> Vec<Frame> {
        let Some(held) = &mut self.held else {
            return vec![frame];
        };
        held.push(frame);
        let text = joined(held);
        let others = [SAID_BY_PODMAN, SAID_BY_INIT]
            .into_iter()
            .any(|sign| text.starts_with(sign) || sign.starts_with(&text));
        if others && !text.contains(&b'\n') && text.len() < LONGEST_WORDS {
            return Vec::new();
        }
        self.rest()
    }

    /// What was held back.
    pub(super) fn rest(&mut self) -> Vec<Frame> {
        let held = self.held.take().unwrap_or_default();
        let text = joined(&held);
        let others = text.starts_with(SAID_BY_PODMAN) || text.starts_with(SAID_BY_INIT);
        match not_started(&String::from_utf8_lossy(&text)).filter(|_| others) {
            Some((words, status)) => {
                self.status.get_or_init(|| status);
                vec![said(&format!("{}: {words}", self.name), self.has_terminal)]
            }
            None => held,
        }
    }
}

fn joined(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_others_on_a_command_that_is_missing_are_a_shells_however_they_are_cut() {
        let words = b"ERROR (catatonit:6): failed to exec pid1: No such file or directory\n";
        let own = b"ERROR (catatonic): mine\n";
        for (written, shown, status) in [
            (&words[..], "ls: command not found\n", Some(127)),
            (own, "ERROR (catatonic): mine\n", None),
            (b"E", "E", None),
            (b"plain", "plain", None),
        ] {
            for cut in 0..written.len() {
                let mut opening = Opening::new("ls".into(), false, Arc::default());
                let mut frames = Vec::new();
                for part in [&written[..cut], &written[cut..]]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                {
                    frames.extend(opening.take(Frame {
                        stream: OutputStream::Stderr,
                        bytes: part.to_vec().into(),
                    }));
                }
                frames.extend(opening.rest());
                assert_eq!(String::from_utf8(joined(&frames)).unwrap(), shown, "cut at {cut}");
                assert_eq!(opening.status.get().copied(), status);
            }
        }
    }
}

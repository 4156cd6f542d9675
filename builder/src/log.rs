//! A build's own output on its way to the person: without control characters, line by line, with an end.
//!
//! What is over the log limit is cut off with a marker; the last lines are kept for the failure's text whatever
//! the limit. Pure.

use std::collections::VecDeque;

/// Lines repeated in a failure's text.
pub(crate) const TAIL: usize = 8;
/// Lines of a text that a failure is told with.
const MAX_LINES: usize = 200;
/// A line longer than this is cut.
pub(crate) const MAX_LINE: usize = 2000;

/// What was shown so far.
pub(crate) struct Log {
    limit: u64,
    written: u64,
    cut: bool,
    tail: VecDeque<String>,
}

impl Log {
    /// A log of at most `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            written: 0,
            cut: false,
            tail: VecDeque::new(),
        }
    }

    /// A line that a program wrote: kept for the failure's text, and shown with `indent` before it.
    pub(crate) fn program(&mut self, line: &str, indent: &str) -> Option<String> {
        let text = cut(&plain(line));
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        if !text.trim().is_empty() {
            self.tail.push_back(text.clone());
        }
        self.show(&text, indent)
    }

    /// A line as it is, unless the log is full; the first one that is too much gives the marker.
    pub(crate) fn show(&mut self, text: &str, indent: &str) -> Option<String> {
        if self.cut {
            return None;
        }
        self.written += text.len() as u64 + 1;
        if self.written <= self.limit {
            return Some(format!("{indent}{text}").trim_end().to_owned());
        }
        self.cut = true;
        let kib = self.limit / 1024;
        Some(format!(
            "       ... the output is longer than {kib} KiB: the rest is left out"
        ))
    }

    /// The last lines that a program wrote.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// Forgets the last lines: another program writes from now on.
    pub(crate) fn clear_tail(&mut self) {
        self.tail.clear();
    }
}

/// Without escape sequences and control characters, and of a line that was written over only the last state.
pub(crate) fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut text = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            if c == '\t' || !c.is_control() {
                text.push(c);
            }
            continue;
        }
        match rest.next() {
            // A control sequence ends with a letter or another byte of this range.
            Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
            // A command to the terminal ends with BEL or ESC.
            Some(']') => while rest.next().is_some_and(|c| c != '\u{7}' && c != '\u{1b}') {},
            _ => {}
        }
    }
    text
}

/// A text of several lines, each plain and cut.
pub(crate) fn plain_text(text: &str) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .take(MAX_LINES)
        .map(|line| cut(&plain(line)))
        .collect();
    if text.lines().nth(MAX_LINES).is_some() {
        lines.push("...".to_owned());
    }
    lines.join("\n")
}

/// At most [`MAX_LINE`] characters of it.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_LINE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

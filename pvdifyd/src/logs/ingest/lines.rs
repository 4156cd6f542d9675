//! From what a log file holds to lines to store, each with the place in the file to go on from after it.
//!
//! Both outputs of a container stand in one file, and a line may come in parts with the other output's between
//! them. So each output has a place of its own: of what begins before it all is stored.

use crate::{
    engine::LogSource,
    logs::{
        SOURCE_APP, clean,
        cri::{self, Stream},
        segment::Cursor,
    },
};
use pvdify_api::logs::LogLine;
use time::OffsetDateTime;

/// What was read of one file and is not stored yet.
pub(super) struct Lines {
    /// Its inode.
    file: u64,
    position: u64,
    /// What lies before these places is stored.
    stored: [u64; 2],
    pending: [Pending; 2],
}

/// One output's unfinished line.
#[derive(Default)]
struct Pending {
    content: Vec<u8>,
    /// Where in the file it begins.
    start: u64,
}

impl Lines {
    /// Of a file of which what lies before these places is stored.
    pub(super) fn after(file: u64, stored: [u64; 2]) -> Self {
        Self {
            file,
            position: stored[0].min(stored[1]),
            stored,
            pending: stored.map(|start| Pending {
                content: Vec::new(),
                start,
            }),
        }
    }

    /// Where in the file to read on.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Reads whole lines of the file into lines to store.
    pub(super) fn take(&mut self, source: &LogSource, text: &[u8]) -> Vec<(LogLine, Cursor)> {
        let mut lines = Vec::new();
        for raw in text.split_inclusive(|byte| *byte == b'\n') {
            let begin = self.position;
            self.position += raw.len() as u64;
            let Some(entry) = cri::parse(raw.strip_suffix(b"\n").unwrap_or(raw)) else {
                continue;
            };
            let this = usize::from(entry.stream == Stream::Err);
            if self.position <= self.stored[this] {
                continue;
            }
            let time = entry.time;
            if self.pending[this].content.len() + entry.content.len() > clean::MAX_LINE_BYTES {
                let content = std::mem::take(&mut self.pending[this].content);
                if !content.is_empty() {
                    lines.push(self.line(source, time, &content, this, begin));
                }
            }
            if self.pending[this].content.is_empty() {
                self.pending[this].start = begin;
            }
            self.pending[this].content.extend_from_slice(entry.content);
            if !entry.partial {
                let content = std::mem::take(&mut self.pending[this].content);
                lines.push(self.line(source, time, &content, this, self.position));
            }
        }
        lines
    }

    pub(super) fn rest(&mut self, source: &LogSource) -> Vec<(LogLine, Cursor)> {
        let mut lines = Vec::new();
        for this in 0..self.pending.len() {
            let content = std::mem::take(&mut self.pending[this].content);
            if !content.is_empty() {
                let now = OffsetDateTime::now_utc();
                lines.push(self.line(source, now, &content, this, self.position));
            }
        }
        lines
    }

    /// A line of the output `this`, which is stored up to `place` with it.
    fn line(
        &self,
        source: &LogSource,
        time: OffsetDateTime,
        content: &[u8],
        this: usize,
        place: u64,
    ) -> (LogLine, Cursor) {
        let line = LogLine {
            time,
            source: SOURCE_APP.to_owned(),
            process: source.process.clone(),
            message: String::from_utf8_lossy(content).trim_end_matches('\r').to_owned(),
        };
        let other = 1 - this;
        let mut places = [0; 2];
        places[this] = place;
        // With nothing unfinished, the other output has nothing before here that is not stored.
        places[other] = if self.pending[other].content.is_empty() {
            self.position.max(self.stored[other])
        } else {
            self.pending[other].start
        };
        let cursor = Cursor {
            instance: source.instance.clone(),
            file: self.file,
            stdout: places[0],
            stderr: places[1],
        };
        (line, cursor)
    }
}

//! One container's log file, a piece at a time.
//!
//! Conmon replaces a full log file by a new one; the old one is held open and read to its end first. A
//! container's removal deletes its file; that too is read to its end before it is closed.

use super::lines::Lines;
use crate::{engine::LogSource, logs::LogStore};
use pvdify_types::AppId;
use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
};

/// What is read of one file a turn.
pub(super) const PIECE_BYTES: usize = 256 * 1024;

/// How far a turn came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is more to read at once.
    More,
    /// All that is there was read.
    Waiting,
    /// The container is gone and its file is read.
    Ended,
}

/// Follows one container's log file.
pub(super) struct Tailer {
    source: LogSource,
    file: Option<Open>,
    ending: bool,
    failures: u32,
}

struct Open {
    file: File,
    inode: u64,
    lines: Lines,
}

impl Tailer {
    pub(super) fn new(source: LogSource) -> Self {
        Self {
            source,
            file: None,
            ending: false,
            failures: 0,
        }
    }

    pub(super) fn app(&self) -> &AppId {
        &self.source.app
    }

    /// Whether the container is gone: then its file is read to its end and closed.
    pub(super) fn set_ending(&mut self, ending: bool) {
        self.ending = ending;
    }

    /// Keeps a living container's tailer: the place has not moved, the next turn reads the same again.
    pub(super) fn failed(&mut self, error: &io::Error) -> bool {
        self.failures += 1;
        // A full disk fails ten times a second: told at the first time and then about every minute.
        if self.failures % 600 == 1 {
            tracing::warn!(instance = %self.source.instance, %error, "log lines wait to be stored");
        }
        self.file = None;
        !self.ending
    }

    pub(super) fn turn(&mut self, store: &LogStore, piece: &mut [u8]) -> io::Result<Turn> {
        if self.file.is_none() {
            match self.open(store) {
                Ok(open) => self.file = Some(open),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(if self.ending { Turn::Ended } else { Turn::Waiting });
                }
                Err(error) => return Err(error),
            }
        }
        let Some(open) = &mut self.file else {
            return Ok(Turn::Waiting);
        };
        // Looked at before the read: once replaced, nothing is added to the old file any more.
        let replaced = match std::fs::metadata(&self.source.path) {
            Ok(metadata) => metadata.ino() != open.inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let read = open.file.read_at(piece, open.lines.position())?;
        let whole = match piece[..read].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            // No line is that long; without this the file would never be read on.
            None if read == piece.len() => read,
            None => 0,
        };
        if whole > 0 {
            let lines = open.lines.take(&self.source, &piece[..whole]);
            store.ingest(&self.source.app, lines)?;
            self.failures = 0;
            return Ok(Turn::More);
        }
        if !replaced {
            return Ok(if self.ending {
                self.finish(store)?
            } else {
                Turn::Waiting
            });
        }
        self.finish(store)?;
        self.file = None;
        Ok(if self.ending { Turn::Ended } else { Turn::More })
    }

    /// Stores what came without a line end: there will be none.
    fn finish(&mut self, store: &LogStore) -> io::Result<Turn> {
        if let Some(open) = &mut self.file {
            let lines = open.lines.rest(&self.source);
            if !lines.is_empty() {
                store.ingest(&self.source.app, lines)?;
            }
        }
        Ok(Turn::Ended)
    }

    fn open(&self, store: &LogStore) -> io::Result<Open> {
        let file = File::open(&self.source.path)?;
        let metadata = file.metadata()?;
        let stored = store
            .cursor(&self.source.app, &self.source.instance)?
            .filter(|cursor| cursor.file == metadata.ino())
            .map_or([0, 0], |cursor| [cursor.stdout, cursor.stderr]);
        Ok(Open {
            file,
            inode: metadata.ino(),
            lines: Lines::after(metadata.ino(), stored),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{
        clean,
        ingest::testing::{entry, messages, source, write},
    };

    fn read_all(tailer: &mut Tailer, store: &LogStore) -> Turn {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match tailer.turn(store, &mut buffer).unwrap() {
                Turn::More => {}
                other => return other,
            }
        }
    }

    #[test]
    fn parts_are_joined_and_both_outputs_kept_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("ctr.log"), LogStore::open(dir.path()).unwrap());
        write(&path, &entry("stdout", "P", "one "));
        write(&path, &entry("stderr", "F", "between"));
        write(&path, &entry("stdout", "F", "line\r"));
        write(&path, "rubbish\n");
        read_all(&mut Tailer::new(source(&path)), &store);
        assert_eq!(messages(&store), ["between", "one line"]);
    }

    /// Killed and started again at every place of the short lines and many of the long: the same lines, each once.
    #[test]
    fn a_restart_at_any_place_neither_loses_nor_repeats() {
        let dir = tempfile::tempdir().unwrap();
        let (path, logs) = (dir.path().join("ctr.log"), dir.path().join("logs"));
        let long = "x".repeat(clean::MAX_LINE_BYTES - 10);
        let text = [
            entry("stdout", "P", "a"),
            entry("stderr", "P", "b"),
            entry("stdout", "F", "a"),
            entry("stdout", "F", "c"),
            entry("stderr", "F", "b"),
            entry("stdout", "P", &long),
            entry("stderr", "F", "d"),
            entry("stdout", "F", "end of the long one"),
        ]
        .concat();
        let expected = ["aa", "c", "bb", "d", &long, "end of the long one"];
        for (at, _) in text.char_indices().filter(|(at, _)| at % 211 == 0 || *at < 500) {
            let store = LogStore::open(&logs).unwrap();
            write(&path, &text[..at]);
            read_all(&mut Tailer::new(source(&path)), &store);
            let store = LogStore::open(&logs).unwrap();
            write(&path, &text[at..]);
            read_all(&mut Tailer::new(source(&path)), &store);
            let mut found = messages(&store);
            found.sort_by_key(|message| expected.iter().position(|wanted| wanted == message));
            assert_eq!(found, expected, "cut at {at}");
            std::fs::remove_file(&path).unwrap();
            std::fs::remove_dir_all(&logs).unwrap();
        }
    }

    #[test]
    fn a_replaced_file_is_read_to_its_end_before_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("ctr.log"), LogStore::open(dir.path()).unwrap());
        let mut tailer = Tailer::new(source(&path));
        write(&path, &entry("stdout", "F", "1"));
        read_all(&mut tailer, &store);
        write(&path, &entry("stdout", "F", "2"));
        write(&dir.path().join("new"), &entry("stdout", "F", "3"));
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(read_all(&mut tailer, &store), Turn::Waiting);
        assert_eq!(messages(&store), ["1", "2", "3"]);
    }

    #[test]
    fn the_last_words_of_a_removed_container_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("ctr.log"), LogStore::open(dir.path()).unwrap());
        let mut tailer = Tailer::new(source(&path));
        write(&path, &entry("stdout", "F", "1"));
        read_all(&mut tailer, &store);
        write(&path, &entry("stdout", "P", "no line end"));
        std::fs::remove_file(&path).unwrap();
        tailer.ending = true;
        assert_eq!(read_all(&mut tailer, &store), Turn::Ended);
        assert_eq!(messages(&store), ["1", "no line end"]);
    }
}

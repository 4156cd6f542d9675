//! Follows the engine's log files into the store: each line once, whatever is restarted in between.
//!
//! One thread reads all files in turn, a bounded piece of each a turn, so that a noisy instance does not
//! starve the others. Conmon replaces a full log file by a new one; the old one is held open and read to its
//! end first. A container's removal deletes its file; that too is read to its end before it is closed.

use super::{
    LogStore, SOURCE_APP, clean,
    cri::{self, Stream},
    segment::Cursor,
};
use crate::engine::LogSource;
use pvdify_api::logs::LogLine;
use pvdify_types::{AppId, InstanceId};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use time::OffsetDateTime;
use tokio::sync::oneshot;

/// Between two turns when nothing was new.
const PAUSE: Duration = Duration::from_millis(100);
/// What is read of one file a turn.
const PIECE_BYTES: usize = 256 * 1024;
/// Turns after which a flush ends while an instance still writes: as much as one full log file holds.
const FLUSH_TURNS: u32 = 64;

enum Command {
    Sync(Vec<LogSource>),
    Flush(oneshot::Sender<()>),
}

/// The ingesting thread, from outside. It ends with the last handle.
#[derive(Clone, Debug)]
pub struct Ingest {
    commands: mpsc::Sender<Command>,
}

impl Ingest {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(store: LogStore) -> io::Result<Self> {
        let (commands, receiver) = mpsc::channel();
        thread::Builder::new()
            .name("log-ingest".to_owned())
            .spawn(move || run(&store, &receiver))?;
        Ok(Self { commands })
    }

    /// All files there are now: new ones are followed, those left out are read to their end and closed.
    pub fn sync(&self, sources: Vec<LogSource>) {
        // The thread ends only when every sender is gone.
        self.commands.send(Command::Sync(sources)).ok();
    }

    /// Waits until all that is in the files now is in the store.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Flush(done)).is_ok() {
            wait.await.ok();
        }
    }
}

fn run(store: &LogStore, commands: &mpsc::Receiver<Command>) {
    let mut tailers: BTreeMap<InstanceId, Tailer> = BTreeMap::new();
    let mut flushes: Vec<(oneshot::Sender<()>, u32)> = Vec::new();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut pause = PAUSE;
    loop {
        match commands.recv_timeout(pause) {
            Ok(Command::Sync(sources)) => sync(store, &mut tailers, sources),
            Ok(Command::Flush(done)) => flushes.push((done, FLUSH_TURNS)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let mut more = false;
        tailers.retain(|_, tailer| match tailer.turn(store, &mut buffer) {
            Ok(Turn::More) => {
                more = true;
                true
            }
            Ok(Turn::Waiting) => true,
            Ok(Turn::Ended) => false,
            Err(error) => tailer.failed(&error),
        });
        pause = if more { Duration::ZERO } else { PAUSE };
        for (done, mut turns) in std::mem::take(&mut flushes) {
            turns = turns.saturating_sub(1);
            if more && turns > 0 {
                flushes.push((done, turns));
            } else {
                // Whoever asked may have given up waiting.
                done.send(()).ok();
            }
        }
    }
}

fn sync(store: &LogStore, tailers: &mut BTreeMap<InstanceId, Tailer>, sources: Vec<LogSource>) {
    let present: BTreeSet<InstanceId> = sources.iter().map(|source| source.instance.clone()).collect();
    for (instance, tailer) in tailers.iter_mut() {
        tailer.ending = !present.contains(instance);
    }
    for source in sources {
        tailers
            .entry(source.instance.clone())
            .or_insert_with(|| Tailer::new(source));
    }
    // Only of apps that still write: asking for a deleted app's log would make it anew.
    let mut open: BTreeMap<&AppId, BTreeSet<InstanceId>> = BTreeMap::new();
    for (instance, tailer) in tailers.iter() {
        open.entry(&tailer.source.app)
            .or_default()
            .insert(instance.clone());
    }
    for (app, instances) in open {
        if let Err(error) = store.retain_cursors(app, &instances) {
            tracing::warn!(%app, %error, "log places were not cleared up");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Turn {
    /// There is more to read at once.
    More,
    /// All that is there was read.
    Waiting,
    /// The container is gone and its file is read.
    Ended,
}

/// One output's unfinished line.
#[derive(Default)]
struct Pending {
    content: Vec<u8>,
    /// Where in the file it begins.
    start: u64,
}

struct Tailer {
    source: LogSource,
    file: Option<Open>,
    ending: bool,
    failures: u32,
}

struct Open {
    file: File,
    inode: u64,
    position: u64,
    /// What lies before these places is stored.
    stored: [u64; 2],
    pending: [Pending; 2],
}

impl Tailer {
    fn new(source: LogSource) -> Self {
        Self {
            source,
            file: None,
            ending: false,
            failures: 0,
        }
    }

    /// Keeps a living container's tailer: the place has not moved, the next turn reads the same again.
    fn failed(&mut self, error: &io::Error) -> bool {
        self.failures += 1;
        // A full disk fails ten times a second: told at the first time and then about every minute.
        if self.failures % 600 == 1 {
            tracing::warn!(instance = %self.source.instance, %error, "log lines wait to be stored");
        }
        self.file = None;
        !self.ending
    }

    fn turn(&mut self, store: &LogStore, piece: &mut [u8]) -> io::Result<Turn> {
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
        let read = open.file.read_at(piece, open.position)?;
        let whole = match piece[..read].iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            // No line is that long; without this the file would never be read on.
            None if read == piece.len() => read,
            None => 0,
        };
        if whole > 0 {
            let lines = open.take(&self.source, &piece[..whole]);
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
            let lines = open.rest(&self.source);
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
            position: stored[0].min(stored[1]),
            stored,
            pending: stored.map(|start| Pending {
                content: Vec::new(),
                start,
            }),
        })
    }
}

impl Open {
    /// Reads whole lines of the file into lines to store.
    fn take(&mut self, source: &LogSource, text: &[u8]) -> Vec<(LogLine, Cursor)> {
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

    fn rest(&mut self, source: &LogSource) -> Vec<(LogLine, Cursor)> {
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
            file: self.inode,
            stdout: places[0],
            stderr: places[1],
        };
        (line, cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogFilter;
    use std::{io::Write, path::Path};

    fn source(path: &Path) -> LogSource {
        LogSource {
            instance: "c1".parse().unwrap(),
            app: "a1".parse().unwrap(),
            process: "web.1".into(),
            path: path.to_owned(),
        }
    }

    fn write(path: &Path, text: &str) {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn entry(stream: &str, flag: &str, content: &str) -> String {
        format!("2026-11-23T12:47:31.729869184+00:00 {stream} {flag} {content}\n")
    }

    fn messages(store: &LogStore) -> Vec<String> {
        let lines = store
            .tail(&"a1".parse().unwrap(), &LogFilter::default(), 10_000)
            .unwrap();
        lines.into_iter().map(|line| line.message).collect()
    }

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

    #[tokio::test]
    async fn after_a_flush_all_that_was_written_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let (path, store) = (dir.path().join("ctr.log"), LogStore::open(dir.path()).unwrap());
        let ingest = Ingest::start(store.clone()).unwrap();
        write(&path, &entry("stdout", "F", "hello"));
        ingest.sync(vec![source(&path)]);
        ingest.flush().await;
        assert_eq!(messages(&store), ["hello"]);
    }
}

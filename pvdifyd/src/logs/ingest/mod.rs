//! Follows the engine's log files into the store: each line once, whatever is restarted in between.
//!
//! One thread reads all files in turn, a bounded piece of each a turn ([`tailer`]), so that a noisy instance does
//! not starve the others.

mod lines;
mod tailer;
#[cfg(test)]
mod testing;

use super::LogStore;
use crate::engine::LogSource;
use pvdify_types::{AppId, InstanceId};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};
use tailer::{PIECE_BYTES, Tailer, Turn};
use tokio::sync::oneshot;

/// Between two turns when nothing was new.
const PAUSE: Duration = Duration::from_millis(100);
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
        tailer.set_ending(!present.contains(instance));
    }
    for source in sources {
        tailers
            .entry(source.instance.clone())
            .or_insert_with(|| Tailer::new(source));
    }
    // Only of apps that still write: asking for a deleted app's log would make it anew.
    let mut open: BTreeMap<&AppId, BTreeSet<InstanceId>> = BTreeMap::new();
    for (instance, tailer) in tailers.iter() {
        open.entry(tailer.app()).or_default().insert(instance.clone());
    }
    for (app, instances) in open {
        if let Err(error) = store.retain_cursors(app, &instances) {
            tracing::warn!(%app, %error, "log places were not cleared up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{entry, messages, source, write},
        *,
    };

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

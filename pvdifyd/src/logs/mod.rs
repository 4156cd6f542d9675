//! Log lines: what instances write and what Pvdify says of them, bounded on disk, followed live.
//!
//! Each app has a folder with two segments ([`segment`]); the older is dropped when the newer is full, so an
//! app holds at most twice [`segment::SEGMENT_BYTES`] whatever it writes. What comes in is made inert
//! ([`clean`]) before it is stored: no control character reaches a terminal from here.
//!
//! [`ingest`] follows the engine's own log files. Each stored line of an instance carries the place in the
//! engine's file that comes after it, in the same record: a restart of pvdifyd goes on exactly there.

mod clean;
mod cri;
mod ingest;
mod segment;

pub use ingest::Ingest;

use pvdify_api::logs::LogLine;
use pvdify_types::{AppId, InstanceId};
use segment::{AppLog, Cursor};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use time::OffsetDateTime;
use tokio::sync::broadcast;

/// The source of what a process wrote.
pub const SOURCE_APP: &str = "app";
/// The source of what Pvdify says.
pub const SOURCE_PVDIFY: &str = "pvdify";

/// All apps' lines. A clone is the same store.
#[derive(Clone, Debug)]
pub struct LogStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    apps: Mutex<HashMap<AppId, Arc<Mutex<AppLog>>>>,
    lost: AtomicU64,
}

/// Which lines are wanted; the default is all.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// A process type (`web`) or one instance (`web.1`).
    pub process: Option<String>,
    /// `app` or `pvdify`.
    pub source: Option<String>,
    /// Only lines at or after it.
    pub since: Option<OffsetDateTime>,
}

impl LogFilter {
    /// Whether a line is wanted.
    #[must_use]
    pub fn matches(&self, line: &LogLine) -> bool {
        let process = self.process.as_deref().is_none_or(|wanted| {
            let of_type = line
                .process
                .strip_prefix(wanted)
                .is_some_and(|rest| rest.starts_with('.'));
            line.process == wanted || of_type
        });
        let source = self.source.as_deref().is_none_or(|wanted| line.source == wanted);
        let since = self.since.is_none_or(|since| line.time >= since);
        process && source && since
    }
}

impl LogStore {
    /// A store in a folder, made when it is not there.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                apps: Mutex::default(),
                lost: AtomicU64::new(0),
            }),
        })
    }

    /// Stores a line and shows it to whoever follows. Logs never stop what they tell of: a line that can't
    /// be stored is counted, and the count is told in the server's own log.
    pub fn append(&self, app: &AppId, line: LogLine) {
        let stored = self
            .app(app)
            .and_then(|log| lock(&log).append(vec![(line, None)]));
        if let Err(error) = stored {
            let lost = self.shared.lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::warn!(%app, %error, lost, "a log line was not stored");
        }
    }

    /// The last `lines` lines that match, oldest first.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn tail(&self, app: &AppId, filter: &LogFilter, lines: usize) -> io::Result<Vec<LogLine>> {
        let segments = lock(&*self.app(app)?).read_handles()?;
        segment::last_lines(segments, lines, |record| filter.matches(&record.line))
    }

    /// [`Self::tail`], and every line from then on: none between them is missing or comes twice. A reader that falls
    /// far behind loses the oldest.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn tail_then_follow(
        &self,
        app: &AppId,
        filter: &LogFilter,
        lines: usize,
    ) -> io::Result<(Vec<LogLine>, broadcast::Receiver<Arc<LogLine>>)> {
        let log = self.app(app)?;
        let mut log = lock(&log);
        let receiver = log.follow();
        let last = segment::last_lines(log.read_handles()?, lines, |record| filter.matches(&record.line))?;
        Ok((last, receiver))
    }

    /// The last lines that one instance wrote.
    ///
    /// # Errors
    /// When the files can't be read.
    pub fn tail_of_instance(
        &self,
        app: &AppId,
        instance: &InstanceId,
        lines: usize,
    ) -> io::Result<Vec<LogLine>> {
        let segments = lock(&*self.app(app)?).read_handles()?;
        segment::last_lines(segments, lines, |record| record.instance() == Some(instance))
    }

    /// Forgets all lines of an app.
    pub fn remove(&self, app: &AppId) {
        lock(&self.shared.apps).remove(app);
        match std::fs::remove_dir_all(self.shared.dir.join(app.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%app, %error, "the logs of a deleted app were not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Stores what an instance wrote, each line with the place in the engine's file after it.
    fn ingest(&self, app: &AppId, lines: Vec<(LogLine, Cursor)>) -> io::Result<()> {
        let lines = lines
            .into_iter()
            .map(|(line, cursor)| (line, Some(cursor)))
            .collect();
        lock(&*self.app(app)?).append(lines)
    }

    fn cursor(&self, app: &AppId, instance: &InstanceId) -> io::Result<Option<Cursor>> {
        Ok(lock(&*self.app(app)?).cursor(instance))
    }

    /// Only these instances' places are worth keeping: the others' files are gone.
    fn retain_cursors(&self, app: &AppId, instances: &BTreeSet<InstanceId>) -> io::Result<()> {
        lock(&*self.app(app)?).retain_cursors(instances);
        Ok(())
    }

    fn app(&self, app: &AppId) -> io::Result<Arc<Mutex<AppLog>>> {
        let mut apps = lock(&self.shared.apps);
        if let Some(log) = apps.get(app) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(Mutex::new(AppLog::open(&self.shared.dir.join(app.as_str()))?));
        apps.insert(app.clone(), Arc::clone(&log));
        Ok(log)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(process: &str, source: &str, message: &str) -> LogLine {
        LogLine {
            time: OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000),
            source: source.into(),
            process: process.into(),
            message: message.into(),
        }
    }

    fn messages(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn a_filter_takes_a_type_an_instance_a_source_and_a_time() {
        let web1 = line("web.1", "app", "");
        let by_process = |process: &str| LogFilter {
            process: Some(process.into()),
            ..LogFilter::default()
        };
        assert!(by_process("web").matches(&web1));
        assert!(by_process("web.1").matches(&web1));
        for other in ["we", "web.", "web.11", "worker"] {
            assert!(!by_process(other).matches(&web1), "{other}");
        }
        let pvdify = LogFilter {
            source: Some("pvdify".into()),
            ..LogFilter::default()
        };
        assert!(!pvdify.matches(&web1));
        let since = |time| LogFilter {
            since: Some(time),
            ..LogFilter::default()
        };
        assert!(since(web1.time).matches(&web1));
        assert!(!since(web1.time + time::Duration::NANOSECOND).matches(&web1));
    }

    #[test]
    fn the_tail_is_the_last_that_match_and_outlives_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let app: AppId = "a1".parse().unwrap();
        let store = LogStore::open(dir.path()).unwrap();
        for number in 0..10 {
            store.append(&app, line("web.1", "app", &format!("w{number}")));
            store.append(&app, line("worker.1", "app", &format!("k{number}")));
        }
        let web = LogFilter {
            process: Some("web".into()),
            ..LogFilter::default()
        };
        assert_eq!(messages(&store.tail(&app, &web, 3).unwrap()), ["w7", "w8", "w9"]);
        drop(store);
        let store = LogStore::open(dir.path()).unwrap();
        assert_eq!(messages(&store.tail(&app, &web, 2).unwrap()), ["w8", "w9"]);
        store.remove(&app);
        assert!(store.tail(&app, &web, 2).unwrap().is_empty());
    }

    #[test]
    fn who_follows_after_a_tail_sees_each_line_once() {
        let dir = tempfile::tempdir().unwrap();
        let app: AppId = "a1".parse().unwrap();
        let store = LogStore::open(dir.path()).unwrap();
        store.append(&app, line("web.1", "app", "before"));
        let (last, mut receiver) = store.tail_then_follow(&app, &LogFilter::default(), 10).unwrap();
        store.append(&app, line("web.1", "app", "after\u{1b}[2J"));
        assert_eq!(messages(&last), ["before"]);
        assert_eq!(receiver.try_recv().unwrap().message, "after\u{241b}[2J");
        assert!(receiver.try_recv().is_err());
    }
}

//! One app's lines on disk: two segment files, each a JSON record a line.
//!
//! A record is written whole by one call; a torn last one, left by a crash, is cut off at the next open. A
//! new segment begins with the places of all living instances, so that dropping the old one forgets none.
//! Nothing is synced: a power cut may take the last lines, never more.

use super::clean;
use pvdify_api::logs::LogLine;
use pvdify_types::InstanceId;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::broadcast;

/// A segment that is larger is full; an app holds two.
pub(super) const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Lines that a slow follower may be behind.
const FOLLOW_LINES: usize = 2048;
const CURRENT: &str = "current.log";
const PREVIOUS: &str = "previous.log";

/// The place in an instance's own log file up to which all is stored; each output has its own, since a
/// line of one may end between the parts of a line of the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    #[serde(rename = "i")]
    pub(super) instance: InstanceId,
    /// The file's inode: the engine replaces a full file by a new one.
    #[serde(rename = "f")]
    pub(super) file: u64,
    #[serde(rename = "o")]
    pub(super) stdout: u64,
    #[serde(rename = "e")]
    pub(super) stderr: u64,
}

/// A stored line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(flatten)]
    pub(super) line: LogLine,
    #[serde(rename = "c", skip_serializing_if = "Option::is_none", default)]
    cursor: Option<Cursor>,
}

impl Record {
    pub(super) fn instance(&self) -> Option<&InstanceId> {
        self.cursor.as_ref().map(|cursor| &cursor.instance)
    }
}

/// The first line of a segment.
#[derive(Serialize, Deserialize)]
struct Head {
    cursors: Vec<Cursor>,
}

/// One app's open log.
#[derive(Debug)]
pub(super) struct AppLog {
    dir: PathBuf,
    current: File,
    size: u64,
    cursors: BTreeMap<InstanceId, Cursor>,
    /// Only while somebody follows: a channel of this length for each app would hold memory for nobody.
    followers: Option<broadcast::Sender<Arc<LogLine>>>,
}

impl AppLog {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let mut cursors = BTreeMap::new();
        // The head of the current segment repeats what the previous one knew.
        let mut text = Vec::new();
        let mut current = open_append(&dir.join(CURRENT))?;
        current.read_to_end(&mut text)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        if whole < text.len() {
            current.set_len(whole as u64)?;
        }
        for line in text[..whole].split(|byte| *byte == b'\n') {
            let found = match serde_json::from_slice::<Record>(line) {
                Ok(record) => record.cursor.into_iter().collect(),
                Err(_) => {
                    serde_json::from_slice::<Head>(line).map_or_else(|_| Vec::new(), |head| head.cursors)
                }
            };
            cursors.extend(
                found
                    .into_iter()
                    .map(|cursor: Cursor| (cursor.instance.clone(), cursor)),
            );
        }
        Ok(Self {
            dir: dir.to_owned(),
            current,
            size: whole as u64,
            cursors,
            followers: None,
        })
    }

    /// Stores lines in order. On failure none counts as stored: those that reached the disk are cut off.
    pub(super) fn append(&mut self, lines: Vec<(LogLine, Option<Cursor>)>) -> io::Result<()> {
        let mut shown = Vec::with_capacity(lines.len());
        let mut text = Vec::new();
        let mut places = Vec::new();
        for (line, cursor) in lines {
            let mut parts = clean::lines(&line.message).into_iter().peekable();
            while let Some(message) = parts.next() {
                let part = LogLine {
                    message,
                    ..line.clone()
                };
                // Before the last part the line is not wholly stored: the instance is known, the place is not.
                let cursor = match (&cursor, parts.peek()) {
                    (Some(cursor), Some(_)) => last_place(&places, &cursor.instance)
                        .or_else(|| self.cursors.get(&cursor.instance))
                        .cloned(),
                    (cursor, _) => cursor.clone(),
                };
                let record = Record { line: part, cursor };
                serde_json::to_writer(&mut text, &record)?;
                text.push(b'\n');
                shown.push(record.line);
            }
            places.extend(cursor);
        }
        if self.size > 0 && self.size + text.len() as u64 > SEGMENT_BYTES {
            self.rotate()?;
        }
        if let Err(error) = self.current.write_all(&text) {
            self.current.set_len(self.size)?;
            return Err(error);
        }
        self.size += text.len() as u64;
        self.cursors
            .extend(places.into_iter().map(|place| (place.instance.clone(), place)));
        self.show(shown);
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let fresh = self.dir.join("next.log");
        let mut file = open_append(&fresh)?;
        file.set_len(0)?;
        let head = Head {
            cursors: self.cursors.values().cloned().collect(),
        };
        let mut text = serde_json::to_vec(&head)?;
        text.push(b'\n');
        file.write_all(&text)?;
        // Killed between the two: the next open starts an empty segment without places, and the engine's
        // files are read once more from their beginning; nothing is lost.
        std::fs::rename(self.dir.join(CURRENT), self.dir.join(PREVIOUS))?;
        std::fs::rename(&fresh, self.dir.join(CURRENT))?;
        self.current = file;
        self.size = text.len() as u64;
        Ok(())
    }

    fn show(&mut self, lines: Vec<LogLine>) {
        let Some(followers) = &self.followers else {
            return;
        };
        for line in lines {
            if followers.send(Arc::new(line)).is_err() {
                // The last one has gone.
                self.followers = None;
                return;
            }
        }
    }

    pub(super) fn follow(&mut self) -> broadcast::Receiver<Arc<LogLine>> {
        self.followers
            .get_or_insert_with(|| broadcast::channel(FOLLOW_LINES).0)
            .subscribe()
    }

    pub(super) fn cursor(&self, instance: &InstanceId) -> Option<Cursor> {
        self.cursors.get(instance).cloned()
    }

    pub(super) fn retain_cursors(&mut self, instances: &BTreeSet<InstanceId>) {
        self.cursors.retain(|instance, _| instances.contains(instance));
    }

    /// The segments, newest first, to be read without holding this log.
    pub(super) fn read_handles(&self) -> io::Result<Vec<File>> {
        let mut files = Vec::with_capacity(2);
        for name in [CURRENT, PREVIOUS] {
            match File::open(self.dir.join(name)) {
                Ok(file) => files.push(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }
}

fn last_place<'a>(places: &'a [Cursor], instance: &InstanceId) -> Option<&'a Cursor> {
    places.iter().rev().find(|place| place.instance == *instance)
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).open(path)
}

/// The last `count` lines that are wanted, oldest first, of segments that come newest first.
pub(super) fn last_lines(
    segments: Vec<File>,
    count: usize,
    wanted: impl Fn(&Record) -> bool,
) -> io::Result<Vec<LogLine>> {
    let mut newest_first = Vec::new();
    for mut segment in segments {
        let mut text = Vec::new();
        segment.read_to_end(&mut text)?;
        let records = text
            .rsplit(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Record>(line).ok())
            .filter(|record| wanted(record));
        newest_first.extend(records.take(count - newest_first.len()).map(|record| record.line));
        if newest_first.len() == count {
            break;
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    fn line(message: String) -> LogLine {
        LogLine {
            time: OffsetDateTime::UNIX_EPOCH,
            source: "app".into(),
            process: "web.1".into(),
            message,
        }
    }

    fn cursor(instance: &str, place: u64) -> Cursor {
        Cursor {
            instance: instance.parse().unwrap(),
            file: 1,
            stdout: place,
            stderr: place,
        }
    }

    #[test]
    fn disk_use_is_bounded_and_places_outlive_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = AppLog::open(dir.path()).unwrap();
        log.append(vec![(line("quiet".into()), Some(cursor("quiet", 6)))])
            .unwrap();
        for number in 0..1500_u64 {
            let message = format!("{number:05} {}", "x".repeat(9000));
            log.append(vec![(line(message), Some(cursor("noisy", number)))])
                .unwrap();
        }
        let disk: u64 = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(disk <= 2 * SEGMENT_BYTES, "{disk}");
        let last = last_lines(log.read_handles().unwrap(), 500, |_| true).unwrap();
        assert_eq!(last.len(), 500);
        assert!(last[0].message.starts_with("01000") && last[499].message.starts_with("01499"));
        drop(log);
        let log = AppLog::open(dir.path()).unwrap();
        assert_eq!(log.cursor(&"quiet".parse().unwrap()), Some(cursor("quiet", 6)));
        assert_eq!(log.cursor(&"noisy".parse().unwrap()), Some(cursor("noisy", 1499)));
    }

    #[test]
    fn a_torn_record_is_cut_off_and_its_place_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = AppLog::open(dir.path()).unwrap();
        log.append(vec![(line("one".into()), Some(cursor("i", 1)))])
            .unwrap();
        log.append(vec![(line("two".into()), Some(cursor("i", 2)))])
            .unwrap();
        drop(log);
        let path = dir.path().join(CURRENT);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(length - 3)
            .unwrap();
        let mut log = AppLog::open(dir.path()).unwrap();
        assert_eq!(log.cursor(&"i".parse().unwrap()), Some(cursor("i", 1)));
        log.append(vec![(line("again".into()), Some(cursor("i", 3)))])
            .unwrap();
        let lines = last_lines(log.read_handles().unwrap(), 10, |_| true).unwrap();
        let messages: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(messages, ["one", "again"]);
    }

    #[test]
    fn a_line_that_is_cut_counts_as_stored_with_its_last_part() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = AppLog::open(dir.path()).unwrap();
        log.append(vec![
            (line("a".into()), Some(cursor("i", 1))),
            (line("b".repeat(25_000)), Some(cursor("i", 2))),
        ])
        .unwrap();
        let text = std::fs::read_to_string(dir.path().join(CURRENT)).unwrap();
        let places: Vec<u64> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<Record>(line)
                    .unwrap()
                    .cursor
                    .unwrap()
                    .stdout
            })
            .collect();
        assert_eq!(places, [1, 1, 1, 2]);
    }
}

//! The database: one SQLite file, one writer, readers apart.
//!
//! Every change is a closure that runs in one IMMEDIATE transaction on the one writer thread, so changes
//! follow each other and a read inside a change can't be overtaken: read-modify-write needs no further
//! lock. WAL with `synchronous=FULL`: what was answered is on disk (NORMAL may lose the last commits when
//! the power goes), and what was refused is not there after a kill either. Reads run on connections of their
//! own, each in one snapshot.
//!
//! There is a module for each table; SQL is nowhere else. The use cases compose their functions inside one
//! [`Store::write`].

pub mod apps;
pub mod bindings;
pub mod buildpacks;
pub mod builds;
mod column;
pub mod config_vars;
pub mod config_versions;
pub mod domains;
mod error;
pub mod formation;
pub mod installation;
pub mod one_offs;
mod open;
pub mod process_orders;
pub mod releases;
pub mod reseal;
pub mod secrets;
pub mod ssh_keys;
pub mod tokens;
pub mod volumes;

pub use error::{Error, OpenError, Result};
pub use rusqlite::{Connection as Reader, Transaction as Tx};
pub use secrets::{KeyFileError, Secrets};

use pvdify_types::InstallationId;
use rusqlite::{Connection, TransactionBehavior};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::sync::oneshot;

/// What a conditional change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed<S> {
    /// It was so and is changed.
    Updated,
    /// It is there, but not in a state that allows the change.
    Refused(S),
    /// There is no such row.
    NotFound,
}

impl<S> Changed<S> {
    /// Whether the row changed.
    #[must_use]
    pub fn is_updated(&self) -> bool {
        matches!(self, Self::Updated)
    }
}

/// The database, shared.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: mpsc::Sender<Job>,
    /// Idle connections; one is opened when none is.
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    installation: InstallationId,
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// How many idle read connections are kept: reads take microseconds, a dashboard makes a few at once.
const IDLE_READERS: usize = 4;

impl Store {
    /// Opens the database, makes it when it is not there, brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`], whose text says what to do.
    pub fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        let (connection, installation) = open::open(path)?;
        let (writer, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(connection, &jobs))
            .map_err(|error| OpenError::Open {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                readers: Mutex::default(),
                path: path.to_owned(),
                installation,
            }),
        })
    }

    /// This installation's id, made with the database.
    #[must_use]
    pub fn installation(&self) -> &InstallationId {
        &self.inner.installation
    }

    /// Runs `change` in one transaction, after all changes before it. An error rolls all of it back; `Ok`
    /// means that it is durable.
    ///
    /// # Errors
    /// Those of `change`, and those of the store by way of `From`.
    pub async fn write<T, E, F>(&self, change: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> std::result::Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = in_transaction(connection, change);
            // The caller may be gone; the change holds all the same.
            reply.send(result).ok();
        });
        self.inner.writer.send(job).map_err(|_| Error::Stopped)?;
        answer.await.map_err(|_| Error::Stopped)?
    }

    /// Empties the write-ahead log into the database, so that nothing of what rows held before is left there; what reads
    /// are still at stays until they end.
    ///
    /// # Errors
    /// Of the database.
    pub async fn empty_log(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            // Whoever asked may be gone.
            reply.send(emptied).ok();
        });
        self.inner.writer.send(job).map_err(|_| Error::Stopped)?;
        Ok(answer.await.map_err(|_| Error::Stopped)??)
    }

    /// Runs `read` on one snapshot, beside other reads and the writer.
    ///
    /// # Errors
    /// Those of `read`, and those of the store by way of `From`.
    pub async fn read<T, E, F>(&self, read: F) -> std::result::Result<T, E>
    where
        F: FnOnce(&Reader) -> std::result::Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::task::spawn_blocking(move || {
            let idle = inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => open::reader(&inner.path)?,
            };
            let snapshot = connection.transaction().map_err(Error::from)?;
            let value = read(&snapshot)?;
            snapshot.finish().map_err(Error::from)?;
            let mut idle = inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(connection);
            }
            Ok(value)
        });
        task.await.map_err(|_| Error::Stopped)?
    }
}

fn in_transaction<T, E: From<Error>>(
    connection: &mut Connection,
    change: impl FnOnce(&Tx<'_>) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Error::from)?;
    let value = change(&transaction)?;
    if let Err(error) = transaction.commit() {
        disown(connection);
        return Err(Error::from(error).into());
    }
    Ok(value)
}

/// A commit that could not be flushed stands complete in the log all the same, and the start after a kill would
/// find it there. A change that changes nothing takes its place.
fn disown(connection: &Connection) {
    // Two steps, since SQLite does not write a row that stays the same.
    let nothing = "BEGIN IMMEDIATE; UPDATE installation SET generation = generation + 1;
        UPDATE installation SET generation = generation - 1; COMMIT";
    // On a disk that fails this fails too; it is written before it is flushed, which is what matters.
    if connection.execute_batch(nothing).is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").ok();
    }
}

/// The writer thread. A change that panics rolls back as it unwinds, and the next one runs.
fn run(mut connection: Connection, jobs: &mpsc::Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        if catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a change of the database panicked and was rolled back");
        }
    }
}

/// Whether anything is sealed: then the key file must be there.
///
/// # Errors
/// Of the database.
pub fn anything_sealed(reader: &Reader) -> Result<bool> {
    Ok(config_vars::any(reader)? || bindings::any(reader)?)
}

/// Now, as the database counts time.
#[must_use]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A stored time for people.
#[must_use]
pub fn as_date(millis: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The same as text (RFC 3339).
#[must_use]
pub fn as_text(millis: i64) -> String {
    // No time that is stored has a year of five digits, which is all that the format does not take.
    as_date(millis).format(&Rfc3339).unwrap_or_default()
}

/// A stored time for the clock.
#[must_use]
pub fn as_time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// A time of the clock as it is stored.
#[must_use]
pub fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_that_fails_or_panics_leaves_nothing_and_the_next_one_runs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let add = |host: &'static str, end: fn() -> Result<()>| {
            let store = store.clone();
            async move {
                store
                    .write(move |tx| {
                        tx.execute("INSERT INTO ssh_keys VALUES (?1, 'n', 'k', 0)", [host])?;
                        end()
                    })
                    .await
            }
        };
        assert!(add("a", || Err(Error::Stopped)).await.is_err());
        assert!(matches!(
            add("b", || panic!("on purpose")).await,
            Err(Error::Stopped)
        ));
        add("c", || Ok(())).await.unwrap();
        let kept = store.read(ssh_keys::list).await.unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].fingerprint, "c");
    }

    #[tokio::test]
    async fn the_file_is_for_its_owner_alone_and_the_installation_stays_the_same() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let first = Store::open(&path).unwrap().installation().clone();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(Store::open(&path).unwrap().installation(), &first);
    }
}

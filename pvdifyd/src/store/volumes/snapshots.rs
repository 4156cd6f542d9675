//! The table `volume_snapshots`. A row is there before its folder is, `making`, and says how it ended.

use crate::store::{Error, Result, column};
use pvdify_types::{SnapshotId, SnapshotName, VolumeId};
use rusqlite::{Connection, Row, params};

/// How far a snapshot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Status {
    Making,
    Ready,
    Failed,
}

impl Status {
    /// The word in the database and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Making => "making",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Making, Self::Ready, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == word)
    }
}

/// A snapshot.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub id: SnapshotId,
    pub name: SnapshotName,
    pub status: Status,
    /// Nothing that had the volume ran while it was made.
    pub stopped: bool,
    /// What is in it; `None` before it is ready.
    pub bytes: Option<u64>,
    pub failure: Option<String>,
    pub created_at: i64,
}

fn read(row: &Row<'_>) -> Result<Snapshot> {
    let word: String = column::plain(row, "volume_snapshots.status")?;
    Ok(Snapshot {
        id: column::parsed(row, "volume_snapshots.id")?,
        name: column::parsed(row, "volume_snapshots.name")?,
        status: Status::from_word(&word).ok_or_else(|| Error::unreadable("volume_snapshots.status", word))?,
        stopped: column::plain(row, "volume_snapshots.stopped")?,
        bytes: column::plain(row, "volume_snapshots.bytes")?,
        failure: column::plain(row, "volume_snapshots.failure")?,
        created_at: column::plain(row, "volume_snapshots.created_at")?,
    })
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Snapshot>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM volume_snapshots {rest}"))?;
    query.query_and_then(params, read)?.collect()
}

/// A volume's, newest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, volume: &VolumeId) -> Result<Vec<Snapshot>> {
    // An id grows with time too, and tells those of one millisecond apart.
    select(reader, "WHERE volume = ?1 ORDER BY id DESC", [volume.as_str()])
}

/// One of a volume's.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, volume: &VolumeId, name: &SnapshotName) -> Result<Option<Snapshot>> {
    Ok(select(
        reader,
        "WHERE volume = ?1 AND name = ?2",
        params![volume.as_str(), name.as_str()],
    )?
    .pop())
}

/// Adds one that is to be made; `None` when the volume has one of this name.
///
/// # Errors
/// Of the database.
pub fn insert(
    tx: &Connection,
    volume: &VolumeId,
    name: &SnapshotName,
    stopped: bool,
    now: i64,
) -> Result<Option<SnapshotId>> {
    let id = uuid::Uuid::now_v7().to_string();
    let added = tx.execute(
        "INSERT INTO volume_snapshots (id, volume, name, status, stopped, created_at)
         VALUES (?1, ?2, ?3, 'making', ?4, ?5) ON CONFLICT (volume, name) DO NOTHING",
        params![id, volume.as_str(), name.as_str(), stopped, now],
    )?;
    let parse = |error| Error::unreadable("volume_snapshots.id", error);
    (added == 1).then(|| id.parse().map_err(parse)).transpose()
}

/// Its folder is whole.
///
/// # Errors
/// Of the database.
pub fn set_ready(tx: &Connection, id: &SnapshotId, bytes: u64) -> Result<()> {
    tx.execute(
        "UPDATE volume_snapshots SET status = 'ready', bytes = ?2 WHERE id = ?1 AND status = 'making'",
        params![id.as_str(), bytes],
    )?;
    Ok(())
}

/// It will not be made.
///
/// # Errors
/// Of the database.
pub fn set_failed(tx: &Connection, id: &SnapshotId, failure: &str) -> Result<()> {
    tx.execute(
        "UPDATE volume_snapshots SET status = 'failed', failure = ?2 WHERE id = ?1 AND status = 'making'",
        params![id.as_str(), failure],
    )?;
    Ok(())
}

/// It is about to be destroyed, and is restored no more.
///
/// # Errors
/// Of the database.
pub fn set_going(tx: &Connection, id: &SnapshotId) -> Result<()> {
    tx.execute(
        "UPDATE volume_snapshots SET status = 'failed', bytes = NULL, failure = 'it was being destroyed: destroy it once more'
         WHERE id = ?1",
        [id.as_str()],
    )?;
    Ok(())
}

/// Forgets one.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, id: &SnapshotId) -> Result<()> {
    tx.execute("DELETE FROM volume_snapshots WHERE id = ?1", [id.as_str()])?;
    Ok(())
}

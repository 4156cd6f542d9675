//! The tables of volumes: the volumes themselves, where they are mounted ([`mounts`]), and their snapshots
//! ([`snapshots`]).
//!
//! A volume's folder is there before its row is, and gone before it ([`remove`]): a row always has a folder, and a folder
//! without a row is empty, or not ours to remove. What is being done with the folders stands in the row ([`begin`], [`end`]), so that only one
//! thing is, and a start after a kill knows what to bring to an end.

pub mod mounts;
pub mod snapshots;

use super::{Changed, Error, Result, column};
use pvdify_types::{AppId, ReleaseVersion, VolumeId, VolumeName};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What can be under way with a volume's folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Snapshot,
    Restore,
    Destroy,
}

impl Operation {
    /// The word in the database and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Restore => "restore",
            Self::Destroy => "destroy",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Snapshot, Self::Restore, Self::Destroy]
            .into_iter()
            .find(|operation| operation.as_str() == word)
    }
}

/// A volume.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Volume {
    pub id: VolumeId,
    pub app: AppId,
    pub name: VolumeName,
    pub operation: Option<Operation>,
    /// Nothing that has it may run.
    pub held: bool,
    pub created_at: i64,
}

fn read(row: &Row<'_>) -> Result<Volume> {
    let word: Option<String> = column::plain(row, "volumes.operation")?;
    let operation = |word: String| {
        Operation::from_word(&word).ok_or_else(|| Error::unreadable("volumes.operation", word))
    };
    Ok(Volume {
        id: column::parsed(row, "volumes.id")?,
        app: column::parsed(row, "volumes.app")?,
        name: column::parsed(row, "volumes.name")?,
        operation: word.map(operation).transpose()?,
        held: column::plain(row, "volumes.held")?,
        created_at: column::plain(row, "volumes.created_at")?,
    })
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Volume>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM volumes {rest}"))?;
    query.query_and_then(params, read)?.collect()
}

/// An app's, by name.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Volume>> {
    select(reader, "WHERE app = ?1 ORDER BY name", [app.as_str()])
}

/// One of an app's.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, app: &AppId, name: &VolumeName) -> Result<Option<Volume>> {
    Ok(select(
        reader,
        "WHERE app = ?1 AND name = ?2",
        params![app.as_str(), name.as_str()],
    )?
    .pop())
}

/// Those with which something is being done, of all apps.
///
/// # Errors
/// Of the database.
pub fn under_way(reader: &Connection) -> Result<Vec<Volume>> {
    select(reader, "WHERE operation IS NOT NULL ORDER BY id", [])
}

/// Which of an app's nothing may run with.
///
/// # Errors
/// Of the database.
pub fn held(reader: &Connection, app: &AppId) -> Result<Vec<VolumeId>> {
    let held = select(reader, "WHERE app = ?1 AND held = 1", [app.as_str()])?;
    Ok(held.into_iter().map(|volume| volume.id).collect())
}

/// Adds a volume; `false` when the app has one of this name.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, id: &VolumeId, app: &AppId, name: &VolumeName, now: i64) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO volumes (id, app, name, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (app, name) DO NOTHING",
        params![id.as_str(), app.as_str(), name.as_str(), now],
    )?;
    Ok(added == 1)
}

/// The app's releases that had, or have, a volume.
///
/// # Errors
/// Of the database.
pub fn releases_with(reader: &Connection, app: &AppId, id: &VolumeId) -> Result<Vec<ReleaseVersion>> {
    let mut query = reader.prepare_cached(
        "SELECT DISTINCT version FROM releases, json_each(releases.mounts) AS mount
         WHERE app = ?1 AND mount.value ->> 'id' = ?2",
    )?;
    let rows = query.query_and_then(params![app.as_str(), id.as_str()], |row| {
        column::plain(row, "releases.version").map(ReleaseVersion)
    })?;
    rows.collect()
}

/// Notes that something begins to be done with a volume's folders; refused with what is done already.
///
/// # Errors
/// Of the database.
pub fn begin(tx: &Connection, id: &VolumeId, operation: Operation) -> Result<Changed<Operation>> {
    let begun = tx.execute(
        "UPDATE volumes SET operation = ?2 WHERE id = ?1 AND operation IS NULL",
        params![id.as_str(), operation.as_str()],
    )?;
    if begun == 1 {
        return Ok(Changed::Updated);
    }
    let word: Option<String> = tx
        .query_row(
            "SELECT operation FROM volumes WHERE id = ?1",
            [id.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    let Some(word) = word else {
        return Ok(Changed::NotFound);
    };
    let under_way = Operation::from_word(&word);
    Ok(Changed::Refused(
        under_way.ok_or_else(|| Error::unreadable("volumes.operation", word))?,
    ))
}

/// Nothing that has it may run from now on, until [`end`].
///
/// # Errors
/// Of the database.
pub fn hold(tx: &Connection, id: &VolumeId) -> Result<()> {
    tx.execute("UPDATE volumes SET held = 1 WHERE id = ?1", [id.as_str()])?;
    Ok(())
}

/// Nothing is being done any more, and what has it may run.
///
/// # Errors
/// Of the database.
pub fn end(tx: &Connection, id: &VolumeId) -> Result<()> {
    tx.execute(
        "UPDATE volumes SET operation = NULL, held = 0 WHERE id = ?1",
        [id.as_str()],
    )?;
    Ok(())
}

/// Forgets a volume that is being destroyed, with its snapshots.
///
/// # Errors
/// Of the database, and when it is mounted.
pub fn remove(tx: &Connection, id: &VolumeId) -> Result<()> {
    tx.execute(
        "DELETE FROM volume_snapshots
         WHERE volume = (SELECT id FROM volumes WHERE id = ?1 AND operation = 'destroy')",
        [id.as_str()],
    )?;
    tx.execute(
        "DELETE FROM volumes WHERE id = ?1 AND operation = 'destroy'",
        [id.as_str()],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, apps};
    use pvdify_types::{Environment, VolumeMount};

    #[tokio::test]
    async fn a_volume_takes_one_operation_at_a_time_and_goes_only_by_being_destroyed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let done = store.write(|tx| {
            let app = apps::insert(tx, &"demo".parse().unwrap(), Environment::default(), 0)?.unwrap();
            let name: VolumeName = "data".parse().unwrap();
            let id: VolumeId = "v1".parse().unwrap();
            assert!(insert(tx, &id, &app, &name, 0)?);
            assert!(
                !insert(tx, &"v2".parse().unwrap(), &app, &name, 0)?,
                "the name is taken"
            );
            snapshots::insert(tx, &id, &"s1".parse().unwrap(), false, 0)?.unwrap();

            assert!(begin(tx, &id, Operation::Snapshot)?.is_updated());
            assert_eq!(
                begin(tx, &id, Operation::Restore)?,
                Changed::Refused(Operation::Snapshot)
            );
            remove(tx, &id)?;
            assert!(find(tx, &app, &name)?.is_some(), "nobody destroys it");
            hold(tx, &id)?;
            assert_eq!(held(tx, &app)?, std::slice::from_ref(&id));
            end(tx, &id)?;
            assert!(held(tx, &app)?.is_empty() && under_way(tx)?.is_empty());

            apps::mark_deleting(tx, &app, 0)?;
            assert!(
                apps::remove(tx, &app).is_err(),
                "an app does not go without its volumes"
            );
            let mount = VolumeMount {
                id: id.clone(),
                volume: name.clone(),
                process: None,
                path: "/data".parse().unwrap(),
                read_only: false,
                shared: true,
            };
            mounts::replace(tx, &app, std::slice::from_ref(&mount))?;
            assert_eq!(mounts::of_app(tx, &app)?, [mount]);
            begin(tx, &id, Operation::Destroy)?;
            assert!(
                remove(tx, &id).is_err(),
                "a volume does not go while it is mounted"
            );
            mounts::replace(tx, &app, &[])?;
            remove(tx, &id)?;
            assert!(find(tx, &app, &name)?.is_none());
            assert!(apps::remove(tx, &app)?.is_updated());
            Ok::<_, Error>(())
        });
        done.await.unwrap();
    }
}

//! The table `volume_mounts`: where an app's next release has its volumes. What a release that is there has stands in
//! its own row.

use crate::store::{Result, column};
use pvdify_types::{AppId, ProcessType, VolumeMount};
use rusqlite::{Connection, Row, params};

/// Of every type.
const ALL: &str = "";

fn read(row: &Row<'_>) -> Result<VolumeMount> {
    let process: String = column::plain(row, "volume_mounts.process")?;
    Ok(VolumeMount {
        id: column::parsed(row, "volumes.id")?,
        volume: column::parsed(row, "volumes.name")?,
        process: match process.as_str() {
            ALL => None,
            _ => Some(column::parsed(row, "volume_mounts.process")?),
        },
        path: column::parsed(row, "volume_mounts.path")?,
        read_only: column::plain(row, "volume_mounts.read_only")?,
        shared: column::plain(row, "volume_mounts.shared")?,
    })
}

/// An app's, by volume and process type.
///
/// # Errors
/// Of the database.
pub fn of_app(reader: &Connection, app: &AppId) -> Result<Vec<VolumeMount>> {
    let mut query = reader.prepare_cached(
        "SELECT volumes.id, volumes.name, process, path, read_only, shared
         FROM volume_mounts JOIN volumes ON volumes.id = volume_mounts.volume
         WHERE volumes.app = ?1 ORDER BY volumes.name, process",
    )?;
    query.query_and_then([app.as_str()], read)?.collect()
}

/// Writes an app's mounts in place of all before.
///
/// # Errors
/// Of the database.
pub fn replace(tx: &Connection, app: &AppId, mounts: &[VolumeMount]) -> Result<()> {
    tx.execute(
        "DELETE FROM volume_mounts WHERE volume IN (SELECT id FROM volumes WHERE app = ?1)",
        [app.as_str()],
    )?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO volume_mounts (volume, process, path, read_only, shared) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for mount in mounts {
        insert.execute(params![
            mount.id.as_str(),
            mount.process.as_ref().map_or(ALL, ProcessType::as_str),
            mount.path.as_str(),
            mount.read_only,
            mount.shared
        ])?;
    }
    Ok(())
}

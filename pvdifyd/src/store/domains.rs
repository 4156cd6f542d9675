//! The table `domains`: hosts that people added. An app's default host is in no table.

use super::{Changed, Result, column};
use pvdify_types::{AppId, Hostname};
use rusqlite::{Connection, OptionalExtension, params};

/// A domain.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Domain {
    pub host: Hostname,
    pub created_at: i64,
}

/// An app's, oldest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Domain>> {
    let mut query = reader
        .prepare_cached("SELECT host, created_at FROM domains WHERE app = ?1 ORDER BY created_at, host")?;
    let rows = query.query_and_then([app.as_str()], |row| {
        Ok(Domain {
            host: column::parsed(row, "domains.host")?,
            created_at: column::plain(row, "domains.created_at")?,
        })
    })?;
    rows.collect()
}

/// How many an app has.
///
/// # Errors
/// Of the database.
pub fn count(reader: &Connection, app: &AppId) -> Result<u64> {
    Ok(reader.query_row(
        "SELECT count(*) FROM domains WHERE app = ?1",
        [app.as_str()],
        |row| row.get(0),
    )?)
}

/// Adds one. Refused with its owner when it is taken, also by this app.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, app: &AppId, host: &Hostname, now: i64) -> Result<Changed<AppId>> {
    let added = tx.execute(
        "INSERT INTO domains (host, app, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (host) DO NOTHING",
        params![host.as_str(), app.as_str(), now],
    )?;
    if added == 1 {
        return Ok(Changed::Updated);
    }
    let owner: Option<String> = tx
        .query_row(
            "SELECT app FROM domains WHERE host = ?1",
            [host.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    match owner {
        Some(owner) => {
            Ok(Changed::Refused(owner.parse().map_err(|error| {
                super::Error::unreadable("domains.app", error)
            })?))
        }
        None => Ok(Changed::NotFound),
    }
}

/// Removes one of this app's; `false` when it has no such.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, app: &AppId, host: &Hostname) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM domains WHERE host = ?1 AND app = ?2",
        params![host.as_str(), app.as_str()],
    )?;
    Ok(removed == 1)
}

//! The table `config_versions`: each whole set of config vars that an app had, whose change it was, and who has it.

use super::{Result, column};
use pvdify_types::{AppId, ConfigVersion, ReleaseVersion};
use rusqlite::{Connection, params};

/// One of them, without its vars.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Version {
    pub version: ConfigVersion,
    pub user: String,
    /// Names of keys, and no value.
    pub description: String,
    pub created_at: i64,
    /// The releases that took it, oldest first.
    pub releases: Vec<ReleaseVersion>,
}

/// Whose change makes a version, and what it does.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Origin<'a> {
    pub user: &'a str,
    pub description: &'a str,
}

/// Adds the app's next version.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, app: &AppId, origin: Origin<'_>, now: i64) -> Result<ConfigVersion> {
    let last: u64 = tx.query_row(
        "SELECT coalesce(max(version), 0) FROM config_versions WHERE app = ?1",
        [app.as_str()],
        |row| row.get(0),
    )?;
    let version = ConfigVersion(last).next();
    tx.execute(
        "INSERT INTO config_versions (app, version, user, description, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![app.as_str(), version.0, origin.user, origin.description, now],
    )?;
    Ok(version)
}

/// An app's, newest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Version>> {
    let mut query =
        reader.prepare_cached("SELECT * FROM config_versions WHERE app = ?1 ORDER BY version DESC")?;
    let mut taken = reader.prepare_cached(
        "SELECT version FROM releases WHERE app = ?1 AND config_version = ?2 AND status <> 'building'
         ORDER BY version",
    )?;
    let rows = query.query_and_then([app.as_str()], |row| -> Result<_> {
        let version = ConfigVersion(column::plain(row, "config_versions.version")?);
        let releases = taken.query_and_then(params![app.as_str(), version.0], |row| -> Result<_> {
            Ok(ReleaseVersion(column::plain(row, "releases.version")?))
        })?;
        Ok(Version {
            version,
            user: column::plain(row, "config_versions.user")?,
            description: column::plain(row, "config_versions.description")?,
            created_at: column::plain(row, "config_versions.created_at")?,
            releases: releases.collect::<Result<_>>()?,
        })
    })?;
    rows.collect()
}

/// Whether the app has, or had, this one; each has the empty one before the first.
///
/// # Errors
/// Of the database.
pub fn is_there(reader: &Connection, app: &AppId, version: ConfigVersion) -> Result<bool> {
    if version.0 == 0 {
        return Ok(true);
    }
    Ok(reader.query_row(
        "SELECT EXISTS (SELECT 1 FROM config_versions WHERE app = ?1 AND version = ?2)",
        params![app.as_str(), version.0],
        |row| row.get(0),
    )?)
}

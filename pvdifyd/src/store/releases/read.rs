//! Reading releases: one function for each question that is asked of them.
//!
//! A row that can't be understood is an error and never skipped: what the reconciler does not see, it would
//! remove.

use super::{Code, Fixed, Release};
use crate::store::{Error, Result, column};
use pvdify_types::{AppId, ConfigVersion, ReleaseCause, ReleaseStatus, ReleaseVersion};
use rusqlite::{Connection, Row, params};

/// An app's, newest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Release>> {
    select(reader, "WHERE app = ?1 ORDER BY version DESC", [app.as_str()])
}

/// One.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, app: &AppId, version: ReleaseVersion) -> Result<Option<Release>> {
    Ok(select(
        reader,
        "WHERE app = ?1 AND version = ?2",
        params![app.as_str(), version.0],
    )?
    .pop())
}

/// The one of a status that at most one has: `current` or `deploying`.
///
/// # Errors
/// Of the database.
pub fn with_status(reader: &Connection, app: &AppId, status: ReleaseStatus) -> Result<Option<Release>> {
    Ok(select(
        reader,
        "WHERE app = ?1 AND status = ?2 ORDER BY version DESC LIMIT 1",
        params![app.as_str(), status.as_str()],
    )?
    .pop())
}

/// The one that serves.
///
/// # Errors
/// Of the database.
pub fn current(reader: &Connection, app: &AppId) -> Result<Option<Release>> {
    with_status(reader, app, ReleaseStatus::Current)
}

/// The newest whose image serves or will: what a change of config builds on. `None`: nothing was deployed yet.
///
/// # Errors
/// Of the database.
pub fn newest_live(reader: &Connection, app: &AppId) -> Result<Option<Release>> {
    Ok(select(
        reader,
        "WHERE app = ?1 AND status IN ('pending', 'deploying', 'current') ORDER BY version DESC LIMIT 1",
        [app.as_str()],
    )?
    .pop())
}

/// Not ended, oldest first.
///
/// # Errors
/// Of the database.
pub fn open(reader: &Connection, app: &AppId) -> Result<Vec<Release>> {
    select(
        reader,
        "WHERE app = ?1 AND status IN ('building', 'pending', 'deploying') ORDER BY version",
        [app.as_str()],
    )
}

/// Whether any failed.
///
/// # Errors
/// Of the database.
pub fn any_failed(reader: &Connection, app: &AppId) -> Result<bool> {
    Ok(reader.query_row(
        "SELECT EXISTS (SELECT 1 FROM releases WHERE app = ?1 AND status = 'failed')",
        [app.as_str()],
        |row| row.get(0),
    )?)
}

/// Whether any serves or has served.
///
/// # Errors
/// Of the database.
pub fn any_served(reader: &Connection, app: &AppId) -> Result<bool> {
    Ok(reader.query_row(
        "SELECT EXISTS (SELECT 1 FROM releases
                        WHERE app = ?1 AND status IN ('current', 'superseded', 'rolled_back'))",
        [app.as_str()],
        |row| row.get(0),
    )?)
}

/// Those whose turn it is to deploy: pending, and the oldest that is open of an app that is not going.
///
/// # Errors
/// Of the database.
pub fn due(reader: &Connection) -> Result<Vec<(AppId, ReleaseVersion)>> {
    let mut query = reader.prepare_cached(
        "SELECT app, version FROM releases AS r
         WHERE status = 'pending'
           AND EXISTS (SELECT 1 FROM apps WHERE id = r.app AND deleting = 0)
           AND NOT EXISTS (SELECT 1 FROM releases AS older
                           WHERE older.app = r.app AND older.version < r.version
                             AND older.status IN ('building', 'pending', 'deploying'))",
    )?;
    let rows = query.query_and_then([], |row| -> Result<_> {
        let version = ReleaseVersion(column::plain(row, "releases.version")?);
        Ok((column::parsed(row, "releases.app")?, version))
    })?;
    rows.collect()
}

/// All that are `building` or `deploying`, of every app.
///
/// # Errors
/// Of the database.
pub fn all_with_status(reader: &Connection, status: ReleaseStatus) -> Result<Vec<(AppId, Release)>> {
    let mut query = reader.prepare_cached("SELECT * FROM releases WHERE status = ?1")?;
    let rows = query.query_and_then([status.as_str()], |row| -> Result<_> {
        Ok((column::parsed(row, "releases.app")?, release(row)?))
    })?;
    rows.collect()
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Release>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM releases {rest}"))?;
    query.query_and_then(params, release)?.collect()
}

fn release(row: &Row<'_>) -> Result<Release> {
    let status: String = column::plain(row, "releases.status")?;
    let cause: String = column::plain(row, "releases.cause")?;
    let rollback_to: Option<u64> = column::plain(row, "releases.rollback_to")?;
    let before: Option<u64> = column::plain(row, "releases.config_before")?;
    Ok(Release {
        version: ReleaseVersion(column::plain(row, "releases.version")?),
        status: ReleaseStatus::from_word(&status)
            .ok_or_else(|| Error::unreadable("releases.status", status))?,
        cause: match (cause.as_str(), rollback_to) {
            ("deploy", None) => ReleaseCause::Deploy,
            ("config", None) => ReleaseCause::Config,
            ("promote", None) => ReleaseCause::Promote,
            ("stack", None) => ReleaseCause::Stack,
            ("rollback", Some(to)) => ReleaseCause::Rollback {
                to: ReleaseVersion(to),
            },
            _ => return Err(Error::unreadable("releases.cause", cause)),
        },
        reference: column::plain(row, "releases.reference")?,
        code: code(row)?,
        config_version: ConfigVersion(column::plain(row, "releases.config_version")?),
        config_before: before.map(ConfigVersion),
        fixed: fixed(row)?,
        description: column::plain(row, "releases.description")?,
        user: column::plain(row, "releases.user")?,
        failure: column::plain(row, "releases.failure")?,
        log_tail: column::json(row, "releases.log_tail")?,
        created_at: column::plain(row, "releases.created_at")?,
    })
}

fn code(row: &Row<'_>) -> Result<Option<Code>> {
    let Some(image) = column::parsed_if(row, "releases.image")? else {
        return Ok(None);
    };
    Ok(Some(Code {
        image,
        processes: column::json(row, "releases.processes")?,
        exposed_port: column::plain(row, "releases.exposed_port")?,
        healthcheck_path: column::plain(row, "releases.healthcheck_path")?,
        healthcheck_timeout: column::plain(row, "releases.healthcheck_timeout")?,
        launcher: column::plain(row, "releases.launcher")?,
        postdeploy: column::plain(row, "releases.postdeploy")?,
        commit: column::plain(row, "releases.commit_id")?,
    }))
}

fn fixed(row: &Row<'_>) -> Result<Option<Fixed>> {
    let port: Option<u16> = column::plain(row, "releases.port")?;
    let Some(port) = port else { return Ok(None) };
    Ok(Some(Fixed {
        port,
        readiness: column::plain(row, "releases.readiness")?,
        resources: column::json(row, "releases.resources")?,
        start_timeout: column::plain(row, "releases.start_timeout")?,
        deadline: column::plain(row, "releases.deadline")?,
        mounts: column::json(row, "releases.mounts")?,
    }))
}

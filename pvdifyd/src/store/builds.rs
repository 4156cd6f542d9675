//! The table `builds`.

use super::{Changed, Result, column};
use pvdify_types::{AppId, BuildId, BuildStatus, ReleaseVersion};
use rusqlite::{Connection, OptionalExtension, params};

/// A build.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Build {
    pub id: BuildId,
    pub commit: String,
    pub user: String,
    pub status: BuildStatus,
    pub version: Option<ReleaseVersion>,
    pub failure: Option<String>,
    pub created_at: i64,
    pub ended_at: Option<i64>,
}

/// How a build ends.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It gave the image of this release.
    Succeeded(ReleaseVersion),
    /// One line of why it did not.
    Failed(String),
}

/// An app's, newest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Build>> {
    let mut query =
        reader.prepare_cached("SELECT * FROM builds WHERE app = ?1 ORDER BY created_at DESC, id DESC")?;
    let rows = query.query_and_then([app.as_str()], |row| {
        let status: String = column::plain(row, "builds.status")?;
        let version: Option<u64> = column::plain(row, "builds.version")?;
        Ok(Build {
            id: column::parsed(row, "builds.id")?,
            commit: column::plain(row, "builds.commit_id")?,
            user: column::plain(row, "builds.user")?,
            status: BuildStatus::from_word(&status)
                .ok_or_else(|| super::Error::unreadable("builds.status", status))?,
            version: version.map(ReleaseVersion),
            failure: column::plain(row, "builds.failure")?,
            created_at: column::plain(row, "builds.created_at")?,
            ended_at: column::plain(row, "builds.ended_at")?,
        })
    })?;
    rows.collect()
}

/// Starts one.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, app: &AppId, id: &BuildId, commit: &str, user: &str, now: i64) -> Result<()> {
    tx.execute(
        "INSERT INTO builds (id, app, commit_id, user, status, created_at) VALUES (?1, ?2, ?3, ?4, 'pending', ?5)",
        params![id.as_str(), app.as_str(), commit, user, now],
    )?;
    Ok(())
}

/// Ends one that is pending; one that has ended stays as it is.
///
/// # Errors
/// Of the database.
pub fn end(tx: &Connection, id: &BuildId, outcome: &Outcome, now: i64) -> Result<Changed<String>> {
    let (status, version, failure) = match outcome {
        Outcome::Succeeded(version) => (BuildStatus::Succeeded, Some(version.0), None),
        Outcome::Failed(failure) => (BuildStatus::Failed, None, Some(failure)),
    };
    let ended = tx.execute(
        "UPDATE builds SET status = ?2, version = ?3, failure = ?4, ended_at = ?5
         WHERE id = ?1 AND status = 'pending'",
        params![id.as_str(), status.as_str(), version, failure, now],
    )?;
    if ended == 1 {
        return Ok(Changed::Updated);
    }
    let status = tx
        .query_row("SELECT status FROM builds WHERE id = ?1", [id.as_str()], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(status.map_or(Changed::NotFound, Changed::Refused))
}

/// Fails all that are pending: at start nobody works on them any more.
///
/// # Errors
/// Of the database.
pub fn fail_pending(tx: &Connection, reason: &str, now: i64) -> Result<usize> {
    Ok(tx.execute(
        "UPDATE builds SET status = 'failed', failure = ?1, ended_at = ?2 WHERE status = 'pending'",
        params![reason, now],
    )?)
}

//! The table `releases`.
//!
//! [`change`] is the only way from one status to another and asks `ReleaseStatus::may_become`; the indexes
//! hold that an app has at most one release current and one deploying.

use super::{Changed, Error, Result, column};
use pvdify_types::{
    AppId, ConfigVersion, ImageRef, ProcessType, ReleaseCause, ReleaseStatus, ReleaseVersion, Resources,
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// What a release runs: the image and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Code {
    pub image: ImageRef,
    pub processes: BTreeMap<ProcessType, String>,
    pub exposed_port: Option<u16>,
    /// Of the image's app.json.
    pub healthcheck_path: Option<String>,
    pub healthcheck_timeout: Option<u32>,
    pub commit: Option<String>,
}

/// How a release runs, fixed when it starts to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Fixed {
    pub port: u16,
    /// An HTTP path; `None`: a TCP connection.
    pub readiness: Option<String>,
    pub resources: Resources,
    pub start_timeout: u32,
    pub deadline: i64,
}

/// A release.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Release {
    pub version: ReleaseVersion,
    pub status: ReleaseStatus,
    pub cause: ReleaseCause,
    /// What was asked for: an image reference, or a commit.
    pub reference: String,
    /// `None` while it is imported, and when that failed.
    pub code: Option<Code>,
    pub config_version: ConfigVersion,
    /// Of a rollback: the app's config version before it.
    pub config_before: Option<ConfigVersion>,
    /// `None` before it deploys.
    pub fixed: Option<Fixed>,
    pub description: String,
    pub user: String,
    pub failure: Option<String>,
    pub log_tail: Vec<String>,
    pub created_at: i64,
}

/// A release to be.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct New {
    pub status: ReleaseStatus,
    pub cause: ReleaseCause,
    pub reference: String,
    pub code: Option<Code>,
    pub config_version: ConfigVersion,
    pub config_before: Option<ConfigVersion>,
    pub description: String,
    pub user: String,
}

fn read(row: &Row<'_>) -> Result<Release> {
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
            ("rollback", Some(to)) => ReleaseCause::Rollback {
                to: ReleaseVersion(to),
            },
            _ => return Err(Error::unreadable("releases.cause", cause)),
        },
        reference: column::plain(row, "releases.reference")?,
        code: read_code(row)?,
        config_version: ConfigVersion(column::plain(row, "releases.config_version")?),
        config_before: before.map(ConfigVersion),
        fixed: read_fixed(row)?,
        description: column::plain(row, "releases.description")?,
        user: column::plain(row, "releases.user")?,
        failure: column::plain(row, "releases.failure")?,
        log_tail: column::json(row, "releases.log_tail")?,
        created_at: column::plain(row, "releases.created_at")?,
    })
}

fn read_code(row: &Row<'_>) -> Result<Option<Code>> {
    let Some(image) = column::parsed_if(row, "releases.image")? else {
        return Ok(None);
    };
    Ok(Some(Code {
        image,
        processes: column::json(row, "releases.processes")?,
        exposed_port: column::plain(row, "releases.exposed_port")?,
        healthcheck_path: column::plain(row, "releases.healthcheck_path")?,
        healthcheck_timeout: column::plain(row, "releases.healthcheck_timeout")?,
        commit: column::plain(row, "releases.commit_id")?,
    }))
}

fn read_fixed(row: &Row<'_>) -> Result<Option<Fixed>> {
    let port: Option<u16> = column::plain(row, "releases.port")?;
    let Some(port) = port else { return Ok(None) };
    Ok(Some(Fixed {
        port,
        readiness: column::plain(row, "releases.readiness")?,
        resources: column::json(row, "releases.resources")?,
        start_timeout: column::plain(row, "releases.start_timeout")?,
        deadline: column::plain(row, "releases.deadline")?,
    }))
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Release>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM releases {rest}"))?;
    query.query_and_then(params, read)?.collect()
}

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
        Ok((column::parsed(row, "releases.app")?, read(row)?))
    })?;
    rows.collect()
}

/// Adds a release under the app's next number.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, app: &AppId, new: &New, now: i64) -> Result<ReleaseVersion> {
    let last: u64 = tx.query_row(
        "SELECT coalesce(max(version), 0) FROM releases WHERE app = ?1",
        [app.as_str()],
        |row| row.get(0),
    )?;
    let version = ReleaseVersion(last).next();
    let rollback_to = match new.cause {
        ReleaseCause::Rollback { to } => Some(to.0),
        ReleaseCause::Deploy | ReleaseCause::Config | ReleaseCause::Promote => None,
    };
    // The image comes with the status in one row: a pending release without one can't be.
    tx.execute(
        "INSERT INTO releases (app, version, status, cause, rollback_to, reference, image, config_version,
                               config_before, description, user, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            app.as_str(),
            version.0,
            new.status.as_str(),
            new.cause.as_str(),
            rollback_to,
            new.reference,
            new.code.as_ref().map(|code| code.image.to_string()),
            new.config_version.0,
            new.config_before.map(|version| version.0),
            new.description,
            new.user,
            now
        ],
    )?;
    if let Some(code) = &new.code {
        set_code(tx, app, version, code)?;
    }
    Ok(version)
}

/// Writes what a release runs.
///
/// # Errors
/// Of the database.
pub fn set_code(tx: &Connection, app: &AppId, version: ReleaseVersion, code: &Code) -> Result<()> {
    tx.execute(
        "UPDATE releases SET image = ?3, processes = ?4, exposed_port = ?5, healthcheck_path = ?6,
                             healthcheck_timeout = ?7, commit_id = ?8
         WHERE app = ?1 AND version = ?2",
        params![
            app.as_str(),
            version.0,
            code.image.to_string(),
            column::to_json(&code.processes),
            code.exposed_port,
            code.healthcheck_path,
            code.healthcheck_timeout,
            code.commit
        ],
    )?;
    Ok(())
}

/// Writes which config vars a release takes.
///
/// # Errors
/// Of the database.
pub fn set_config(
    tx: &Connection,
    app: &AppId,
    version: ReleaseVersion,
    config: ConfigVersion,
) -> Result<()> {
    tx.execute(
        "UPDATE releases SET config_version = ?3 WHERE app = ?1 AND version = ?2",
        params![app.as_str(), version.0, config.0],
    )?;
    Ok(())
}

/// Writes how a release runs.
///
/// # Errors
/// Of the database.
pub fn set_fixed(tx: &Connection, app: &AppId, version: ReleaseVersion, fixed: &Fixed) -> Result<()> {
    tx.execute(
        "UPDATE releases SET port = ?3, readiness = ?4, resources = ?5, deadline = ?6, start_timeout = ?7
         WHERE app = ?1 AND version = ?2",
        params![
            app.as_str(),
            version.0,
            fixed.port,
            fixed.readiness,
            column::to_json(&fixed.resources),
            fixed.deadline,
            fixed.start_timeout
        ],
    )?;
    Ok(())
}

/// Writes why a release failed.
///
/// # Errors
/// Of the database.
pub fn set_failure(
    tx: &Connection,
    app: &AppId,
    version: ReleaseVersion,
    failure: &str,
    log_tail: &[String],
) -> Result<()> {
    tx.execute(
        "UPDATE releases SET failure = ?3, log_tail = ?4 WHERE app = ?1 AND version = ?2",
        params![app.as_str(), version.0, failure, column::to_json(&log_tail)],
    )?;
    Ok(())
}

/// Changes a status, if that change is legal.
///
/// # Errors
/// Of the database.
pub fn change(
    tx: &Connection,
    app: &AppId,
    version: ReleaseVersion,
    to: ReleaseStatus,
    now: i64,
) -> Result<Changed<ReleaseStatus>> {
    let word: Option<String> = tx
        .query_row(
            "SELECT status FROM releases WHERE app = ?1 AND version = ?2",
            params![app.as_str(), version.0],
            |row| row.get(0),
        )
        .optional()?;
    let Some(word) = word else {
        return Ok(Changed::NotFound);
    };
    let from = ReleaseStatus::from_word(&word).ok_or_else(|| Error::unreadable("releases.status", word))?;
    if !from.may_become(to) {
        return Ok(Changed::Refused(from));
    }
    let ended_at = (!to.is_open()).then_some(now);
    tx.execute(
        "UPDATE releases SET status = ?3, ended_at = coalesce(ended_at, ?4) WHERE app = ?1 AND version = ?2",
        params![app.as_str(), version.0, to.as_str(), ended_at],
    )?;
    Ok(Changed::Updated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, apps};

    #[tokio::test]
    async fn every_illegal_change_is_refused_and_every_legal_one_done() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let table: Vec<_> = ReleaseStatus::ALL
            .into_iter()
            .flat_map(|from| ReleaseStatus::ALL.map(|to| (from, to)))
            .collect();
        for (index, (from, to)) in table.into_iter().enumerate() {
            let changed = store
                .write(move |tx| -> Result<_> {
                    let name = format!("app-{index}").parse().unwrap();
                    let app = apps::insert(tx, &name, Default::default(), 0)?.unwrap();
                    let image = format!("r/x@sha256:{}", "a".repeat(64));
                    tx.execute(
                        "INSERT INTO releases (app, version, status, cause, reference, image, config_version,
                                               port, resources, deadline, description, user, created_at)
                         VALUES (?1, 1, ?2, 'deploy', 'r', ?3, 0, 80, '{}', 1, 'd', 'u', 0)",
                        params![app.as_str(), from.as_str(), image],
                    )?;
                    change(tx, &app, ReleaseVersion(1), to, 1)
                })
                .await
                .unwrap();
            let expected = if from.may_become(to) {
                Changed::Updated
            } else {
                Changed::Refused(from)
            };
            assert_eq!(changed, expected, "{from} -> {to}");
        }
        let missing = store
            .write(|tx| {
                change(
                    tx,
                    &"none".parse().unwrap(),
                    ReleaseVersion(1),
                    ReleaseStatus::Failed,
                    1,
                )
            })
            .await;
        assert_eq!(missing.unwrap(), Changed::NotFound);
    }
}

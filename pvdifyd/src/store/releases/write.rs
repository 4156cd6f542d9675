//! Writing releases.
//!
//! [`change`] is the only way from one status to another and asks `ReleaseStatus::may_become`; the table's
//! indexes hold that an app has at most one release current and one deploying.

use super::{Code, Fixed, New};
use crate::store::{Changed, Error, Result, column};
use pvdify_types::{AppId, ConfigVersion, ReleaseCause, ReleaseStatus, ReleaseVersion};
use rusqlite::{Connection, OptionalExtension, params};

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
        ReleaseCause::Deploy | ReleaseCause::Config | ReleaseCause::Promote | ReleaseCause::Stack => None,
    };
    // The image comes with the status in one row: a pending release without one can't be.
    tx.execute(
        "INSERT INTO releases (app, version, status, cause, rollback_to, reference, image, config_version,
                               config_before, description, user, created_at, bindings_version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,
                 (SELECT bindings_version FROM apps WHERE id = ?1))",
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
                             healthcheck_timeout = ?7, commit_id = ?8, launcher = ?9, postdeploy = ?10
         WHERE app = ?1 AND version = ?2",
        params![
            app.as_str(),
            version.0,
            code.image.to_string(),
            column::to_json(&code.processes),
            code.exposed_port,
            code.healthcheck_path,
            code.healthcheck_timeout,
            code.commit,
            code.launcher,
            code.postdeploy
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
        "UPDATE releases SET port = ?3, readiness = ?4, resources = ?5, deadline = ?6, start_timeout = ?7,
                             mounts = ?8
         WHERE app = ?1 AND version = ?2",
        params![
            app.as_str(),
            version.0,
            fixed.port,
            fixed.readiness,
            column::to_json(&fixed.resources),
            fixed.deadline,
            fixed.start_timeout,
            column::to_json(&fixed.mounts)
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

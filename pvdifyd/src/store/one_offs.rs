//! The table `one_offs`: processes that run once to their end.
//!
//! A row is written before its container is made and ended by [`end`] alone, once: so a container without an open row
//! is a left-over, and a row without a container is one to be started, or lost if it was seen running.

use super::{Changed, Error, Result, column};
use pvdify_types::{AppId, OneOffKind, OneOffName, OneOffStatus, ReleaseVersion};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::Duration;

/// The first number in an app: four digits, as on Heroku.
const FIRST_NUMBER: u32 = 1001;
/// Ended ones that are kept of each kind but `release`, whose rows stay as long as their releases.
const KEPT: u32 = 100;

/// A one-off process.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct OneOff {
    pub name: OneOffName,
    pub version: ReleaseVersion,
    /// For the shell; of kind `release`: what the process type's is, for people.
    pub command: String,
    pub user: String,
    pub status: OneOffStatus,
    pub timeout: Duration,
    pub exit_status: Option<i64>,
    pub failure: Option<String>,
    /// `None` before it has ended.
    pub output: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
}

/// One to be.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct New {
    pub kind: OneOffKind,
    pub version: ReleaseVersion,
    pub command: String,
    pub user: String,
    pub timeout: Duration,
}

/// How one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct End {
    pub status: OneOffStatus,
    pub exit_status: Option<i64>,
    pub failure: Option<String>,
}

fn read(row: &Row<'_>) -> Result<OneOff> {
    let kind: String = column::plain(row, "one_offs.kind")?;
    let status: String = column::plain(row, "one_offs.status")?;
    Ok(OneOff {
        name: OneOffName {
            kind: OneOffKind::from_word(&kind).ok_or_else(|| Error::unreadable("one_offs.kind", kind))?,
            number: column::plain(row, "one_offs.number")?,
        },
        version: ReleaseVersion(column::plain(row, "one_offs.version")?),
        command: column::plain(row, "one_offs.command")?,
        user: column::plain(row, "one_offs.user")?,
        status: OneOffStatus::from_word(&status)
            .ok_or_else(|| Error::unreadable("one_offs.status", status))?,
        timeout: Duration::from_secs(column::plain(row, "one_offs.timeout")?),
        exit_status: column::plain(row, "one_offs.exit_status")?,
        failure: column::plain(row, "one_offs.failure")?,
        output: column::plain(row, "one_offs.output")?,
        created_at: column::plain(row, "one_offs.created_at")?,
        started_at: column::plain(row, "one_offs.started_at")?,
        ended_at: column::plain(row, "one_offs.ended_at")?,
    })
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<OneOff>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM one_offs {rest}"))?;
    query.query_and_then(params, read)?.collect()
}

/// An app's that have not ended, oldest first.
///
/// # Errors
/// Of the database.
pub fn open(reader: &Connection, app: &AppId) -> Result<Vec<OneOff>> {
    select(
        reader,
        "WHERE app = ?1 AND status IN ('pending', 'running') ORDER BY number",
        [app.as_str()],
    )
}

/// All of an app's that are kept, newest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<OneOff>> {
    select(reader, "WHERE app = ?1 ORDER BY number DESC", [app.as_str()])
}

/// One of an app.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, app: &AppId, name: OneOffName) -> Result<Option<OneOff>> {
    let found = select(
        reader,
        "WHERE app = ?1 AND number = ?2 AND kind = ?3",
        params![app.as_str(), name.number, name.kind.as_str()],
    )?;
    Ok(found.into_iter().next())
}

/// The release command of a release.
///
/// # Errors
/// Of the database.
pub fn of_release(reader: &Connection, app: &AppId, version: ReleaseVersion) -> Result<Option<OneOff>> {
    let found = select(
        reader,
        "WHERE app = ?1 AND version = ?2 AND kind = 'release'",
        params![app.as_str(), version.0],
    )?;
    Ok(found.into_iter().next())
}

/// The postdeploy that followed a release.
///
/// # Errors
/// Of the database.
pub fn postdeploy(reader: &Connection, app: &AppId, version: ReleaseVersion) -> Result<Option<OneOff>> {
    let found = select(
        reader,
        "WHERE app = ?1 AND version = ?2 AND kind = 'postdeploy'",
        params![app.as_str(), version.0],
    )?;
    Ok(found.into_iter().next())
}

/// Adds one under the app's next number, and lets the oldest ended ones of its kind go.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, app: &AppId, new: &New, now: i64) -> Result<OneOffName> {
    let last: Option<u32> = tx.query_row(
        "SELECT max(number) FROM one_offs WHERE app = ?1",
        [app.as_str()],
        |row| row.get(0),
    )?;
    let number = last.map_or(FIRST_NUMBER, |last| last + 1);
    tx.execute(
        "INSERT INTO one_offs (app, number, kind, version, command, user, status, timeout, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)",
        params![
            app.as_str(),
            number,
            new.kind.as_str(),
            new.version.0,
            new.command,
            new.user,
            new.timeout.as_secs().max(1),
            now
        ],
    )?;
    tx.execute(
        "DELETE FROM one_offs WHERE app = ?1 AND kind = ?2 AND kind <> 'release' AND ended_at IS NOT NULL
           AND number NOT IN (SELECT number FROM one_offs WHERE app = ?1 AND kind = ?2
                              ORDER BY number DESC LIMIT ?3)",
        params![app.as_str(), new.kind.as_str(), KEPT],
    )?;
    Ok(OneOffName {
        kind: new.kind,
        number,
    })
}

fn status_of(tx: &Connection, app: &AppId, name: OneOffName) -> Result<Option<OneOffStatus>> {
    let word: Option<String> = tx
        .query_row(
            "SELECT status FROM one_offs WHERE app = ?1 AND number = ?2 AND kind = ?3",
            params![app.as_str(), name.number, name.kind.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    word.map(|word| OneOffStatus::from_word(&word).ok_or_else(|| Error::unreadable("one_offs.status", word)))
        .transpose()
}

/// It was seen running, since `started_at`.
///
/// # Errors
/// Of the database.
pub fn begin(
    tx: &Connection,
    app: &AppId,
    name: OneOffName,
    started_at: i64,
) -> Result<Changed<OneOffStatus>> {
    match status_of(tx, app, name)? {
        None => Ok(Changed::NotFound),
        Some(from) if !from.may_become(OneOffStatus::Running) => Ok(Changed::Refused(from)),
        Some(_) => {
            tx.execute(
                "UPDATE one_offs SET status = 'running', started_at = ?3 WHERE app = ?1 AND number = ?2",
                params![app.as_str(), name.number, started_at],
            )?;
            Ok(Changed::Updated)
        }
    }
}

/// Ends one; one that has ended stays as it is.
///
/// # Errors
/// Of the database.
pub fn end(
    tx: &Connection,
    app: &AppId,
    name: OneOffName,
    end: &End,
    now: i64,
) -> Result<Changed<OneOffStatus>> {
    match status_of(tx, app, name)? {
        None => Ok(Changed::NotFound),
        Some(from) if !from.may_become(end.status) => Ok(Changed::Refused(from)),
        Some(_) => {
            tx.execute(
                "UPDATE one_offs SET status = ?3, exit_status = ?4, failure = ?5, ended_at = ?6
                 WHERE app = ?1 AND number = ?2",
                params![
                    app.as_str(),
                    name.number,
                    end.status.as_str(),
                    end.exit_status,
                    end.failure,
                    now
                ],
            )?;
            Ok(Changed::Updated)
        }
    }
}

/// Keeps what one wrote; the first that is kept stands.
///
/// # Errors
/// Of the database.
pub fn keep_output(tx: &Connection, app: &AppId, name: OneOffName, output: &str) -> Result<()> {
    tx.execute(
        "UPDATE one_offs SET output = coalesce(output, ?4) WHERE app = ?1 AND number = ?2 AND kind = ?3",
        params![app.as_str(), name.number, name.kind.as_str(), output],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Reader, Store, apps};

    fn new(kind: OneOffKind) -> New {
        New {
            kind,
            version: ReleaseVersion(1),
            command: "rake db:migrate".into(),
            user: "ada".into(),
            timeout: Duration::from_secs(60),
        }
    }

    fn app_with_release(tx: &Reader) -> AppId {
        let app = apps::insert(tx, &"demo".parse().unwrap(), Default::default(), 0)
            .unwrap()
            .unwrap();
        tx.execute(
            "INSERT INTO releases (app, version, status, cause, reference, config_version, description, user, created_at)
             VALUES (?1, 1, 'building', 'deploy', 'r', 0, 'd', 'u', 0)",
            [app.as_str()],
        )
        .unwrap();
        app
    }

    #[tokio::test]
    async fn a_life_is_written_once_and_numbers_are_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        store
            .write(|tx| -> Result<()> {
                let app = app_with_release(tx);
                let name = insert(tx, &app, &new(OneOffKind::Run), 1)?;
                assert_eq!(name.to_string(), "run.1001");
                assert!(begin(tx, &app, name, 2)?.is_updated());
                assert_eq!(begin(tx, &app, name, 3)?, Changed::Refused(OneOffStatus::Running));
                let failed = End {
                    status: OneOffStatus::Failed,
                    exit_status: Some(3),
                    failure: Some("it exited with status 3".into()),
                };
                assert!(end(tx, &app, name, &failed, 4)?.is_updated());
                let again = End {
                    status: OneOffStatus::Succeeded,
                    exit_status: Some(0),
                    failure: None,
                };
                assert_eq!(
                    end(tx, &app, name, &again, 5)?,
                    Changed::Refused(OneOffStatus::Failed)
                );
                keep_output(tx, &app, name, "first")?;
                keep_output(tx, &app, name, "second")?;
                let read = find(tx, &app, name)?.unwrap();
                assert_eq!(
                    (read.exit_status, read.started_at, read.ended_at),
                    (Some(3), Some(2), Some(4))
                );
                assert_eq!(read.output.as_deref(), Some("first"));
                assert!(open(tx, &app)?.is_empty());

                let other = insert(tx, &app, &new(OneOffKind::Release), 6)?;
                assert_eq!(other.to_string(), "release.1002");
                assert_eq!(of_release(tx, &app, ReleaseVersion(1))?.unwrap().name, other);
                assert!(
                    insert(tx, &app, &new(OneOffKind::Release), 6).is_err(),
                    "one of a release"
                );
                let mistaken = OneOffName {
                    kind: OneOffKind::Run,
                    ..other
                };
                assert_eq!(begin(tx, &app, mistaken, 7)?, Changed::NotFound);
                Ok(())
            })
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn the_oldest_ended_ones_go_and_open_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        store
            .write(|tx| -> Result<()> {
                let app = app_with_release(tx);
                let oldest = insert(tx, &app, &new(OneOffKind::Run), 1)?;
                let ended = End {
                    status: OneOffStatus::Succeeded,
                    exit_status: Some(0),
                    failure: None,
                };
                for _ in 0..KEPT {
                    let name = insert(tx, &app, &new(OneOffKind::Run), 1)?;
                    end(tx, &app, name, &ended, 2)?;
                }
                assert!(find(tx, &app, oldest)?.is_some());
                end(tx, &app, oldest, &ended, 2)?;
                insert(tx, &app, &new(OneOffKind::Cron), 3)?;
                assert!(
                    find(tx, &app, oldest)?.is_some(),
                    "another kind's number moves nothing"
                );
                insert(tx, &app, &new(OneOffKind::Run), 3)?;
                assert!(find(tx, &app, oldest)?.is_none());
                Ok(())
            })
            .await
            .unwrap();
    }
}

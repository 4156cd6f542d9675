//! Opening: file mode, pragmas, damage check, schema.
//!
//! A file that was closed cleanly has no write-ahead log. One that has is checked before anything trusts
//! it: after a crash the check costs milliseconds, and a damaged page found later would be copied into
//! every backup.

use super::{error::OpenError, installation};
use pvdify_types::InstallationId;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, MigrationDefinitionError, Migrations};
use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/0001_initial.sql")),
    M::up(include_str!("../../migrations/0002_launcher.sql")),
    M::up(include_str!("../../migrations/0003_stack_releases.sql")),
    M::up(include_str!("../../migrations/0004_buildpacks.sql")),
    M::up(include_str!("../../migrations/0005_bindings.sql")),
    M::up(include_str!("../../migrations/0006_one_offs.sql")),
    M::up(include_str!("../../migrations/0007_config.sql")),
    M::up(include_str!("../../migrations/0008_volumes.sql")),
    M::up(include_str!("../../migrations/0009_process_orders.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(STEPS);

/// `pvdifyd token create` writes beside a running daemon; each waits its turn.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn open(path: &Path) -> Result<(Connection, InstallationId), OpenError> {
    let name = || path.display().to_string();
    let failed = |reason: String| OpenError::Open { path: name(), reason };
    let damaged = |reason: String| OpenError::Damaged { path: name(), reason };

    create_private(path).map_err(|error| failed(error.to_string()))?;
    let log = path.with_file_name(format!(
        "{}-wal",
        path.file_name().unwrap_or_default().to_string_lossy()
    ));
    let unclean = log.metadata().is_ok_and(|meta| meta.len() > 0);

    let mut connection = Connection::open(path).map_err(|error| failed(error.to_string()))?;
    let explain = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            damaged(error.to_string())
        }
        _ => failed(error.to_string()),
    };
    configure(&connection).map_err(explain)?;
    if unclean {
        let finding: String = connection
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(explain)?;
        if finding != "ok" {
            return Err(damaged(finding));
        }
    }
    MIGRATIONS
        .to_latest(&mut connection)
        .map_err(|error| match error {
            rusqlite_migration::Error::MigrationDefinition(MigrationDefinitionError::DatabaseTooFarAhead) => {
                OpenError::Newer { path: name() }
            }
            other => failed(other.to_string()),
        })?;
    let installation = installation::ensure(&connection).map_err(|error| failed(error.to_string()))?;
    Ok((connection, installation))
}

/// SQLite gives its log and shared-memory files the mode of the database.
fn create_private(path: &Path) -> io::Result<()> {
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What was removed, or sealed anew, is not to be found in the file afterwards.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    connection.pragma_update(None, "trusted_schema", false)
}

pub(super) fn reader(path: &Path) -> super::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn releases_of_an_older_schema_keep_their_causes() {
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.to_version(&mut connection, 1).unwrap();
        let insert = "INSERT INTO apps (id, name, environment, resources, created_at, updated_at)
                      VALUES ('a', 'a', 'production', '{}', 0, 0);
                      INSERT INTO releases (app, version, status, cause, rollback_to, reference, config_version,
                                            description, user, created_at)
                      VALUES ('a', 1, 'failed', 'config', NULL, 'r', 0, 'd', 'u', 0),
                             ('a', 2, 'failed', 'rollback', 1, 'r', 0, 'd', 'u', 0);";
        connection.execute_batch(insert).unwrap();
        MIGRATIONS.to_latest(&mut connection).unwrap();
        let causes = |connection: &Connection| -> Vec<String> {
            let mut query = connection
                .prepare("SELECT cause FROM releases ORDER BY version")
                .unwrap();
            let causes = query.query_map([], |row| row.get(0)).unwrap();
            causes.map(Result::unwrap).collect()
        };
        assert_eq!(causes(&connection), ["config", "rollback"]);
        connection
            .execute("UPDATE releases SET cause = 'stack'", [])
            .unwrap();
        assert_eq!(causes(&connection), ["stack", "stack"]);
        assert!(
            connection
                .execute("UPDATE releases SET cause = 'other'", [])
                .is_err()
        );
    }

    #[test]
    fn config_of_an_older_schema_is_for_what_runs_and_told_by_its_first_release() {
        let mut connection = Connection::open_in_memory().unwrap();
        MIGRATIONS.to_version(&mut connection, 5).unwrap();
        let insert = "INSERT INTO apps (id, name, environment, resources, created_at, updated_at)
                      VALUES ('a', 'a', 'production', '{}', 0, 0);
                      INSERT INTO config_versions VALUES ('a', 1, 10), ('a', 2, 20);
                      INSERT INTO config_vars VALUES ('a', 1, 'A', 'k', zeroblob(24), x'01'),
                                                     ('a', 2, 'A', 'k', zeroblob(24), x'01');
                      INSERT INTO releases (app, version, status, cause, reference, config_version, description, user,
                                            created_at)
                      VALUES ('a', 1, 'failed', 'deploy', 'r', 1, 'Deploy x', 'ada', 0),
                             ('a', 2, 'failed', 'config', 'r', 2, 'Set A config vars', 'bob', 0);";
        connection.execute_batch(insert).unwrap();
        MIGRATIONS.to_latest(&mut connection).unwrap();
        let texts = |sql: &str| -> Vec<String> {
            let mut query = connection.prepare(sql).unwrap();
            let texts = query.query_map([], |row| row.get(0)).unwrap();
            texts.map(Result::unwrap).collect()
        };
        assert_eq!(
            texts("SELECT version || user || ': ' || description FROM config_versions ORDER BY version"),
            ["1ada: Set config vars", "2bob: Set A config vars"]
        );
        assert_eq!(
            texts("SELECT version || scope || since FROM config_vars ORDER BY version"),
            ["1run1", "2run2"]
        );
    }

    #[test]
    fn a_newer_schema_is_refused_plainly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let (connection, _) = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let error = open(&path).unwrap_err().to_string();
        assert!(error.contains("written by a newer Pvdify"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_plainly() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, "x".repeat(4096)).unwrap();
        assert!(matches!(open(&path), Err(OpenError::Damaged { .. })));
    }

    #[test]
    fn a_damaged_page_is_found_after_an_unclean_stop() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("db"), dir.path().join("copy"));
        let (connection, _) = open(&path).unwrap();
        connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); UPDATE installation SET generation = 7")
            .unwrap();
        // As a crash leaves it: with its log.
        let mut bytes = std::fs::read(&path).unwrap();
        std::fs::copy(path.with_file_name("db-wal"), copy.with_file_name("copy-wal")).unwrap();
        std::fs::write(&copy, &bytes).unwrap();
        assert!(open(&copy).is_ok());

        std::fs::copy(path.with_file_name("db-wal"), copy.with_file_name("copy-wal")).unwrap();
        // The second page is in the log; the third is read from the file.
        let third_page = 8192..8192 + 100;
        bytes[third_page].fill(0xff);
        std::fs::write(&copy, &bytes).unwrap();
        let error = open(&copy).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
}

//! The tables `bindings` and `binding_entries`: what each app is bound to, its entries sealed.
//!
//! A row is written once; what replaces or removes it only sets until when it was there. A release takes the app's
//! number of the moment in which it is made (`releases.bindings_version`), so all its instances see the same, however
//! late they start. What no release that runs or may yet run has goes with the next change, or as the next release takes
//! over ([`sweep`]).

use super::{
    Result, column,
    reseal::Budget,
    secrets::{EntryPlace, Sealed, Secrets},
};
use pvdify_types::{AppId, Binding, BindingName, BindingWord, EntryName, ReleaseVersion};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::BTreeMap;

/// A binding as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Face {
    pub name: BindingName,
    pub kind: BindingWord,
    pub provider: Option<BindingWord>,
    /// The bytes of each.
    pub entries: BTreeMap<EntryName, u64>,
    since: u64,
}

/// Those that the app's next release has, by name.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<Face>> {
    faces(reader, app, present(reader, app)?)
}

/// The same with what is in them.
///
/// # Errors
/// Of the database, and when an entry does not open.
pub fn of_app(reader: &Connection, secrets: &Secrets, app: &AppId) -> Result<Vec<Binding>> {
    at(reader, secrets, app, present(reader, app)?)
}

/// Those of a release.
///
/// # Errors
/// As [`of_app`].
pub fn of_release(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    release: ReleaseVersion,
) -> Result<Vec<Binding>> {
    let version = reader
        .query_row(
            "SELECT bindings_version FROM releases WHERE app = ?1 AND version = ?2",
            params![app.as_str(), release.0],
            |row| row.get(0),
        )
        .optional()?;
    version.map_or(Ok(Vec::new()), |version| at(reader, secrets, app, version))
}

/// Adds a binding, in place of one of its name.
///
/// # Errors
/// Of the database.
pub fn put(tx: &Connection, secrets: &Secrets, app: &AppId, binding: &Binding) -> Result<()> {
    let since = next(tx, app)?;
    let name = binding.name();
    end(tx, app, name, since)?;
    tx.execute(
        "INSERT INTO bindings (app, name, since, type, provider) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            app.as_str(),
            name.as_str(),
            since,
            binding.kind().as_str(),
            binding.provider().map(BindingWord::as_str)
        ],
    )?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO binding_entries (app, binding, since, entry, size, key_id, nonce, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (entry, bytes) in binding.reveal() {
        let place = EntryPlace {
            app,
            binding: name,
            since,
            entry,
        };
        let sealed = secrets.seal_entry(place, bytes)?;
        insert.execute(params![
            app.as_str(),
            name.as_str(),
            since,
            entry.as_str(),
            bytes.len() as u64,
            sealed.key_id,
            sealed.nonce.as_slice(),
            sealed.bytes
        ])?;
    }
    sweep(tx, app)
}

/// Removes a binding; `false` when there is none of this name.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, app: &AppId, name: &BindingName) -> Result<bool> {
    let until = present(tx, app)? + 1;
    if !end(tx, app, name, until)? {
        return Ok(false);
    }
    next(tx, app)?;
    sweep(tx, app)?;
    Ok(true)
}

/// Forgets what no release that runs, or may yet run, has.
///
/// # Errors
/// Of the database.
pub fn sweep(tx: &Connection, app: &AppId) -> Result<()> {
    tx.execute(
        "DELETE FROM bindings WHERE app = ?1 AND until IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM releases
              WHERE releases.app = ?1 AND status IN ('building', 'pending', 'deploying', 'current')
                    AND bindings_version >= bindings.since AND bindings_version < bindings.until)",
        [app.as_str()],
    )?;
    Ok(())
}

/// Seals anew what another key than the present one sealed, as far as the budget goes.
///
/// # Errors
/// Of the database, and when an entry does not open.
pub(super) fn reseal(tx: &Connection, secrets: &Secrets, budget: &mut Budget) -> Result<()> {
    let mut old =
        tx.prepare_cached("SELECT rowid, * FROM binding_entries WHERE key_id <> ?1 ORDER BY rowid")?;
    let mut rows = old.query([secrets.key_id()])?;
    let mut anew: Vec<(i64, Sealed)> = Vec::new();
    while let Some(row) = rows.next()? {
        let sealed = sealed(row)?;
        if !budget.take(&sealed) {
            break;
        }
        let place = EntryPlace {
            app: &column::parsed(row, "binding_entries.app")?,
            binding: &column::parsed(row, "binding_entries.binding")?,
            since: column::plain(row, "binding_entries.since")?,
            entry: &column::parsed(row, "binding_entries.entry")?,
        };
        let bytes = secrets.open_entry(place, &sealed)?;
        anew.push((row.get("rowid")?, secrets.seal_entry(place, &bytes)?));
    }
    drop(rows);
    let mut query = tx
        .prepare_cached("UPDATE binding_entries SET key_id = ?2, nonce = ?3, sealed = ?4 WHERE rowid = ?1")?;
    for (row, sealed) in anew {
        query.execute(params![row, sealed.key_id, sealed.nonce.as_slice(), sealed.bytes])?;
    }
    Ok(())
}

/// Whether anything of a binding is sealed.
///
/// # Errors
/// Of the database.
pub fn any(reader: &Connection) -> Result<bool> {
    Ok(
        reader.query_row("SELECT EXISTS (SELECT 1 FROM binding_entries)", [], |row| {
            row.get(0)
        })?,
    )
}

fn present(reader: &Connection, app: &AppId) -> Result<u64> {
    let version = reader.query_row(
        "SELECT bindings_version FROM apps WHERE id = ?1",
        [app.as_str()],
        |row| row.get(0),
    );
    Ok(version.optional()?.unwrap_or_default())
}

fn next(tx: &Connection, app: &AppId) -> Result<u64> {
    tx.execute(
        "UPDATE apps SET bindings_version = bindings_version + 1 WHERE id = ?1",
        [app.as_str()],
    )?;
    present(tx, app)
}

fn end(tx: &Connection, app: &AppId, name: &BindingName, until: u64) -> Result<bool> {
    let ended = tx.execute(
        "UPDATE bindings SET until = ?3 WHERE app = ?1 AND name = ?2 AND until IS NULL",
        params![app.as_str(), name.as_str(), until],
    )?;
    Ok(ended == 1)
}

fn faces(reader: &Connection, app: &AppId, version: u64) -> Result<Vec<Face>> {
    let mut query = reader.prepare_cached(
        "SELECT name, since, type, provider FROM bindings
         WHERE app = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2) ORDER BY name",
    )?;
    let rows = query.query_and_then(params![app.as_str(), version], |row| {
        Ok(Face {
            name: column::parsed(row, "bindings.name")?,
            kind: column::parsed(row, "bindings.type")?,
            provider: column::parsed_if(row, "bindings.provider")?,
            entries: BTreeMap::new(),
            since: column::plain(row, "bindings.since")?,
        })
    })?;
    let mut faces = rows.collect::<Result<Vec<_>>>()?;
    let mut query = reader.prepare_cached(
        "SELECT entry, size FROM binding_entries WHERE app = ?1 AND binding = ?2 AND since = ?3",
    )?;
    for face in &mut faces {
        let rows = query.query_and_then(params![app.as_str(), face.name.as_str(), face.since], |row| {
            let name = column::parsed(row, "binding_entries.entry")?;
            Ok((name, column::plain(row, "binding_entries.size")?))
        })?;
        face.entries = rows.collect::<Result<_>>()?;
    }
    Ok(faces)
}

fn at(reader: &Connection, secrets: &Secrets, app: &AppId, version: u64) -> Result<Vec<Binding>> {
    let faces = faces(reader, app, version)?;
    faces
        .into_iter()
        .map(|face| open(reader, secrets, app, face))
        .collect()
}

fn sealed(row: &Row<'_>) -> Result<Sealed> {
    Ok(Sealed {
        key_id: column::plain(row, "binding_entries.key_id")?,
        nonce: column::plain(row, "binding_entries.nonce")?,
        bytes: column::plain(row, "binding_entries.sealed")?,
    })
}

fn open(reader: &Connection, secrets: &Secrets, app: &AppId, face: Face) -> Result<Binding> {
    let mut query = reader
        .prepare_cached("SELECT * FROM binding_entries WHERE app = ?1 AND binding = ?2 AND since = ?3")?;
    let rows = query.query_and_then(params![app.as_str(), face.name.as_str(), face.since], |row| {
        let entry: EntryName = column::parsed(row, "binding_entries.entry")?;
        let sealed = sealed(row)?;
        let place = EntryPlace {
            app,
            binding: &face.name,
            since: face.since,
            entry: &entry,
        };
        let bytes = secrets.open_entry(place, &sealed)?;
        Ok((entry, bytes))
    })?;
    let entries = rows.collect::<Result<_>>()?;
    Binding::new(face.name, face.kind, face.provider, entries)
        .map_err(|error| super::Error::unreadable("bindings.name", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, apps};

    fn binding(name: &str, value: &str) -> Binding {
        let entries = [("password".parse().unwrap(), value.as_bytes().to_vec())].into();
        Binding::new(name.parse().unwrap(), "pg".parse().unwrap(), None, entries).unwrap()
    }

    fn release(tx: &Connection, app: &AppId, number: u64, status: &str) {
        tx.execute(
            "INSERT INTO releases (app, version, status, cause, reference, image, config_version, port, resources,
                                   deadline, description, user, created_at, bindings_version)
             VALUES (?1, ?2, ?3, 'deploy', 'r', ?4, 0, 80, '{}', 1, 'd', 'u', 0,
                     (SELECT bindings_version FROM apps WHERE id = ?1))",
            params![app.as_str(), number, status, format!("r/x@sha256:{}", "a".repeat(64))],
        )
        .unwrap();
    }

    #[tokio::test]
    async fn a_release_keeps_its_bindings_while_it_runs_and_no_row_outlives_that() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let secrets = Secrets::open(&dir.path().join("key"), false).unwrap();
        store
            .write(move |tx| -> Result<()> {
                let name = "demo".parse().unwrap();
                let app = apps::insert(tx, &name, Default::default(), 0)?.unwrap();
                let rows = || -> u64 {
                    tx.query_row("SELECT count(*) FROM binding_entries", [], |row| row.get(0))
                        .unwrap()
                };
                let of = |number| of_release(tx, &secrets, &app, ReleaseVersion(number)).unwrap();
                assert!(!any(tx)?);
                // Nobody had the first of them.
                put(tx, &secrets, &app, &binding("db", "zero"))?;
                put(tx, &secrets, &app, &binding("db", "one"))?;
                assert!(any(tx)?);
                assert_eq!(rows(), 1);
                release(tx, &app, 1, "current");
                put(tx, &secrets, &app, &binding("cache", "two"))?;
                put(tx, &secrets, &app, &binding("db", "three"))?;
                assert_eq!(of(1), [binding("db", "one")]);
                let both = [binding("cache", "two"), binding("db", "three")];
                assert_eq!(of_app(tx, &secrets, &app)?, both);
                release(tx, &app, 2, "deploying");
                assert!(remove(tx, &app, &"db".parse().unwrap())?);
                assert!(!remove(tx, &app, &"db".parse().unwrap())?);
                assert_eq!((of(1), of(2)), (vec![binding("db", "one")], both.to_vec()));
                let listed = list(tx, &app)?;
                assert_eq!(listed.len(), 1);
                assert_eq!(listed[0].entries[&"password".parse().unwrap()], 3);
                tx.execute("UPDATE releases SET status = 'superseded' WHERE version = 1", [])?;
                sweep(tx, &app)?;
                assert_eq!((of(1).len(), of(2), rows()), (0, both.to_vec(), 2));
                // An entry that is moved to another place does not open.
                tx.execute(
                    "UPDATE binding_entries SET entry = 'user' WHERE binding = 'db'",
                    [],
                )?;
                let error = of_release(tx, &secrets, &app, ReleaseVersion(2)).unwrap_err();
                assert!(
                    error.to_string().contains("user of the binding db does not open"),
                    "{error}"
                );
                tx.execute("DELETE FROM apps", [])?;
                assert_eq!(rows(), 0);
                Ok(())
            })
            .await
            .unwrap();
    }
}

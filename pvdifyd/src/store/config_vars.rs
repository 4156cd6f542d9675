//! The table `config_vars`: the vars of each whole set, sealed, never changed once written but to be sealed anew.

use super::{
    Result, column,
    config_versions::{self, Origin},
    reseal::Budget,
    secrets::{Place, Sealed, Secrets},
};
use pvdify_types::{
    AppId, BuildVar, BuildVars, ConfigKey, ConfigScope, ConfigSet, ConfigVar, ConfigVars, ConfigVersion,
};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;

/// A row, opened.
struct Held {
    var: ConfigVar,
    since: ConfigVersion,
}

/// One whole set. Version 0 is the empty one.
///
/// # Errors
/// Of the database, and when a value does not open.
pub fn load(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    version: ConfigVersion,
) -> Result<ConfigSet> {
    let held = held(reader, secrets, app, version)?;
    Ok(held.into_iter().map(|(key, held)| (key, held.var)).collect())
}

/// What the app's processes have of it: all.
///
/// # Errors
/// As [`load`].
pub fn for_run(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    version: ConfigVersion,
) -> Result<ConfigVars> {
    let held = held(reader, secrets, app, version)?;
    Ok(held
        .into_iter()
        .map(|(key, held)| (key, held.var.value))
        .collect())
}

/// What its builds see of it.
///
/// # Errors
/// As [`load`].
pub fn for_build(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    version: ConfigVersion,
) -> Result<BuildVars> {
    let held = held(reader, secrets, app, version)?.into_iter();
    let seen = held.filter(|(_, held)| held.var.scope == ConfigScope::Build);
    let given = |held: Held| BuildVar {
        value: held.var.value,
        since: held.since,
    };
    Ok(seen.map(|(key, held)| (key, given(held))).collect())
}

/// Its keys, and who sees each; nothing is opened.
///
/// # Errors
/// Of the database.
pub fn scopes(
    reader: &Connection,
    app: &AppId,
    version: ConfigVersion,
) -> Result<BTreeMap<ConfigKey, ConfigScope>> {
    let mut query =
        reader.prepare_cached("SELECT key, scope FROM config_vars WHERE app = ?1 AND version = ?2")?;
    let rows = query.query_and_then(params![app.as_str(), version.0], |row| {
        let key = column::parsed(row, "config_vars.key")?;
        Ok((key, column::parsed(row, "config_vars.scope")?))
    })?;
    rows.collect()
}

fn held(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    version: ConfigVersion,
) -> Result<BTreeMap<ConfigKey, Held>> {
    let mut query = reader.prepare_cached("SELECT * FROM config_vars WHERE app = ?1 AND version = ?2")?;
    let rows = query.query_and_then(params![app.as_str(), version.0], |row| {
        let key: ConfigKey = column::parsed(row, "config_vars.key")?;
        let place = Place {
            app,
            version,
            key: &key,
        };
        let var = ConfigVar {
            value: secrets.open_value(place, &sealed(row)?)?,
            scope: column::parsed(row, "config_vars.scope")?,
        };
        let since = ConfigVersion(column::plain(row, "config_vars.since")?);
        Ok((key, Held { var, since }))
    })?;
    rows.collect()
}

fn sealed(row: &Row<'_>) -> Result<Sealed> {
    Ok(Sealed {
        key_id: column::plain(row, "config_vars.key_id")?,
        nonce: column::plain(row, "config_vars.nonce")?,
        bytes: column::plain(row, "config_vars.sealed")?,
    })
}

/// Adds a whole set, made of the version `before`, under the app's next number.
///
/// # Errors
/// Of the database.
pub fn insert(
    tx: &Connection,
    secrets: &Secrets,
    app: &AppId,
    (before, set): (ConfigVersion, &ConfigSet),
    origin: Origin<'_>,
    now: i64,
) -> Result<ConfigVersion> {
    let before = held(tx, secrets, app, before)?;
    let version = config_versions::insert(tx, app, origin, now)?;
    let mut query = tx.prepare_cached(
        "INSERT INTO config_vars (app, version, key, scope, since, key_id, nonce, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for (key, var) in set {
        let sealed = secrets.seal(Place { app, version, key }, &var.value)?;
        let same = before.get(key).filter(|held| held.var.value == var.value);
        let since = same.map_or(version, |held| held.since);
        query.execute(params![
            app.as_str(),
            version.0,
            key.as_str(),
            var.scope.as_str(),
            since.0,
            sealed.key_id,
            sealed.nonce.as_slice(),
            sealed.bytes
        ])?;
    }
    Ok(version)
}

/// Seals anew what another key than the present one sealed, as far as the budget goes.
///
/// # Errors
/// Of the database, and when a value does not open.
pub(super) fn reseal(tx: &Connection, secrets: &Secrets, budget: &mut Budget) -> Result<()> {
    let mut old = tx.prepare_cached("SELECT rowid, * FROM config_vars WHERE key_id <> ?1 ORDER BY rowid")?;
    let mut rows = old.query([secrets.key_id()])?;
    let mut anew: Vec<(i64, Sealed)> = Vec::new();
    while let Some(row) = rows.next()? {
        let sealed = sealed(row)?;
        if !budget.take(&sealed) {
            break;
        }
        let place = Place {
            app: &column::parsed(row, "config_vars.app")?,
            version: ConfigVersion(column::plain(row, "config_vars.version")?),
            key: &column::parsed(row, "config_vars.key")?,
        };
        let value = secrets.open_value(place, &sealed)?;
        anew.push((row.get("rowid")?, secrets.seal(place, &value)?));
    }
    drop(rows);
    let mut query =
        tx.prepare_cached("UPDATE config_vars SET key_id = ?2, nonce = ?3, sealed = ?4 WHERE rowid = ?1")?;
    for (row, sealed) in anew {
        query.execute(params![row, sealed.key_id, sealed.nonce.as_slice(), sealed.bytes])?;
    }
    Ok(())
}

/// Whether any config var is sealed.
///
/// # Errors
/// Of the database.
pub fn any(reader: &Connection) -> Result<bool> {
    Ok(reader.query_row("SELECT EXISTS (SELECT 1 FROM config_vars)", [], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, apps};

    fn set(vars: &[(&str, &str, ConfigScope)]) -> ConfigSet {
        let var = |(key, value, scope): &(&str, &str, ConfigScope)| {
            let value = pvdify_types::ConfigValue::new((*value).to_owned()).unwrap();
            (key.parse().unwrap(), ConfigVar { value, scope: *scope })
        };
        vars.iter().map(var).collect()
    }

    #[tokio::test]
    async fn a_build_sees_what_it_may_and_since_when_it_has_that_value() {
        use ConfigScope::{Build, Run};
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        let secrets = Secrets::open(&dir.path().join("key"), false).unwrap();
        store
            .write(move |tx| -> Result<()> {
                let app = apps::insert(tx, &"demo".parse().unwrap(), Default::default(), 0)?.unwrap();
                let origin = Origin {
                    user: "ada",
                    description: "d",
                };
                let mut before = ConfigVersion(0);
                let mut seen = Vec::new();
                for vars in [
                    [("A", "1", Build), ("B", "1", Run), ("C", "1", Build)],
                    [("A", "1", Build), ("B", "1", Build), ("C", "2", Build)],
                    [("A", "2", Run), ("B", "1", Build), ("C", "2", Build)],
                ] {
                    let set = set(&vars);
                    before = insert(tx, &secrets, &app, (before, &set), origin, 0)?;
                    assert_eq!(load(tx, &secrets, &app, before)?, set);
                    let built = for_build(tx, &secrets, &app, before)?;
                    let built = built
                        .iter()
                        .map(|(key, var)| format!("{key}={} of {}", var.value.reveal(), var.since.0));
                    seen.push(built.collect::<Vec<_>>().join(", "));
                }
                assert_eq!(
                    seen,
                    [
                        "A=1 of 1, C=1 of 1",
                        "A=1 of 1, B=1 of 1, C=2 of 2",
                        "B=1 of 1, C=2 of 2"
                    ]
                );
                assert_eq!(for_run(tx, &secrets, &app, before)?.len(), 3);
                let scopes = scopes(tx, &app, ConfigVersion(1))?;
                assert_eq!(scopes.into_values().collect::<Vec<_>>(), [Build, Run, Build]);
                Ok(())
            })
            .await
            .unwrap();
    }
}

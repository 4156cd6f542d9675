//! The tables `config_versions` and `config_vars`: whole sets, sealed, never changed once written.

use super::{
    Result, column,
    secrets::{Place, Sealed, Secrets},
};
use pvdify_types::{AppId, ConfigKey, ConfigVars, ConfigVersion};
use rusqlite::{Connection, params};

/// One whole set. Version 0 is the empty one.
///
/// # Errors
/// Of the database, and when a value does not open.
pub fn load(
    reader: &Connection,
    secrets: &Secrets,
    app: &AppId,
    version: ConfigVersion,
) -> Result<ConfigVars> {
    let mut query = reader.prepare_cached("SELECT * FROM config_vars WHERE app = ?1 AND version = ?2")?;
    let rows = query.query_and_then(params![app.as_str(), version.0], |row| {
        let key: ConfigKey = column::parsed(row, "config_vars.key")?;
        let sealed = Sealed {
            key_id: column::plain(row, "config_vars.key_id")?,
            nonce: column::plain(row, "config_vars.nonce")?,
            bytes: column::plain(row, "config_vars.sealed")?,
        };
        let place = Place {
            app,
            version,
            key: &key,
        };
        let value = secrets.open_value(place, &sealed)?;
        Ok((key, value))
    })?;
    rows.collect()
}

/// Adds a whole set under the app's next number.
///
/// # Errors
/// Of the database.
pub fn insert(
    tx: &Connection,
    secrets: &Secrets,
    app: &AppId,
    vars: &ConfigVars,
    now: i64,
) -> Result<ConfigVersion> {
    let last: u64 = tx.query_row(
        "SELECT coalesce(max(version), 0) FROM config_versions WHERE app = ?1",
        [app.as_str()],
        |row| row.get(0),
    )?;
    let version = ConfigVersion(last).next();
    tx.execute(
        "INSERT INTO config_versions (app, version, created_at) VALUES (?1, ?2, ?3)",
        params![app.as_str(), version.0, now],
    )?;
    let mut query = tx.prepare_cached(
        "INSERT INTO config_vars (app, version, key, key_id, nonce, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (key, value) in vars {
        let sealed = secrets.seal(Place { app, version, key }, value)?;
        query.execute(params![
            app.as_str(),
            version.0,
            key.as_str(),
            sealed.key_id,
            sealed.nonce.as_slice(),
            sealed.bytes
        ])?;
    }
    Ok(version)
}

/// Whether any config var is sealed.
///
/// # Errors
/// Of the database.
pub fn any(reader: &Connection) -> Result<bool> {
    Ok(reader.query_row("SELECT EXISTS (SELECT 1 FROM config_vars)", [], |row| row.get(0))?)
}

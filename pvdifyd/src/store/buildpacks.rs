//! The table `app_buildpacks`: which buildpacks an app was given, in the order they run.

use super::{Result, column};
use pvdify_types::{AppId, BuildpackName};
use rusqlite::{Connection, params};

/// An app's; none when its builds choose for themselves.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection, app: &AppId) -> Result<Vec<BuildpackName>> {
    let mut query =
        reader.prepare_cached("SELECT buildpack FROM app_buildpacks WHERE app = ?1 ORDER BY position")?;
    let rows = query.query_and_then([app.as_str()], |row| {
        column::parsed(row, "app_buildpacks.buildpack")
    })?;
    rows.collect()
}

/// Puts these in place of all that an app had.
///
/// # Errors
/// Of the database.
pub fn replace(tx: &Connection, app: &AppId, buildpacks: &[BuildpackName]) -> Result<()> {
    tx.execute("DELETE FROM app_buildpacks WHERE app = ?1", [app.as_str()])?;
    let mut insert =
        tx.prepare_cached("INSERT INTO app_buildpacks (app, position, buildpack) VALUES (?1, ?2, ?3)")?;
    for (position, buildpack) in (1_u64..).zip(buildpacks) {
        insert.execute(params![app.as_str(), position, buildpack.as_str()])?;
    }
    Ok(())
}

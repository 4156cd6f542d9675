//! The table `formation`: what a person scaled.

use super::{Error, Result};
use pvdify_types::{AppId, Formation, ProcessType};
use rusqlite::{Connection, params};

/// All of an app's.
///
/// # Errors
/// Of the database.
pub fn scaled(reader: &Connection, app: &AppId) -> Result<Formation> {
    let mut query = reader.prepare_cached("SELECT process, quantity FROM formation WHERE app = ?1")?;
    let rows = query.query_and_then([app.as_str()], |row| -> Result<_> {
        let process: String = row.get(0)?;
        let process: ProcessType = process
            .parse()
            .map_err(|error| Error::unreadable("formation.process", error))?;
        Ok((process, row.get(1)?))
    })?;
    rows.collect()
}

/// Sets one.
///
/// # Errors
/// Of the database.
pub fn set(tx: &Connection, app: &AppId, process: &ProcessType, quantity: u32) -> Result<()> {
    tx.execute(
        "INSERT INTO formation (app, process, quantity) VALUES (?1, ?2, ?3)
         ON CONFLICT (app, process) DO UPDATE SET quantity = excluded.quantity",
        params![app.as_str(), process.as_str(), quantity],
    )?;
    Ok(())
}

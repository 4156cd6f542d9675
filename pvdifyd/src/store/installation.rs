//! The one row of `installation`: who we are, and the highest route table generation.

use super::{Error, Result};
use pvdify_types::{Generation, InstallationId};
use rusqlite::{Connection, OptionalExtension};

/// Reads the id, or makes it with a new database.
pub(super) fn ensure(connection: &Connection) -> Result<InstallationId> {
    let fresh = uuid::Uuid::now_v7().to_string();
    connection.execute(
        "INSERT INTO installation (one, id) VALUES (1, ?1) ON CONFLICT DO NOTHING",
        [fresh],
    )?;
    let id: String = connection.query_row("SELECT id FROM installation", [], |row| row.get(0))?;
    id.parse()
        .map_err(|error| Error::unreadable("installation.id", error))
}

/// The highest generation saved.
///
/// # Errors
/// Of the database.
pub fn generation(reader: &Connection) -> Result<Generation> {
    let number: Option<u64> = reader
        .query_row("SELECT generation FROM installation", [], |row| row.get(0))
        .optional()?;
    Ok(Generation(number.unwrap_or(0)))
}

/// Saves a generation; a lower one than the saved changes nothing.
///
/// # Errors
/// Of the database.
pub fn save_generation(tx: &Connection, generation: Generation) -> Result<()> {
    tx.execute(
        "UPDATE installation SET generation = max(generation, ?1)",
        [generation.0],
    )?;
    Ok(())
}

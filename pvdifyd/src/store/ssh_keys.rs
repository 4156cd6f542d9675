//! The table `ssh_keys`: who may push.

use super::{Result, column};
use rusqlite::{Connection, params};

/// A registered public key.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct SshKey {
    /// `SHA256:` and unpadded base64.
    pub fingerprint: String,
    pub name: String,
    /// Without comment.
    pub public_key: String,
    pub created_at: i64,
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<SshKey>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM ssh_keys {rest}"))?;
    let rows = query.query_and_then(params, |row| {
        Ok(SshKey {
            fingerprint: column::plain(row, "ssh_keys.fingerprint")?,
            name: column::plain(row, "ssh_keys.name")?,
            public_key: column::plain(row, "ssh_keys.public_key")?,
            created_at: column::plain(row, "ssh_keys.created_at")?,
        })
    })?;
    rows.collect()
}

/// All, oldest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection) -> Result<Vec<SshKey>> {
    select(reader, "ORDER BY created_at, fingerprint", [])
}

/// By fingerprint.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, fingerprint: &str) -> Result<Option<SshKey>> {
    Ok(select(reader, "WHERE fingerprint = ?1", [fingerprint])?.pop())
}

/// Adds one; `false` when it is there.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, key: &SshKey) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO ssh_keys (fingerprint, name, public_key, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (fingerprint) DO NOTHING",
        params![key.fingerprint, key.name, key.public_key, key.created_at],
    )?;
    Ok(added == 1)
}

/// Removes one; `false` when there is none such.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, fingerprint: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM ssh_keys WHERE fingerprint = ?1", [fingerprint])? == 1)
}

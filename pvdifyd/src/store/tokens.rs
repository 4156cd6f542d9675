//! The table `tokens`: SHA-256 hashes of API tokens; the tokens themselves are nowhere.
//!
//! A token has 256 random bits, so a plain hash can't be searched and needs no salt; it is looked up by
//! the hash, whose timing tells nothing of the token.

use super::{Error, Result, column};
use rusqlite::{Connection, params};
use std::{fmt, str::FromStr};

/// What a token may do; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See all but config values.
    Read,
    /// Change apps.
    Write,
    /// Change who may do so.
    Admin,
}

impl Scope {
    /// All of them, the smallest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word in database and command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| format!("a token's scope is read, write or admin, not {text:?}"))
    }
}

/// A token as it is stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Token {
    pub name: String,
    pub scope: Scope,
    pub created_at: i64,
    pub expires_at: i64,
    pub last_used_at: Option<i64>,
}

fn select(reader: &Connection, rest: &str, params: impl rusqlite::Params) -> Result<Vec<Token>> {
    let mut query = reader.prepare_cached(&format!("SELECT * FROM tokens {rest}"))?;
    let rows = query.query_and_then(params, |row| {
        let scope: String = column::plain(row, "tokens.scope")?;
        Ok(Token {
            name: column::plain(row, "tokens.name")?,
            scope: scope
                .parse()
                .map_err(|error| Error::unreadable("tokens.scope", error))?,
            created_at: column::plain(row, "tokens.created_at")?,
            expires_at: column::plain(row, "tokens.expires_at")?,
            last_used_at: column::plain(row, "tokens.last_used_at")?,
        })
    })?;
    rows.collect()
}

/// All, oldest first.
///
/// # Errors
/// Of the database.
pub fn list(reader: &Connection) -> Result<Vec<Token>> {
    select(reader, "ORDER BY created_at, name", [])
}

/// By the hash of what was presented.
///
/// # Errors
/// Of the database.
pub fn find(reader: &Connection, hash: &[u8; 32]) -> Result<Option<Token>> {
    Ok(select(reader, "WHERE hash = ?1", [hash.as_slice()])?.pop())
}

/// Adds one; `false` when the name is taken.
///
/// # Errors
/// Of the database.
pub fn insert(tx: &Connection, hash: &[u8; 32], token: &Token) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO tokens (hash, name, scope, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (name) DO NOTHING",
        params![
            hash.as_slice(),
            token.name,
            token.scope.as_str(),
            token.created_at,
            token.expires_at
        ],
    )?;
    Ok(added == 1)
}

/// Removes one; `false` when there is none such.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &Connection, name: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM tokens WHERE name = ?1", [name])? == 1)
}

/// Notes a use.
///
/// # Errors
/// Of the database.
pub fn used(tx: &Connection, name: &str, now: i64) -> Result<()> {
    tx.execute(
        "UPDATE tokens SET last_used_at = ?2 WHERE name = ?1",
        params![name, now],
    )?;
    Ok(())
}

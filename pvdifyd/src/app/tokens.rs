//! API tokens: made on the host by `pvdifyd token create`, shown once, stored as a hash.
//!
//! `pvd_` and 43 characters of base64url: 256 random bits. The prefix lets secret scanners find a leaked one.

use super::{
    App, Principal, Scope,
    error::{Error, Result},
    keys::check_name,
};
use crate::store::{Store, now, tokens};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use std::time::Duration;

pub use crate::store::tokens::Token;

/// How long a token lasts when nobody says.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3600);
const PREFIX: &str = "pvd_";
/// `last used` is written that seldom, so that reading does not become writing.
const USED_STEP: i64 = 60_000;

/// Makes a token and gives it; it can't be had again.
///
/// # Errors
/// When the name is taken or breaks a rule.
pub async fn create(store: &Store, name: &str, scope: Scope, lifetime: Duration) -> Result<String> {
    check_name(name)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Error::Io {
        doing: "get random bytes",
        source: std::io::Error::other(error),
    })?;
    let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let created_at = now();
    let row = Token {
        name: name.to_owned(),
        scope,
        created_at,
        expires_at: created_at.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)),
        last_used_at: None,
    };
    let hash = hash(&token);
    store
        .write(move |tx| {
            if tokens::insert(tx, &hash, &row)? {
                Ok(())
            } else {
                Err(Error::TokenTaken(row.name))
            }
        })
        .await?;
    Ok(token)
}

/// All tokens, without what they are.
///
/// # Errors
/// When the database fails.
pub async fn list(store: &Store) -> Result<Vec<Token>> {
    store.read(|reader| Ok(tokens::list(reader)?)).await
}

/// Ends one at once.
///
/// # Errors
/// When there is none of that name.
pub async fn revoke(store: &Store, name: &str) -> Result<()> {
    let name = name.to_owned();
    store
        .write(move |tx| {
            if tokens::remove(tx, &name)? {
                Ok(())
            } else {
                Err(Error::NoToken(name))
            }
        })
        .await
}

/// What a presented token is.
#[derive(Debug, PartialEq, Eq)]
pub enum Presented {
    /// It holds.
    Valid(Principal),
    /// It held until that time, in Unix milliseconds.
    Expired(i64),
    /// There is none such.
    Unknown,
    /// It has not even the form of one.
    Malformed,
}

impl App {
    /// Looks a presented token up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn authenticate(&self, presented: &str) -> Result<Presented> {
        if !well_formed(presented) {
            return Ok(Presented::Malformed);
        }
        let hash = hash(presented);
        let found = self.store().read(move |reader| tokens::find(reader, &hash)).await;
        let Some(token) = found.map_err(Error::from)? else {
            return Ok(Presented::Unknown);
        };
        let now = now();
        if token.expires_at <= now {
            return Ok(Presented::Expired(token.expires_at));
        }
        if token.last_used_at.is_none_or(|used| now - used > USED_STEP) {
            let name = token.name.clone();
            let noted = self.store().write(move |tx| tokens::used(tx, &name, now)).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "can't note that a token was used");
            }
        }
        Ok(Presented::Valid(Principal::Token {
            name: token.name,
            scope: token.scope,
        }))
    }
}

fn well_formed(token: &str) -> bool {
    token.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == 43
            && rest
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    })
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

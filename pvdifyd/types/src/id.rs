//! Identities that machines give: each a type of its own, so that one can't stand for another.

use crate::newtype::string_newtype;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no id.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("an id is 1 to 64 characters of a-z, 0-9 and hyphens")]
pub struct IdError;

fn check_id(text: &str) -> Result<(), IdError> {
    let fits = (1..=64).contains(&text.len());
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits && plain && !text.starts_with('-') {
        Ok(())
    } else {
        Err(IdError)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);
        string_newtype!($name, IdError);
        impl $name {
            fn check(text: &str) -> Result<(), IdError> {
                check_id(text)
            }
        }
    };
}

id! {
    /// An app for as long as it lives: a deleted app's name may be taken again, its id never.
    AppId
}
id! {
    /// One build of one push.
    BuildId
}
id! {
    /// One Pvdify on one host: tells its own containers from another installation's.
    InstallationId
}
id! {
    /// One running (or once running) container, as the engine names it.
    InstanceId
}
id! {
    /// A volume for as long as it lives: a destroyed one's name may be given again, its id never.
    VolumeId
}
id! {
    /// A snapshot of a volume.
    SnapshotId
}

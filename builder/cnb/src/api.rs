//! API versions, and which of them are spoken here.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// `MAJOR.MINOR` of the Buildpack API or the Platform API; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Api {
    /// Always 0 so far.
    pub major: u32,
    /// The part that grows.
    pub minor: u32,
}

/// The Platform API that the lifecycle and the launcher speak.
pub const PLATFORM: Api = Api::new(0, 15);
/// The oldest Buildpack API that is run.
pub const OLDEST_BUILDPACK: Api = Api::new(0, 7);
/// The newest Buildpack API that is run.
pub const NEWEST_BUILDPACK: Api = Api::new(0, 12);

/// A text that is no API version.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no API version; one reads \"0.10\"")]
pub struct NoApi(String);

impl Api {
    /// The version of these parts.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Whether a buildpack of this API can be run.
    #[must_use]
    pub fn is_supported_buildpack(self) -> bool {
        (OLDEST_BUILDPACK..=NEWEST_BUILDPACK).contains(&self)
    }
}

impl FromStr for Api {
    type Err = NoApi;

    fn from_str(text: &str) -> Result<Self, NoApi> {
        let number = |part: &str| part.parse().map_err(|_| NoApi(text.to_owned()));
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

impl TryFrom<String> for Api {
    type Error = NoApi;

    fn try_from(text: String) -> Result<Self, NoApi> {
        text.parse()
    }
}

impl From<Api> for String {
    fn from(api: Api) -> Self {
        api.to_string()
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_texts() {
        let api = |text: &str| text.parse::<Api>().unwrap();
        assert!(api("0.9") < api("0.10"));
        assert_eq!(api("1"), Api::new(1, 0));
        assert_eq!(api("0.12").to_string(), "0.12");
        assert!(api("0.7").is_supported_buildpack() && api("0.12").is_supported_buildpack());
        assert!(!api("0.6").is_supported_buildpack() && !api("0.13").is_supported_buildpack());
        for bad in ["", "0.", "a.b", "0.1.2", "-1.0"] {
            assert!(bad.parse::<Api>().is_err(), "{bad}");
        }
    }
}

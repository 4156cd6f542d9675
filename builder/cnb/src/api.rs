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
/// The oldest Platform API that is understood.
pub const OLDEST_PLATFORM: Api = Api::new(0, 7);
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

    /// Whether a platform of this API can be served.
    #[must_use]
    pub fn is_supported_platform(self) -> bool {
        (OLDEST_PLATFORM..=PLATFORM).contains(&self)
    }
}

/// What one Buildpack API has and an older one has not. All of it: nobody else compares versions.
impl Api {
    /// Paths come as `CNB_*` variables too, not as arguments alone.
    #[must_use]
    pub fn has_path_variables(self) -> bool {
        self >= Self::new(0, 8)
    }

    /// A process may name its working directory.
    #[must_use]
    pub fn has_working_dir(self) -> bool {
        self >= Self::new(0, 8)
    }

    /// A process's command is a list and runs without a shell; what a person adds replaces its `args`.
    #[must_use]
    pub fn has_command_lists(self) -> bool {
        self >= Self::new(0, 9)
    }

    /// `[[targets]]`, and the `CNB_TARGET_*` variables.
    #[must_use]
    pub fn has_targets(self) -> bool {
        self >= Self::new(0, 10)
    }

    /// `exec-env`, and the variable `CNB_EXEC_ENV`.
    #[must_use]
    pub fn has_exec_env(self) -> bool {
        self >= Self::new(0, 12)
    }
}

/// What one Platform API has and an older one has not.
impl Api {
    /// Execution environments and `system.toml`.
    #[must_use]
    pub fn is_platform_with_exec_env(self) -> bool {
        self >= Self::new(0, 15)
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
    fn each_feature_begins_with_its_version() {
        let features = |minor| {
            let api = Api::new(0, minor);
            [
                api.has_path_variables(),
                api.has_working_dir(),
                api.has_command_lists(),
                api.has_targets(),
                api.has_exec_env(),
            ]
        };
        assert_eq!(features(7), [false; 5]);
        assert_eq!(features(8), [true, true, false, false, false]);
        assert_eq!(features(9), [true, true, true, false, false]);
        assert_eq!(features(10), [true, true, true, true, false]);
        assert_eq!(features(11), [true, true, true, true, false]);
        assert_eq!(features(12), [true; 5]);
        assert!(Api::new(0, 15).is_platform_with_exec_env() && !Api::new(0, 14).is_platform_with_exec_env());
        assert!(Api::new(0, 7).is_supported_platform() && !Api::new(0, 16).is_supported_platform());
    }

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

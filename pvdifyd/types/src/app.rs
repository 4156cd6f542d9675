//! An app's environment and its status as people see it.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What an app is for. Changes nothing in how it runs; shown wherever the app is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Environment {
    #[default]
    Production,
    Staging,
}

impl Environment {
    /// The word in API, database and CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Staging => "staging",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Environment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "production" => Ok(Self::Production),
            "staging" => Ok(Self::Staging),
            other => Err(format!("an environment is production or staging, not {other:?}")),
        }
    }
}

/// An app's status, derived each time from its releases and instances; nothing stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AppStatus {
    /// Nothing was released yet.
    Created,
    /// The current release has every instance it should have ready.
    Running,
    /// The current release is scaled to zero.
    Stopped,
    /// An instance that should run does not, or the only release failed.
    Failed,
    /// The app is going; its containers may still be.
    Deleting,
}

impl AppStatus {
    /// The word in API and CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
        }
    }

    /// Decides the status from what is wanted and what is ready.
    #[must_use]
    pub fn decide(
        deleting: bool,
        has_current: bool,
        any_failed_release: bool,
        wanted: u32,
        ready: u32,
    ) -> Self {
        if deleting {
            Self::Deleting
        } else if !has_current {
            if any_failed_release {
                Self::Failed
            } else {
                Self::Created
            }
        } else if wanted == 0 {
            Self::Stopped
        } else if ready >= wanted {
            Self::Running
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_follows_from_what_is_wanted_and_what_is_ready() {
        let table = [
            ((true, true, false, 1, 1), AppStatus::Deleting),
            ((false, false, false, 0, 0), AppStatus::Created),
            ((false, false, true, 0, 0), AppStatus::Failed),
            ((false, true, false, 0, 0), AppStatus::Stopped),
            ((false, true, true, 2, 2), AppStatus::Running),
            ((false, true, false, 2, 1), AppStatus::Failed),
        ];
        for ((deleting, current, failed, wanted, ready), status) in table {
            assert_eq!(
                AppStatus::decide(deleting, current, failed, wanted, ready),
                status
            );
        }
    }
}

//! A release's states, the only transitions between them, and why a release exists.

use crate::version::ReleaseVersion;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a release stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseStatus {
    /// Its image is still being built.
    Building,
    /// It waits for its turn: the app's earlier release is still deploying.
    Pending,
    /// Its instances start beside the old ones and are probed.
    Deploying,
    /// It serves. At most one release of an app does.
    Current,
    /// It never served; the one before it still does.
    Failed,
    /// It served until a later one took over.
    Superseded,
    /// It served until a person rolled back from it.
    RolledBack,
}

impl ReleaseStatus {
    /// All of them, in the order of a release's life.
    pub const ALL: [Self; 7] = [
        Self::Building,
        Self::Pending,
        Self::Deploying,
        Self::Current,
        Self::Failed,
        Self::Superseded,
        Self::RolledBack,
    ];
    /// Not ended: some owner must bring it to an end, or the reaper does.
    pub const OPEN: [Self; 3] = [Self::Building, Self::Pending, Self::Deploying];

    /// The word in API, database and CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Pending => "pending",
            Self::Deploying => "deploying",
            Self::Current => "current",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether it can still change by itself.
    #[must_use]
    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }

    /// Whether its image and config once served, so that a rollback may return to it.
    #[must_use]
    pub fn has_served(self) -> bool {
        matches!(self, Self::Current | Self::Superseded | Self::RolledBack)
    }

    /// The whole table of legal changes.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Building, Self::Pending | Self::Failed)
                | (Self::Pending, Self::Deploying | Self::Failed)
                | (Self::Deploying, Self::Current | Self::Failed)
                | (Self::Current, Self::Superseded | Self::RolledBack)
        )
    }
}

impl fmt::Display for ReleaseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a release exists. Scaling makes none, as on Heroku.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ReleaseCause {
    /// New code, pushed or given as an image.
    Deploy,
    /// Config vars changed; the code is the release's before it.
    Config,
    /// Code and config of an earlier release.
    Rollback {
        /// The release returned to.
        to: ReleaseVersion,
    },
    /// The image of another app's release.
    Promote,
    /// The code of the release before it on a newer run image.
    Stack,
}

impl ReleaseCause {
    /// The word in API and database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Config => "config",
            Self::Rollback { .. } => "rollback",
            Self::Promote => "promote",
            Self::Stack => "stack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_legal_changes() {
        let mut table = String::new();
        for from in ReleaseStatus::ALL {
            let next: Vec<_> = ReleaseStatus::ALL
                .into_iter()
                .filter(|to| from.may_become(*to))
                .map(ReleaseStatus::as_str)
                .collect();
            table.push_str(&format!("{from} -> {}\n", next.join(", ")));
        }
        assert_eq!(
            table,
            "building -> pending, failed\npending -> deploying, failed\ndeploying -> current, failed\n\
             current -> superseded, rolled_back\nfailed -> \nsuperseded -> \nrolled_back -> \n"
        );
    }

    #[test]
    fn only_an_open_status_ends_in_failure_and_every_word_reads_back() {
        for status in ReleaseStatus::ALL {
            assert_eq!(status.may_become(ReleaseStatus::Failed), status.is_open());
            assert_eq!(ReleaseStatus::from_word(status.as_str()), Some(status));
        }
    }
}

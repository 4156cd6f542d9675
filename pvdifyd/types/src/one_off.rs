//! One-off processes: what runs once to its end beside an app's process types, and the only changes of its state.
//!
//! They are named as on Heroku, by what they are for and a number of the app's own: `release.1001`, `run.1002`.

use crate::name::ProcessType;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// What a one-off process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OneOffKind {
    /// The `release` process type: it ends with status 0, or its release fails.
    Release,
    /// app.json's `scripts.postdeploy`, once after an app's first deploy.
    Postdeploy,
    /// One of app.json's `cron`.
    Cron,
    /// A person's command.
    Run,
}

impl OneOffKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Release, Self::Postdeploy, Self::Cron, Self::Run];

    /// The word in API, database, CLI and log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Postdeploy => "postdeploy",
            Self::Cron => "cron",
            Self::Run => "run",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// As the process type that its container bears.
    #[must_use]
    pub fn process(self) -> ProcessType {
        self.as_str()
            .parse()
            .expect("each word is a process type: the test of all words holds it")
    }
}

/// Where a one-off process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OneOffStatus {
    /// To be started.
    Pending,
    /// It was seen running.
    Running,
    /// It ended with status 0.
    Succeeded,
    /// It ended otherwise, took too long, could not be started, or was lost.
    Failed,
    /// A person ended it, or what it was for has ended.
    Cancelled,
}

impl OneOffStatus {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word in API, database and CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// The whole table of legal changes.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.is_open() && (!next.is_open() || (self, next) == (Self::Pending, Self::Running))
    }
}

/// A one-off process's name within its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OneOffName {
    /// What it is for.
    pub kind: OneOffKind,
    /// Given once in an app.
    pub number: u32,
}

/// Why a text is no such name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a one-off process is named as run.1001")]
pub struct OneOffNameError;

impl fmt::Display for OneOffName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind.as_str(), self.number)
    }
}

impl FromStr for OneOffName {
    type Err = OneOffNameError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, number) = text.split_once('.').ok_or(OneOffNameError)?;
        let name = Self {
            kind: OneOffKind::from_word(kind).ok_or(OneOffNameError)?,
            number: number.parse().map_err(|_| OneOffNameError)?,
        };
        // `+7` and `007` are numbers, and no names.
        (name.to_string() == text).then_some(name).ok_or(OneOffNameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_is_a_process_type() {
        for kind in OneOffKind::ALL {
            assert_eq!(OneOffKind::from_word(kind.as_str()), Some(kind));
            assert_eq!(kind.process().as_str(), kind.as_str());
            let name = OneOffName { kind, number: 1001 };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for status in OneOffStatus::ALL {
            assert_eq!(OneOffStatus::from_word(status.as_str()), Some(status));
        }
        for bad in ["run", "run.", "run.x", "run.+7", "run.07", "web.1", "run.1.1"] {
            assert_eq!(bad.parse::<OneOffName>(), Err(OneOffNameError), "{bad}");
        }
    }

    #[test]
    fn the_table_of_legal_changes() {
        let mut table = String::new();
        for from in OneOffStatus::ALL {
            let next: Vec<_> = OneOffStatus::ALL
                .into_iter()
                .filter(|to| from.may_become(*to))
                .map(OneOffStatus::as_str)
                .collect();
            table.push_str(&format!("{} -> {}\n", from.as_str(), next.join(", ")));
        }
        assert_eq!(
            table,
            "pending -> running, succeeded, failed, cancelled\nrunning -> succeeded, failed, cancelled\n\
             succeeded -> \nfailed -> \ncancelled -> \n"
        );
    }
}

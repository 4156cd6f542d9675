//! The list of a package's versions, remembered for some hours in a cache layer, so that a build that changes
//! nothing asks no registry. When a registry does not answer, an older list is better than none.

use crate::{Result, files, output};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

// A release of a runtime reaches apps that are pushed on the next day at the latest.
const FRESH_SECONDS: u64 = 12 * 60 * 60;

/// Where lists are remembered, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Index {
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    saved: u64,
    versions: Vec<String>,
}

impl Index {
    /// Remembers in `folder`, which a cache layer keeps.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
        }
    }

    /// Remembers nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The list called `name`, fresh enough or asked for by `ask`.
    pub(crate) fn versions(
        &self,
        name: &str,
        ask: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<Vec<String>> {
        self.versions_at(name, now(), ask)
    }

    fn versions_at(
        &self,
        name: &str,
        now: u64,
        ask: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<Vec<String>> {
        let Some(folder) = &self.folder else {
            return ask();
        };
        let file = format!("{}.json", name.replace(['/', '@'], "_"));
        let saved: Option<Saved> =
            files::read(folder, &file)?.and_then(|text| serde_json::from_str(&text).ok());
        // A clock that went back must not keep a list for ever.
        let age = saved.as_ref().map(|saved| now.abs_diff(saved.saved));
        match (saved, age) {
            (Some(saved), Some(age)) if age < FRESH_SECONDS => Ok(saved.versions),
            (saved, _) => match (ask(), saved) {
                (Ok(versions), _) => {
                    let text = serde_json::to_string(&Saved {
                        saved: now,
                        versions: versions.clone(),
                    });
                    files::write(&folder.join(file), text.unwrap_or_default())?;
                    Ok(versions)
                }
                (Err(failure), Some(saved)) => {
                    output::warning(format!(
                        "{failure}: using the list of versions of an earlier build."
                    ));
                    Ok(saved.versions)
                }
                (Err(failure), None) => Err(failure),
            },
        }
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Failure;

    fn none() -> Result<Vec<String>> {
        Err(Failure::new("Can't list", "Offline.", "Wait."))
    }

    #[test]
    fn a_list_is_asked_for_once_in_twelve_hours() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::in_folder(dir.path());
        let list = |now, version: &'static str| {
            index
                .versions_at("@a/b", now, || Ok(vec![version.to_owned()]))
                .unwrap()
        };
        assert_eq!(list(1_000_000, "1"), ["1"]);
        assert_eq!(list(1_000_000 + FRESH_SECONDS - 1, "2"), ["1"]);
        assert_eq!(list(1_000_000 + FRESH_SECONDS, "3"), ["3"]);
        assert_eq!(list(5, "4"), ["4"]);
    }

    #[test]
    fn an_old_list_serves_while_the_registry_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::in_folder(dir.path());
        assert!(index.versions_at("a", 1, none).is_err());
        index.versions_at("a", 1, || Ok(vec!["1".to_owned()])).unwrap();
        assert_eq!(index.versions_at("a", 10 * FRESH_SECONDS, none).unwrap(), ["1"]);
    }
}

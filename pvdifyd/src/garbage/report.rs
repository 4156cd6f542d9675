//! What a round says in the log: one line of what was removed, one of what was packed, and each failure once until it
//! changes.

use pvdify_builder::Packed;
use std::{collections::BTreeMap, fmt::Display};

/// What one round removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) uploads: usize,
    pub(super) manifests: usize,
    pub(super) blobs: usize,
    pub(super) repositories: usize,
    /// From Podman's storage.
    pub(super) images: usize,
    /// Of all of them. Podman's images may share layers with ones that stay, so it may be less.
    pub(super) bytes: u64,
}

impl Removed {
    /// One line, or none when there was nothing.
    pub(super) fn log(&self) {
        if *self != Self::default() {
            let Self {
                uploads,
                manifests,
                blobs,
                repositories,
                images,
                bytes,
            } = self;
            tracing::info!(
                images,
                manifests,
                blobs,
                repositories,
                uploads,
                bytes,
                "removed what no release needs"
            );
        }
    }
}

/// One line, or none when there was nothing.
pub(super) fn packed(packed: Packed) {
    if packed.apps > 0 {
        let Packed { apps, before, after } = packed;
        tracing::info!(apps, before, after, "packed the layers of apps at rest");
    }
}

/// The failures that were told already, by what failed.
#[derive(Debug, Default)]
pub(super) struct Reports(BTreeMap<&'static str, String>);

impl Reports {
    /// Takes the failure out of a result and logs it if it is news.
    pub(super) fn failed<T, E: Display>(&mut self, what: &'static str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => {
                self.0.remove(what);
                Some(value)
            }
            Err(error) => {
                if self.is_news(what, error.to_string()) {
                    tracing::warn!(%error, "garbage collection: {what}");
                }
                None
            }
        }
    }

    fn is_news(&mut self, what: &'static str, text: String) -> bool {
        self.0.insert(what, text.clone()) != Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_until_it_was_told_and_again_once_it_went_away() {
        let mut reports = Reports::default();
        assert!(reports.is_news("Podman", "down".into()));
        assert!(!reports.is_news("Podman", "down".into()));
        assert!(reports.is_news("the registry", "down".into()));
        assert!(reports.is_news("Podman", "slow".into()));
        assert_eq!(reports.failed::<_, &str>("Podman", Ok(1)), Some(1));
        assert!(reports.is_news("Podman", "slow".into()));
    }
}

//! How many of which process, and what each may use.

use crate::name::ProcessType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Process type -> how many instances should run.
pub type Formation = BTreeMap<ProcessType, u32>;

/// The most instances one process type may be scaled to on one host.
pub const MAX_QUANTITY: u32 = 100;

/// What one instance may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Bytes of memory; the kernel kills what goes beyond.
    #[serde(default = "Resources::default_memory_bytes")]
    pub memory_bytes: u64,
    /// Thousandths of a CPU; `None` is no limit.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(default = "Resources::default_pids")]
    pub pids: u32,
}

impl Resources {
    fn default_memory_bytes() -> u64 {
        512 * 1024 * 1024
    }
    fn default_pids() -> u32 {
        512
    }
}

impl Default for Resources {
    /// 512 MiB as Heroku's smallest, 512 pids, the CPU shared evenly.
    fn default() -> Self {
        Self {
            memory_bytes: Self::default_memory_bytes(),
            cpu_millis: None,
            pids: Self::default_pids(),
        }
    }
}

/// Quantities for a release: what a person scaled before wins; of a first release `web` gets one, all others none.
///
/// A type that the release does not have is left out, so that a removed worker stops.
#[must_use]
pub fn quantities(types: impl IntoIterator<Item = ProcessType>, scaled: &Formation) -> Formation {
    types
        .into_iter()
        .filter(|process| !process.is_release_phase())
        .map(|process| {
            let default = u32::from(process.is_web());
            let quantity = scaled.get(&process).copied().unwrap_or(default);
            (process, quantity)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_release_runs_one_web_and_nothing_else() {
        let types = ["web", "worker", "release"].map(|t| t.parse().unwrap());
        let formation = quantities(types, &Formation::new());
        let shown: Vec<_> = formation.iter().map(|(t, n)| (t.as_str(), *n)).collect();
        assert_eq!(shown, [("web", 1), ("worker", 0)]);
    }

    #[test]
    fn what_was_scaled_stays_scaled_and_what_is_gone_is_left_out() {
        let scaled: Formation = [
            ("web".parse().unwrap(), 3),
            ("worker".parse().unwrap(), 2),
            ("old".parse().unwrap(), 9),
        ]
        .into();
        let formation = quantities(["web", "worker"].map(|t| t.parse().unwrap()), &scaled);
        assert_eq!(formation.values().copied().collect::<Vec<_>>(), [3, 2]);
    }
}

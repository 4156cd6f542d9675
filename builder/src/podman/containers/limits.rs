//! What a container may use: by process, and as a whole.

use serde::Serialize;

/// A limit of setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// As in `nofile`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What holds.
    pub soft: u64,
    /// How far a process may raise it.
    pub hard: u64,
}

impl Rlimit {
    /// One limit, soft and hard.
    #[must_use]
    pub fn new(kind: &str, limit: u64) -> Self {
        Self {
            kind: kind.to_owned(),
            soft: limit,
            hard: limit,
        }
    }
}

/// Limits of the whole container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceLimits {
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryLimit>,
    /// Processor time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuLimit>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<PidsLimit>,
}

impl ResourceLimits {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryLimit {
    /// Memory.
    pub limit: u64,
    /// Memory and swap together: the same number means no swap.
    pub swap: u64,
}

/// Microseconds of processor time in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CpuLimit {
    /// How much.
    pub quota: u64,
    /// Of how long.
    pub period: u64,
}

/// How many processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PidsLimit {
    /// At most.
    pub limit: u64,
}

//! How a process ended, for whoever waits for it.

use pvdify_types::Resources;

/// The status of a process that SIGKILL ended. The engine can't tell why; nothing of ours kills without having said so.
const KILLED: i64 = 137;
const MIB: u64 = 1 << 20;

/// Its end in words, without its name.
pub(super) fn described(status: i64, resources: &Resources) -> String {
    match status {
        KILLED => format!(
            "was killed (status {status}), most likely because it used more than its {} MiB of memory",
            resources.memory_bytes / MIB
        ),
        _ => format!("exited with status {status}"),
    }
}

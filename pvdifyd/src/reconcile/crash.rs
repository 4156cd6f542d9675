//! How long to leave a crashing instance alone. Pure; time comes in as an argument.
//!
//! Podman's `always` restarts at once and for ever: some 60 starts in 10 seconds. So an instance that was
//! restarted a few times is removed, and started anew after a back-off that doubles with each round. What
//! starts a round afresh: another key (release, restart, changed spec), or a long life.

use super::observe::Instance;
use crate::engine::{EngineState, InstanceKey};
use pvdify_types::InstanceId;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

/// Restarts by the engine that count as one crash, the first time; after that a single one does.
const RESTARTS: u32 = 3;
const FIRST_DELAY: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(600);
/// An engine that failed to start an instance is asked again sooner: the fault may be its own.
const FIRST_START_DELAY: Duration = Duration::from_millis(500);
/// Who ran this long did not crash at its start.
const LONG_LIFE: Duration = Duration::from_secs(600);
/// A container that the engine restarts is seen as exited for a moment; longer, and nobody restarts it.
const SETTLE: Duration = Duration::from_secs(3);

/// What is known of one key's failures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    crashes: u32,
    start_failures: u32,
    refusals: u32,
    last_error: Option<String>,
    last_instance: Option<InstanceId>,
    not_before: Option<SystemTime>,
}

/// Every key's failures; forgotten with pvdifyd, which then starts what should run once more.
#[derive(Debug, Default)]
pub(super) struct CrashHistory {
    records: BTreeMap<InstanceKey, Record>,
    /// Restarts that lie before a long life.
    baselines: BTreeMap<InstanceId, u32>,
}

impl CrashHistory {
    /// Takes in what runs: forgets what is gone or has lived long.
    pub(super) fn observe(&mut self, instances: &[Instance], wanted: &[InstanceKey], now: SystemTime) {
        self.baselines
            .retain(|id, _| instances.iter().any(|instance| instance.engine.id == *id));
        self.records.retain(|key, _| wanted.contains(key));
        for instance in instances {
            let lived = instance
                .engine
                .started_at
                .and_then(|start| now.duration_since(start).ok());
            if instance.engine.state == EngineState::Running && lived.is_some_and(|lived| lived >= LONG_LIFE)
            {
                self.baselines
                    .insert(instance.engine.id.clone(), instance.engine.restarts);
                self.records.remove(&instance.engine.key);
            }
        }
    }

    /// Whether an instance restarts so often that it must be taken from the engine.
    pub(super) fn is_looping(&self, instance: &Instance) -> bool {
        let before = self.baselines.get(&instance.engine.id).copied().unwrap_or(0);
        let crashed_before = self
            .records
            .get(&instance.engine.key)
            .is_some_and(|record| record.crashes > 0);
        let limit = if crashed_before { 1 } else { RESTARTS };
        instance.engine.restarts.saturating_sub(before) >= limit
    }

    /// Whether a key may be started now.
    pub(super) fn may_start(&self, key: &InstanceKey, now: SystemTime) -> bool {
        let not_before = self.records.get(key).and_then(|record| record.not_before);
        not_before.is_none_or(|time| now >= time)
    }

    /// An instance was taken from the engine because it crashes.
    pub(super) fn crashed(&mut self, key: &InstanceKey, instance: &InstanceId, now: SystemTime) {
        let record = self.records.entry(key.clone()).or_default();
        record.not_before = Some(now + doubled(FIRST_DELAY, record.crashes));
        record.crashes += 1;
        record.last_instance = Some(instance.clone());
    }

    /// The engine did not start it.
    pub(super) fn start_failed(&mut self, key: &InstanceKey, refused: bool, error: String, now: SystemTime) {
        let record = self.records.entry(key.clone()).or_default();
        record.not_before = Some(now + doubled(FIRST_START_DELAY, record.start_failures));
        record.start_failures += 1;
        record.refusals += u32::from(refused);
        record.last_error = Some(error);
    }

    /// How often the engine refused to start it, and its last words.
    pub(super) fn refusals(&self, key: &InstanceKey) -> (u32, Option<&str>) {
        match self.records.get(key) {
            Some(record) => (record.refusals, record.last_error.as_deref()),
            None => (0, None),
        }
    }

    /// Whether any key waits for its next start.
    pub(super) fn any_waits(&self, now: SystemTime) -> bool {
        self.records
            .values()
            .any(|record| record.not_before.is_some_and(|time| now < time))
    }

    /// Keys that wait after a crash, with the instance that was last seen of each.
    pub(super) fn waiting(&self, now: SystemTime) -> impl Iterator<Item = (&InstanceKey, &InstanceId)> {
        self.records.iter().filter_map(move |(key, record)| {
            let waits = record.not_before.is_some_and(|time| now < time);
            let instance = record.last_instance.as_ref().filter(|_| waits)?;
            Some((key, instance))
        })
    }
}

/// Whether an instance that does not run has been left so by the engine.
pub(super) fn is_dead(instance: &Instance, now: SystemTime) -> bool {
    match instance.engine.state {
        EngineState::Exited(_) => {
            let since = instance
                .engine
                .finished_at
                .and_then(|end| now.duration_since(end).ok());
            since.is_none_or(|since| since >= SETTLE)
        }
        EngineState::Created => true,
        EngineState::Running | EngineState::Changing => false,
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
        .min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, instance, key};
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_ten_minutes() {
        let (mut history, mut now, mut delays) = (CrashHistory::default(), at(0), vec![]);
        for _ in 0..9 {
            history.crashed(&key("web", 1, 1), &"c1".parse().unwrap(), now);
            let mut waited = 0;
            while !history.may_start(&key("web", 1, 1), now) {
                waited += 1;
                now += Duration::from_secs(1);
            }
            delays.push(waited);
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        assert!(
            history.may_start(&key("web", 2, 1), at(0)),
            "another instance does not wait"
        );
        assert!(
            history.may_start(&key("web", 1, 2), at(0)),
            "nor does another release"
        );
    }

    #[test]
    fn three_restarts_are_a_loop_and_after_that_a_single_one() {
        let mut history = CrashHistory::default();
        let restarted = |restarts| {
            let mut instance = instance("c1", key("web", 1, 1));
            instance.engine.restarts = restarts;
            instance
        };
        assert!(!history.is_looping(&restarted(2)));
        assert!(history.is_looping(&restarted(3)));
        history.crashed(&key("web", 1, 1), &"c1".parse().unwrap(), at(0));
        assert!(history.is_looping(&restarted(1)));
    }

    #[test]
    fn a_long_life_makes_good_for_crashes_before_it() {
        let mut history = CrashHistory::default();
        history.crashed(&key("web", 1, 1), &"c0".parse().unwrap(), at(0));
        let mut instance = instance("c1", key("web", 1, 1));
        instance.engine.restarts = 5;
        instance.engine.started_at = Some(at(0));
        let wanted = [key("web", 1, 1)];
        history.observe(std::slice::from_ref(&instance), &wanted, at(599));
        assert!(history.is_looping(&instance));
        history.observe(std::slice::from_ref(&instance), &wanted, at(600));
        assert!(!history.is_looping(&instance));
        instance.engine.restarts = 7;
        assert!(!history.is_looping(&instance));
        instance.engine.restarts = 8;
        assert!(history.is_looping(&instance));
    }
}

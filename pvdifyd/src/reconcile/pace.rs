//! How soon to look again when nothing wakes the loop. Pure.

use super::{
    handle::InstanceState,
    plan::{Input, Plan},
};
use std::time::{Duration, SystemTime};

/// While something is about to change by itself.
const FAST: Duration = Duration::from_millis(250);
/// While something may change, and after a failure.
pub(super) const SLOW: Duration = Duration::from_secs(1);
/// What started longer ago than this is looked at slowly.
const YOUNG: Duration = Duration::from_secs(10);

/// The time until the next look; `tick` when all is at rest.
pub(super) fn pause(input: &Input<'_>, plan: &Plan, tick: Duration) -> Duration {
    let starting = || {
        let instances = input.observed.instances.iter();
        instances.filter(|instance| instance.state() != InstanceState::Up)
    };
    let is_young = |started: Option<SystemTime>| {
        started.is_none_or(|start| input.now.duration_since(start).is_ok_and(|age| age < YOUNG))
    };
    let deploying = input
        .desired
        .iter()
        .any(|app| app.deleting || app.candidate.is_some());
    if !plan.retiring.is_empty()
        || !input.busy.starting.is_empty()
        || starting().any(|instance| is_young(instance.engine.started_at))
    {
        FAST
    } else if starting().next().is_some()
        || deploying
        || input.crashes.any_waits(input.now)
        || !input.orphans.is_empty()
    {
        SLOW.min(tick)
    } else {
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{
        crash::CrashHistory,
        desired::DesiredApp,
        drain::{Departures, DrainLimits},
        gc::Orphans,
        observe::Instance,
        plan::Busy,
        testing::{app, at, instance, key, observed},
    };

    const TICK: Duration = Duration::from_secs(5);

    fn paused(app: DesiredApp, instance: Instance, busy: &Busy, retiring: &[&str]) -> Duration {
        let observed = observed(vec![instance]);
        let input = Input {
            desired: &[app],
            observed: &observed,
            now: at(20),
            crashes: &CrashHistory::default(),
            departures: &Departures::default(),
            limits: DrainLimits {
                longest: TICK,
                no_router: TICK,
            },
            report: None,
            orphans: &Orphans::default(),
            busy,
        };
        let plan = Plan {
            steps: Vec::new(),
            retiring: retiring.iter().map(|id| id.parse().unwrap()).collect(),
        };
        pause(&input, &plan, TICK)
    }

    fn web(ready: bool, started: u64) -> Instance {
        let mut instance = instance("c1", key("web", 1, 1));
        instance.ready = ready;
        instance.engine.started_at = Some(at(started));
        instance
    }

    #[test]
    fn what_changes_by_itself_is_looked_at_often_and_what_rests_seldom() {
        let rest = Busy::default();
        let starts = Busy {
            starting: [key("web", 2, 1)].into(),
            ..Busy::default()
        };
        let deleting = DesiredApp {
            deleting: true,
            ..app("web=1")
        };
        assert_eq!(paused(app("web=1"), web(true, 19), &rest, &[]), TICK);
        assert_eq!(paused(app("web=1"), web(true, 0), &rest, &["c0"]), FAST);
        assert_eq!(paused(app("web=1"), web(true, 0), &starts, &[]), FAST);
        assert_eq!(paused(app("web=1"), web(false, 19), &rest, &[]), FAST);
        assert_eq!(paused(app("web=1"), web(false, 0), &rest, &[]), SLOW);
        assert_eq!(paused(deleting, web(true, 0), &rest, &[]), SLOW);
    }
}

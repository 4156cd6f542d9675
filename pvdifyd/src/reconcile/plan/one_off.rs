//! What runs once: it is started once, followed to its end, and removed when its end is written down.
//!
//! - Its container stays until its end is in the database: whatever is killed before that, the next look finds it.
//! - One that was seen running is never started again, even if its container is gone: it may have done its work.
//! - One whose row has ended, or that has none, is stopped and removed.

use super::{Ended, Input, Plan, Step, exit, release::retire};
use crate::{
    engine::{EngineState, InstanceKey},
    reconcile::{
        desired::{DesiredApp, OneOff},
        observe::Instance,
        spec,
    },
};

/// Refused starts after which it will not start at all.
const REFUSALS: u32 = 3;

/// Plans all of an app that is not going.
pub(super) fn plan_one_offs(input: &Input<'_>, app: &DesiredApp, plan: &mut Plan) {
    let mine = || {
        let one_offs = input.observed.one_offs.iter();
        one_offs.filter(|instance| instance.engine.key.app == app.id)
    };
    let wanted: Vec<InstanceKey> = app
        .one_offs
        .iter()
        .map(|one_off| spec::one_off_key(app, one_off))
        .collect();
    for (one_off, key) in app.one_offs.iter().zip(&wanted) {
        let instance = mine().find(|instance| instance.engine.key == *key);
        plan_one(input, one_off, key, instance, plan);
    }
    for instance in mine().filter(|instance| !wanted.contains(&instance.engine.key)) {
        retire(input, instance, plan);
    }
}

fn plan_one(
    input: &Input<'_>,
    one_off: &OneOff,
    key: &InstanceKey,
    instance: Option<&Instance>,
    plan: &mut Plan,
) {
    if input.busy.starting.contains(key) {
        return;
    }
    let end = |exit_status: Option<i64>, failure: Option<String>| {
        let id = instance.map(|instance| instance.engine.id.clone());
        let ended = Ended { exit_status, failure };
        Step::End(id, key.clone(), ended)
    };
    let late = input.now >= one_off.deadline;
    let too_long = || format!("took longer than {} s", one_off.timeout.as_secs());
    let step = match instance.map(|instance| (instance, instance.engine.state)) {
        // Who removed it knows whether it had ended; nobody else does.
        None if one_off.is_running => Some(end(None, Some("was lost: its container is gone".to_owned()))),
        None | Some((_, EngineState::Created)) => start(input, one_off, key, end),
        Some((instance, _)) if input.busy.ending.contains(&instance.engine.id) => None,
        Some((instance, EngineState::Running)) if instance.engine.lost => {
            Some(end(None, Some("was lost: its monitor is gone".to_owned())))
        }
        Some((instance, EngineState::Running)) if late => {
            Some(Step::Halt(instance.engine.id.clone(), key.clone()))
        }
        Some((instance, EngineState::Running)) if !one_off.is_running => {
            let since = instance.engine.started_at.unwrap_or(input.now);
            Some(Step::Began(key.clone(), since))
        }
        Some((_, EngineState::Running | EngineState::Changing)) => None,
        Some((_, EngineState::Exited(0))) => Some(end(Some(0), None)),
        Some((_, EngineState::Exited(status))) if late => Some(end(Some(status), Some(too_long()))),
        Some((_, EngineState::Exited(status))) => {
            let how = exit::described(status, &one_off.spec.resources);
            Some(end(Some(status), Some(how)))
        }
    };
    plan.steps.extend(step);
}

fn start(
    input: &Input<'_>,
    one_off: &OneOff,
    key: &InstanceKey,
    end: impl FnOnce(Option<i64>, Option<String>) -> Step,
) -> Option<Step> {
    let (refusals, error) = input.crashes.refusals(key);
    let error = error.unwrap_or("the engine gave no reason");
    if refusals >= REFUSALS {
        return Some(end(None, Some(format!("could not be started: {error}"))));
    }
    if input.now >= one_off.deadline {
        return Some(end(None, Some(format!("could not be started in time: {error}"))));
    }
    let due = input.crashes.may_start(key, input.now);
    due.then(|| Step::Start(Box::new(spec::one_off(one_off, key))))
}

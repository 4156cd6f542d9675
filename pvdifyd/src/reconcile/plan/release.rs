//! One release's instances as its formation says: what is missing starts, what is lost or dead is removed, what is
//! too much or outdated retires.

use super::{Input, Plan, Step, Why, exclusive};
use crate::{
    engine::{EngineState, InstanceKey, InstanceKind},
    reconcile::{
        crash,
        desired::{DesiredApp, ReleaseSpec},
        handle::InstanceState,
        observe::Instance,
        spec,
    },
};
use pvdify_types::Formation;
use std::collections::{BTreeMap, BTreeSet};

/// Keeps one release's instances as its formation says.
pub(super) fn plan_release(
    input: &Input<'_>,
    app: &DesiredApp,
    release: &ReleaseSpec,
    formation: &Formation,
    mine: &[&Instance],
    plan: &mut Plan,
) {
    let wanted = spec::wanted(app, release, formation);
    let slots: BTreeSet<_> = wanted.iter().map(|key| (&key.process, key.ordinal)).collect();
    let mut stopped = BTreeSet::new();
    let mut outdated: BTreeMap<_, Vec<&Instance>> = BTreeMap::new();
    for instance in mine
        .iter()
        .copied()
        .filter(|instance| instance.engine.key.release == release.version)
    {
        let key = &instance.engine.key;
        if was_stopped(input, app, instance) {
            stopped.insert(&instance.engine.id);
            retire(input, instance, plan);
        } else if !slots.contains(&(&key.process, key.ordinal)) {
            retire(input, instance, plan);
        } else if !wanted.contains(key) {
            outdated
                .entry((&key.process, key.ordinal))
                .or_default()
                .push(instance);
        }
    }
    for key in &wanted {
        let mut same = mine
            .iter()
            .copied()
            .filter(|instance| instance.engine.key == *key);
        let kept = same.next();
        if kept.is_some_and(|instance| stopped.contains(&instance.engine.id)) {
            continue;
        }
        let up = plan_slot(input, release, key, kept, mine, plan);
        // Names are unique, so there is no second one; were there one, it would be too many.
        for instance in same {
            retire(input, instance, plan);
        }
        for instance in outdated.remove(&(&key.process, key.ordinal)).unwrap_or_default() {
            if up || key.exclusive || instance.state() == InstanceState::Crashed {
                retire(input, instance, plan);
            }
        }
    }
}

/// Whether a person asked to stop it since it was started.
fn was_stopped(input: &Input<'_>, app: &DesiredApp, instance: &Instance) -> bool {
    let key = &instance.engine.key;
    let asked = app.stopped_at(&key.process, key.ordinal, input.now);
    asked
        .zip(instance.engine.started_at)
        .is_some_and(|(asked, started)| started <= asked)
}

/// One instance that should run; true when it is up.
fn plan_slot(
    input: &Input<'_>,
    release: &ReleaseSpec,
    key: &InstanceKey,
    instance: Option<&Instance>,
    mine: &[&Instance],
    plan: &mut Plan,
) -> bool {
    if input.busy.starting.contains(key) {
        return false;
    }
    let Some(instance) = instance else {
        if input.crashes.may_start(key, input.now) && !exclusive::is_taken(key, mine, input.busy) {
            plan.steps
                .push(Step::Start(Box::new(spec::instance(release, key))));
        }
        return false;
    };
    let why = if instance.engine.lost {
        Some(Why::Lost)
    } else if input.crashes.is_looping(instance) {
        Some(Why::Looping)
    } else if crash::is_dead(instance, input.now) {
        Some(Why::Dead)
    } else {
        None
    };
    if let Some(why) = why {
        remove(input, instance, why, plan);
        return false;
    }
    instance.state() == InstanceState::Up
}

/// Takes an instance out of the route table, and stops it once it may be.
pub(super) fn retire(input: &Input<'_>, instance: &Instance, plan: &mut Plan) {
    let engine = &instance.engine;
    plan.retiring.insert(engine.id.clone());
    if input.busy.starting.contains(&engine.key) {
        return;
    }
    if engine.lost {
        remove(input, instance, Why::Lost, plan);
        return;
    }
    let serves = engine.key.kind == InstanceKind::Process
        && engine.key.process.is_web()
        && engine.state == EngineState::Running;
    if serves
        && !input
            .departures
            .may_stop(&engine.id, input.report, input.limits, input.now)
    {
        return;
    }
    if !input.busy.ending.contains(&engine.id) {
        plan.steps.push(Step::Stop(engine.id.clone(), engine.key.clone()));
    }
}

fn remove(input: &Input<'_>, instance: &Instance, why: Why, plan: &mut Plan) {
    let engine = &instance.engine;
    if !input.busy.ending.contains(&engine.id) {
        plan.steps
            .push(Step::Remove(engine.id.clone(), engine.key.clone(), why));
    }
}

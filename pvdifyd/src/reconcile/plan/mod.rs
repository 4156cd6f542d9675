//! What to do next: a function of what should run, what runs, the time, and nothing else.
//!
//! It plans one move at a time; after each the loop looks again, so a plan is never wrong for long and a
//! restart of pvdifyd needs no other path. What always holds:
//!
//! - the current release is not touched because of a candidate, which starts beside it, but for what has a volume to itself;
//! - an instance is replaced new before old: the old one retires when its successor is ready; the other way round where it
//!   has a volume to itself ([`exclusive`]);
//! - what retires leaves the route table first and is stopped once nothing is open to it;
//! - a candidate takes over when all its instances are ready, or fails as a whole;
//! - nothing of a candidate starts before its release command has ended well.

mod candidate;
mod exclusive;
mod exit;
mod one_off;
mod release;
mod step;
#[cfg(test)]
mod tests;

pub(super) use step::{Ended, Failure, Step, Why};

use super::{
    crash::CrashHistory,
    desired::DesiredApp,
    drain::{Departures, DrainLimits},
    gc::Orphans,
    observe::{Instance, Observed},
};
use crate::engine::InstanceKey;
use candidate::plan_candidate;
use one_off::plan_one_offs;
use pvdify_api::control::RouterReport;
use pvdify_types::{AppId, InstanceId};
use release::{plan_release, retire};
use std::{collections::BTreeSet, time::SystemTime};

/// All that a plan follows from.
pub(super) struct Input<'a> {
    pub(super) desired: &'a [DesiredApp],
    pub(super) observed: &'a Observed,
    pub(super) now: SystemTime,
    pub(super) crashes: &'a CrashHistory,
    pub(super) departures: &'a Departures,
    pub(super) limits: DrainLimits,
    pub(super) report: Option<&'a RouterReport>,
    pub(super) orphans: &'a Orphans,
    pub(super) busy: &'a Busy,
}

/// What is being done already.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy {
    pub(super) starting: BTreeSet<InstanceKey>,
    /// What a start of these needs is being made present.
    pub(super) preparing: BTreeSet<InstanceKey>,
    /// What a start of these needs was there.
    pub(super) prepared: BTreeSet<InstanceKey>,
    pub(super) ending: BTreeSet<InstanceId>,
}

/// The next moves, and what the route table must leave out.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) retiring: BTreeSet<InstanceId>,
}

/// Plans.
pub(super) fn plan(input: &Input<'_>) -> Plan {
    let mut plan = Plan::default();
    for app in input.desired {
        if app.deleting {
            plan_deleted(input, app, &mut plan);
        } else {
            plan_app(input, app, &instances_of(input, &app.id), &mut plan);
            plan_one_offs(input, app, &mut plan);
        }
    }
    for app in input.orphans.ripe(input.now) {
        for instance in all_of(input, app) {
            retire(input, instance, &mut plan);
        }
        plan_networks(input, app, &mut plan);
    }
    plan
}

fn instances_of<'a>(input: &Input<'a>, app: &AppId) -> Vec<&'a Instance> {
    let instances = input.observed.instances.iter();
    instances
        .filter(|instance| instance.engine.key.app == *app)
        .collect()
}

/// Of process types and of what runs once.
fn all_of<'a>(input: &Input<'a>, app: &AppId) -> Vec<&'a Instance> {
    let all = input.observed.all();
    all.filter(|instance| instance.engine.key.app == *app).collect()
}

fn plan_deleted(input: &Input<'_>, app: &DesiredApp, plan: &mut Plan) {
    for instance in all_of(input, &app.id) {
        retire(input, instance, plan);
    }
    if plan_networks(input, &app.id, plan) {
        plan.steps.push(Step::Forget(app.id.clone()));
    }
}

/// Removes an app's networks once it has no instance; true when none is left.
fn plan_networks(input: &Input<'_>, app: &AppId, plan: &mut Plan) -> bool {
    let starting = input.busy.starting.iter().any(|key| key.app == *app);
    let Some(networks) = input.observed.networks.as_ref().filter(|_| !starting) else {
        return false;
    };
    if !all_of(input, app).is_empty() {
        return false;
    }
    let before = plan.steps.len();
    let theirs = networks
        .iter()
        .filter(|network| network.app.as_ref() == Some(app));
    plan.steps
        .extend(theirs.map(|network| Step::RemoveNetwork(network.name.clone())));
    plan.steps.len() == before
}

fn plan_app(input: &Input<'_>, app: &DesiredApp, mine: &[&Instance], plan: &mut Plan) {
    let mut releases = BTreeSet::new();
    let gives_way = exclusive::gives_way(app, mine, input.busy);
    if let Some(current) = &app.current {
        releases.insert(current.version);
        match app.candidate.as_ref().filter(|_| gives_way) {
            None => plan_release(input, app, current, &app.formation, mine, plan),
            Some(candidate) => {
                let before = plan.steps.len();
                let formation = exclusive::others(current, &app.formation);
                plan_release(input, app, current, &formation, mine, plan);
                exclusive::tell(candidate.spec.version, &mut plan.steps[before..]);
            }
        }
    }
    if let Some(candidate) = &app.candidate {
        releases.insert(candidate.spec.version);
        plan_candidate(input, app, candidate, mine, gives_way, plan);
    }
    for instance in mine
        .iter()
        .filter(|instance| !releases.contains(&instance.engine.key.release))
    {
        retire(input, instance, plan);
    }
}

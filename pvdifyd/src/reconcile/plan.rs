//! What to do next: a function of what should run, what runs, the time, and nothing else.
//!
//! It plans one move at a time; after each the loop looks again, so a plan is never wrong for long and a
//! restart of pvdifyd needs no other path. What always holds:
//!
//! - the current release is never touched because of a candidate: a candidate only ever starts beside it;
//! - an instance is replaced new before old: the old one retires when its successor is ready;
//! - what retires leaves the route table first and is stopped once nothing is open to it;
//! - a candidate takes over when all its instances are ready, or fails as a whole.

#[cfg(test)]
mod tests;

use super::{
    crash::{self, CrashHistory},
    desired::{Candidate, DesiredApp, Readiness, ReleaseSpec},
    drain::{Departures, DrainLimits},
    gc::Orphans,
    handle::InstanceState,
    observe::{Instance, Observed},
    spec,
};
use crate::engine::{EngineState, InstanceKey, InstanceSpec};
use pvdify_api::control::RouterReport;
use pvdify_types::{AppId, Formation, InstanceId, ReleaseVersion};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::SystemTime,
};

/// Refused starts after which a candidate will not start at all.
const REFUSALS: u32 = 3;

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
    pub(super) ending: BTreeSet<InstanceId>,
}

/// One move; each may be made twice and then changes nothing.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Start(Box<InstanceSpec>),
    /// SIGTERM, grace, SIGKILL, remove.
    Stop(InstanceId, InstanceKey),
    /// Kill and remove.
    Remove(InstanceId, InstanceKey, Why),
    Activate(AppId, ReleaseVersion),
    Fail(AppId, ReleaseVersion, Failure),
    RemoveNetwork(String),
    Forget(AppId),
}

/// Why an instance is removed without a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its monitor is gone.
    Lost,
    /// It does not run and nobody will start it.
    Dead,
    /// It crashes again and again.
    Looping,
}

/// Why a candidate failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whose last lines tell more.
    pub(super) instance: Option<(InstanceId, InstanceKey)>,
    /// Heroku's own words for the instance's log, when it has some.
    pub(super) platform_line: Option<String>,
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
        let mine = instances_of(input, &app.id);
        if app.deleting {
            plan_deleted(input, app, &mine, &mut plan);
        } else {
            plan_app(input, app, &mine, &mut plan);
        }
    }
    for app in input.orphans.ripe(input.now) {
        for instance in instances_of(input, app) {
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

fn plan_deleted(input: &Input<'_>, app: &DesiredApp, mine: &[&Instance], plan: &mut Plan) {
    for instance in mine {
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
    if !instances_of(input, app).is_empty() {
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
    if let Some(current) = &app.current {
        releases.insert(current.version);
        plan_release(input, app, current, &app.formation, mine, plan);
    }
    if let Some(candidate) = &app.candidate {
        releases.insert(candidate.spec.version);
        plan_candidate(input, app, candidate, mine, plan);
    }
    for instance in mine
        .iter()
        .filter(|instance| !releases.contains(&instance.engine.key.release))
    {
        retire(input, instance, plan);
    }
}

fn plan_candidate(
    input: &Input<'_>,
    app: &DesiredApp,
    candidate: &Candidate,
    mine: &[&Instance],
    plan: &mut Plan,
) {
    let version = candidate.spec.version;
    let wanted = spec::wanted(app, &candidate.spec, &candidate.formation);
    let found = |key: &InstanceKey| mine.iter().copied().find(|instance| instance.engine.key == *key);
    for key in &wanted {
        let failure = failure(input, candidate, key, found(key));
        if let Some(failure) = failure {
            plan.steps.push(Step::Fail(app.id.clone(), version, failure));
            return;
        }
    }
    if wanted
        .iter()
        .all(|key| found(key).is_some_and(|instance| instance.state() == InstanceState::Up))
    {
        plan.steps.push(Step::Activate(app.id.clone(), version));
        return;
    }
    plan_release(input, app, &candidate.spec, &candidate.formation, mine, plan);
}

/// Whether, and why, one instance makes its candidate fail.
fn failure(
    input: &Input<'_>,
    candidate: &Candidate,
    key: &InstanceKey,
    instance: Option<&Instance>,
) -> Option<Failure> {
    let dyno = key.dyno();
    let whose = instance.map(|instance| (instance.engine.id.clone(), key.clone()));
    let failed = |reason: String| Failure {
        reason,
        instance: whose.clone(),
        platform_line: None,
    };
    if let Some(instance) = instance
        && (instance.engine.restarts > 0 || matches!(instance.engine.state, EngineState::Exited(_)))
    {
        return Some(failed(match instance.last_exit {
            Some(status) => format!("{dyno} exited with status {status}"),
            None => format!("{dyno} exited"),
        }));
    }
    let (refusals, error) = input.crashes.refusals(key);
    let error = error.unwrap_or("the engine gave no reason");
    if refusals >= REFUSALS {
        return Some(failed(format!("{dyno} could not be started: {error}")));
    }
    if instance.is_some_and(|instance| instance.state() == InstanceState::Up) {
        return None;
    }
    let start = instance.and_then(|instance| instance.engine.started_at);
    let is_late = start.is_some_and(|start| start + candidate.spec.start_timeout <= input.now);
    if input.now < candidate.deadline && !is_late {
        return None;
    }
    let Some(start) = start else {
        return Some(failed(match input.crashes.refusals(key) {
            (_, Some(error)) => format!("{dyno} could not be started in time: {error}"),
            (_, None) => format!("{dyno} was not started in time"),
        }));
    };
    let waited = input
        .now
        .duration_since(start)
        .unwrap_or_default()
        .as_secs_f64()
        .round();
    let port = candidate.spec.port;
    if !key.process.is_web() {
        return Some(failed(format!("{dyno} did not run in time")));
    }
    Some(match &candidate.spec.readiness {
        Readiness::Tcp => Failure {
            platform_line: Some(format!(
                "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within {waited} seconds of launch"
            )),
            ..failed(format!(
                "{dyno} did not listen on port {port} within {waited} seconds"
            ))
        },
        Readiness::Http(path) => failed(format!(
            "{dyno} did not answer GET {path} on port {port} with a status of 200 to 399 within {waited} seconds"
        )),
    })
}

/// Keeps one release's instances as its formation says.
fn plan_release(
    input: &Input<'_>,
    app: &DesiredApp,
    release: &ReleaseSpec,
    formation: &Formation,
    mine: &[&Instance],
    plan: &mut Plan,
) {
    let wanted = spec::wanted(app, release, formation);
    let slots: BTreeSet<_> = wanted.iter().map(|key| (&key.process, key.ordinal)).collect();
    let mut outdated: BTreeMap<_, Vec<&Instance>> = BTreeMap::new();
    for instance in mine
        .iter()
        .copied()
        .filter(|instance| instance.engine.key.release == release.version)
    {
        let key = &instance.engine.key;
        if !slots.contains(&(&key.process, key.ordinal)) {
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
        let up = plan_slot(input, release, key, kept, plan);
        // Names are unique, so there is no second one; were there one, it would be too many.
        for instance in same {
            retire(input, instance, plan);
        }
        for instance in outdated.remove(&(&key.process, key.ordinal)).unwrap_or_default() {
            if up || instance.state() == InstanceState::Crashed {
                retire(input, instance, plan);
            }
        }
    }
}

/// One instance that should run; true when it is up.
fn plan_slot(
    input: &Input<'_>,
    release: &ReleaseSpec,
    key: &InstanceKey,
    instance: Option<&Instance>,
    plan: &mut Plan,
) -> bool {
    if input.busy.starting.contains(key) {
        return false;
    }
    let Some(instance) = instance else {
        if input.crashes.may_start(key, input.now) {
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
fn retire(input: &Input<'_>, instance: &Instance, plan: &mut Plan) {
    let engine = &instance.engine;
    plan.retiring.insert(engine.id.clone());
    if input.busy.starting.contains(&engine.key) {
        return;
    }
    if engine.lost {
        remove(input, instance, Why::Lost, plan);
        return;
    }
    let serves = engine.key.process.is_web() && engine.state == EngineState::Running;
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |key: &InstanceKey| format!("{} {} of {}", key.dyno(), key.release, key.app_name);
        match self {
            Self::Start(spec) => write!(f, "start {}", named(&spec.key)),
            Self::Stop(id, key) => write!(f, "stop {} ({id})", named(key)),
            Self::Remove(id, key, why) => write!(f, "remove {} ({id}): {why:?}", named(key)),
            Self::Activate(app, version) => write!(f, "activate {version} of {app}"),
            Self::Fail(app, version, failure) => write!(f, "fail {version} of {app}: {}", failure.reason),
            Self::RemoveNetwork(name) => write!(f, "remove network {name}"),
            Self::Forget(app) => write!(f, "forget {app}"),
        }
    }
}

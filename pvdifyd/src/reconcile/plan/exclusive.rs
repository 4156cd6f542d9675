//! Types that have a volume to themselves: what was there stops before its successor starts.
//!
//! All such types of an app change over together, whatever volume each has: what an old one wrote, no other old one goes
//! on with beside the new. What always holds:
//!
//! - no instance that has a volume to itself starts while one of another release, or of another restart, is there;
//! - the current release gives way only when all else of the candidate is ready, its image is there and its volumes are: so
//!   little can go wrong meanwhile, and what can be known to fail interrupts nothing;
//! - a candidate that fails gives way in turn: its instances go, then the current release's start again.

use super::{Busy, Input, Plan, Step};
use crate::{
    engine::InstanceKey,
    reconcile::{
        desired::{Candidate, DesiredApp, ReleaseSpec},
        handle::InstanceState,
        observe::Instance,
        spec,
    },
};
use pvdify_types::{Formation, ReleaseVersion, volume::is_exclusive};

/// Whether the current release's have to make room for the candidate's.
pub(super) fn gives_way(app: &DesiredApp, mine: &[&Instance], busy: &Busy) -> bool {
    let Some(candidate) = &app.candidate else {
        return false;
    };
    let (own, beside_is_up) = parts(app, candidate, mine);
    let is_there = |key: &InstanceKey| mine.iter().any(|instance| instance.engine.key == *key);
    let is_prepared = |key: &InstanceKey| busy.prepared.contains(key);
    !own.is_empty() && (own.iter().any(is_there) || (beside_is_up && own.iter().all(is_prepared)))
}

/// Has there what a candidate's need, once they are all that it waits for.
pub(super) fn prepare(
    input: &Input<'_>,
    app: &DesiredApp,
    candidate: &Candidate,
    mine: &[&Instance],
    plan: &mut Plan,
) {
    let (own, beside_is_up) = parts(app, candidate, mine);
    let busy = input.busy;
    let due = |key: &&InstanceKey| {
        !busy.prepared.contains(*key)
            && !busy.preparing.contains(*key)
            && input.crashes.may_start(key, input.now)
    };
    for key in own.iter().filter(|_| beside_is_up).filter(due) {
        let spec = spec::instance(&candidate.spec, key);
        plan.steps.push(Step::Prepare(Box::new(spec)));
    }
}

/// A candidate's that have a volume to themselves, and whether all others are ready.
fn parts(app: &DesiredApp, candidate: &Candidate, mine: &[&Instance]) -> (Vec<InstanceKey>, bool) {
    let wanted = spec::wanted(app, &candidate.spec, &candidate.formation);
    let (own, beside): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|key| key.exclusive);
    let is_up = |key: &InstanceKey| {
        let mut all = mine.iter();
        all.any(|one| one.engine.key == *key && one.state() == InstanceState::Up)
    };
    let beside_is_up = beside.iter().all(is_up);
    (own, beside_is_up)
}

/// A formation without the types that have a volume to themselves.
pub(super) fn others(release: &ReleaseSpec, formation: &Formation) -> Formation {
    let mut others = formation.clone();
    others.retain(|process, _| !is_exclusive(&release.mounts, process));
    others
}

/// Whether something has what this one is to have to itself.
pub(super) fn is_taken(key: &InstanceKey, mine: &[&Instance], busy: &Busy) -> bool {
    let starting = busy.starting.iter().filter(|other| other.app == key.app);
    let there = mine.iter().map(|instance| &instance.engine.key);
    key.exclusive && there.chain(starting).any(|other| excludes(other, key))
}

fn excludes(other: &InstanceKey, key: &InstanceKey) -> bool {
    let round = |key: &InstanceKey| (key.release, key.restart_generation);
    let same_slot = other.process == key.process && other.ordinal == key.ordinal;
    other.exclusive && (round(other) != round(key) || (same_slot && other != key))
}

/// Whoever waits for the candidate is told of what stops for it.
pub(super) fn tell(candidate: ReleaseVersion, steps: &mut [Step]) {
    for step in steps {
        if let Step::Stop(instance, key) = step
            && key.exclusive
        {
            *step = Step::GiveWay(instance.clone(), key.clone(), candidate);
        }
    }
}

/// What the failure of a candidate meant for the release before it.
pub(super) fn aftermath(app: &DesiredApp, reason: &str) -> String {
    match &app.current {
        Some(current) => format!(
            "{reason}; {}, which had stopped for it because of a volume, starts again",
            current.version
        ),
        None => reason.to_owned(),
    }
}

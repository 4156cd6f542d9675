//! Which apps are at rest: something is to be done with one of their volumes, and nothing has it any more. Pure.
//!
//! Said of one look: what it saw, after what it read of the database, and what it knows to be starting. So a start that
//! was decided before the database said that nothing may run is either seen or known of.

use super::{desired::DesiredApp, observe::Observed, plan::Busy};
use crate::engine::InstanceKey;
use pvdify_types::AppId;
use std::collections::BTreeSet;

/// Those of which nothing but what may run is there.
pub(super) fn at_rest(desired: &[DesiredApp], observed: &Observed, busy: &Busy) -> BTreeSet<AppId> {
    let there = observed.instances.iter().map(|instance| &instance.engine.key);
    let all: Vec<&InstanceKey> = there.chain(&busy.starting).collect();
    let rests = |app: &&DesiredApp| {
        let mut own = all.iter().filter(|key| key.app == app.id);
        app.held && app.candidate.is_none() && own.all(|key| may_run(app, key))
    };
    desired.iter().filter(rests).map(|app| app.id.clone()).collect()
}

/// Of another release nobody says what it has.
fn may_run(app: &DesiredApp, key: &InstanceKey) -> bool {
    let current = app.current.as_ref().map(|current| current.version);
    current == Some(key.release) && app.formation.get(&key.process).is_some_and(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{app, instance, key, observed, release};
    use super::*;

    #[test]
    fn an_app_rests_when_nothing_is_there_or_comes_that_may_have_the_volume() {
        let mut held = app("worker=1");
        held.current = Some(release(2, &held));
        held.held = true;
        let rests = |app: &DesiredApp, keys: &[InstanceKey], starting: &[InstanceKey]| {
            let instances = keys.iter().map(|key| instance("c1", key.clone()));
            let busy = Busy {
                starting: starting.iter().cloned().collect(),
                ..Busy::default()
            };
            let apps = std::slice::from_ref(app);
            !at_rest(apps, &observed(instances.collect()), &busy).is_empty()
        };
        assert!(rests(&held, &[], &[]));
        assert!(rests(&held, &[key("worker", 1, 2)], &[]), "it has no volume");
        assert!(!rests(&held, &[key("web", 1, 2)], &[]));
        assert!(!rests(&held, &[], &[key("web", 1, 2)]));
        assert!(!rests(&held, &[key("worker", 1, 1)], &[]), "of an older release");
        held.held = false;
        assert!(!rests(&held, &[], &[]), "nobody asked");
    }
}

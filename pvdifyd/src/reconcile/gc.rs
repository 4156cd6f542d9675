//! What belongs to no app any more. Pure; only what bears this installation's label is ever looked at.
//!
//! An unknown app is not at once a deleted one: a container of a start that was under way while its app was
//! deleted shows up late. So an app must have been unknown for a while before anything of it is taken.

use super::{desired::DesiredApp, observe::Observed};
use pvdify_types::AppId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

/// How long an app must have been unknown.
const GRACE: Duration = Duration::from_secs(10);

/// Since when which unknown apps have something in the engine.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    since: BTreeMap<AppId, SystemTime>,
}

impl Orphans {
    /// Takes in one look.
    pub(super) fn observe(&mut self, desired: &[DesiredApp], observed: &Observed, now: SystemTime) {
        let networks = observed
            .networks
            .iter()
            .flatten()
            .filter_map(|network| network.app.as_ref());
        let present: BTreeSet<&AppId> = observed
            .all()
            .map(|instance| &instance.engine.key.app)
            .chain(networks)
            .filter(|app| !desired.iter().any(|desired| desired.id == **app))
            .collect();
        // Networks are not looked at each time: an app is forgotten only when it was looked for.
        let looked = observed.networks.is_some();
        let known: BTreeSet<&AppId> = desired.iter().map(|app| &app.id).collect();
        self.since
            .retain(|app, _| !known.contains(app) && (!looked || present.contains(app)));
        for app in present {
            self.since.entry(app.clone()).or_insert(now);
        }
    }

    /// Apps of which nothing should be left.
    pub(super) fn ripe(&self, now: SystemTime) -> impl Iterator<Item = &AppId> {
        self.since
            .iter()
            .filter(move |(_, since)| now.duration_since(**since).is_ok_and(|age| age >= GRACE))
            .map(|(app, _)| app)
    }

    /// Whether there is anything that will be ripe.
    pub(super) fn is_empty(&self) -> bool {
        self.since.is_empty()
    }
}

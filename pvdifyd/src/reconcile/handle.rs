//! What the rest of pvdifyd sees of the reconciler: wake it, look at what runs, follow the route table.
//!
//! A handle carries whole immutable values, never commands: whoever changes the database wakes the loop,
//! and the loop reads for itself what should run.

use crate::engine::InstanceKind;
use pvdify_api::control::RouterReport;
use pvdify_types::{AppId, InstanceId, ProcessType, ReleaseVersion, RouteTable};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::{Notify, watch};

/// What ran when the engine was last looked at.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Every instance of this installation.
    pub instances: Vec<ObservedInstance>,
    /// Apps whose volume something is to be done with, and of which nothing that has it runs or starts.
    pub at_rest: BTreeSet<AppId>,
}

/// One instance, as engine and probe see it.
#[derive(Clone, Debug)]
pub struct ObservedInstance {
    /// Of a process type, or of what runs once.
    pub kind: InstanceKind,
    /// The engine's id.
    pub id: InstanceId,
    /// Whose.
    pub app: AppId,
    /// Of which type.
    pub process: ProcessType,
    /// From 1: `web.1`.
    pub ordinal: u32,
    /// Of which release.
    pub release: ReleaseVersion,
    /// For people.
    pub state: InstanceState,
    /// How often the engine restarted it.
    pub restarts: u32,
    /// Since when it runs.
    pub started_at: Option<SystemTime>,
}

/// Heroku's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// Runs, not yet ready.
    Starting,
    /// Ready.
    Up,
    /// Exited, or waits for its next start.
    Crashed,
}

impl InstanceState {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Crashed => "crashed",
        }
    }
}

/// The reconciler from outside.
#[derive(Clone, Debug)]
pub struct Handle {
    wake: Arc<Notify>,
    observation: watch::Receiver<Arc<Observation>>,
    routes: watch::Receiver<Arc<RouteTable>>,
    report: watch::Sender<Option<RouterReport>>,
}

/// Whether the table routes to every ready `web` instance of this release of the app and to none of another.
fn shows_release(table: &RouteTable, observed: &Observation, app: &AppId, version: ReleaseVersion) -> bool {
    let web = observed
        .instances
        .iter()
        .filter(|instance| instance.app == *app && instance.process.is_web());
    let mut of_release = web.clone().filter(|instance| instance.release == version);
    let mut of_others = web.filter(|instance| instance.release != version);
    of_release.all(|instance| instance.state != InstanceState::Up || table.has_instance(&instance.id))
        && !of_others.any(|instance| table.has_instance(&instance.id))
}

/// The reconciler's own ends of a [`Handle`].
#[derive(Debug)]
pub struct HandleEnds {
    /// Notified when the database changed.
    pub wake: Arc<Notify>,
    /// Where to show what runs.
    pub observation: watch::Sender<Arc<Observation>>,
    /// Where to show the table.
    pub routes: watch::Sender<Arc<RouteTable>>,
    /// What the router said last.
    pub report: watch::Receiver<Option<RouterReport>>,
}

impl Handle {
    /// A handle and the ends that the loop keeps.
    #[must_use]
    pub fn new() -> (Self, HandleEnds) {
        let wake = Arc::new(Notify::new());
        let (observation_sender, observation) = watch::channel(Arc::default());
        let (routes_sender, routes) = watch::channel(Arc::default());
        let (report, report_receiver) = watch::channel(None);
        let ends = HandleEnds {
            wake: Arc::clone(&wake),
            observation: observation_sender,
            routes: routes_sender,
            report: report_receiver,
        };
        (
            Self {
                wake,
                observation,
                routes,
                report,
            },
            ends,
        )
    }

    /// The database changed: look now, not at the next tick. Many calls are one.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// What runs.
    #[must_use]
    pub fn observation(&self) -> Arc<Observation> {
        Arc::clone(&self.observation.borrow())
    }

    /// Follows what runs.
    #[must_use]
    pub fn observed(&self) -> watch::Receiver<Arc<Observation>> {
        self.observation.clone()
    }

    /// Follows the route table; its present value is there at once.
    #[must_use]
    pub fn routes(&self) -> watch::Receiver<Arc<RouteTable>> {
        self.routes.clone()
    }

    /// Waits until the router said that it serves a table with this release, and no other, of the app; for
    /// `limit` at most, as the router may be down; not at all when none ever said a word. Whoever is told "released" can ask the app at once.
    pub async fn wait_until_served(&self, app: &AppId, version: ReleaseVersion, limit: Duration) {
        let (mut observation, mut routes) = (self.observation.clone(), self.routes.clone());
        let mut report = self.report.subscribe();
        let served = async {
            loop {
                let table = Arc::clone(&routes.borrow_and_update());
                let observed = Arc::clone(&observation.borrow_and_update());
                let applied = report
                    .borrow_and_update()
                    .as_ref()
                    .map(|report| report.generation);
                let is_applied = applied.is_none_or(|generation| generation >= table.generation);
                if is_applied && shows_release(&table, &observed, app, version) {
                    return;
                }
                let changed = tokio::select! {
                    changed = observation.changed() => changed,
                    changed = routes.changed() => changed,
                    changed = report.changed() => changed,
                };
                if changed.is_err() {
                    return;
                }
            }
        };
        // The limit is as good an end as any: nothing depends on having been waited for.
        tokio::time::timeout(limit, served).await.ok();
    }

    /// Takes the router's word on what it serves and what drains.
    pub fn router_reports(&self, report: RouterReport) {
        self.report.send_replace(Some(report));
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_types::{Endpoint, Generation, Route};

    fn web(id: &str, release: u64, state: InstanceState) -> ObservedInstance {
        ObservedInstance {
            kind: InstanceKind::Process,
            id: id.parse().unwrap(),
            app: "a".parse().unwrap(),
            process: ProcessType::web(),
            ordinal: 1,
            release: ReleaseVersion(release),
            state,
            restarts: 0,
            started_at: None,
        }
    }

    fn table(generation: u64, instances: &[&str]) -> RouteTable {
        let endpoints = instances.iter().map(|id| Endpoint {
            address: "127.0.0.1:1".parse().unwrap(),
            instance: id.parse().unwrap(),
        });
        let route = Route {
            app: "demo".parse().unwrap(),
            endpoints: endpoints.collect(),
            maintenance: false,
        };
        RouteTable {
            generation: Generation(generation),
            hosts: [("h".to_owned(), 0)].into(),
            routes: vec![route],
        }
    }

    #[test]
    fn a_release_is_shown_when_all_of_it_and_nothing_else_is_routed_to() {
        let (up, starting) = (InstanceState::Up, InstanceState::Starting);
        let app = "a".parse().unwrap();
        let cases: [(&[ObservedInstance], &[&str], bool); 5] = [
            (&[web("old", 1, up), web("new", 2, up)], &["old"], false),
            (&[web("old", 1, up), web("new", 2, up)], &["new"], true),
            (&[web("new", 2, up), web("more", 2, up)], &["new"], false),
            (&[web("new", 2, up), web("slow", 2, starting)], &["new"], true),
            (&[], &[], true),
        ];
        for (instances, routed, shown) in cases {
            let observed = Observation {
                instances: instances.to_vec(),
                ..Observation::default()
            };
            assert_eq!(
                shows_release(&table(1, routed), &observed, &app, ReleaseVersion(2)),
                shown,
                "{routed:?}"
            );
        }
    }

    #[tokio::test]
    async fn served_means_that_the_router_said_so() {
        let (handle, ends) = Handle::new();
        let app: AppId = "a".parse().unwrap();
        let waiting = handle.clone();
        handle.router_reports(RouterReport {
            generation: Generation(6),
            draining: vec![],
        });
        let served = tokio::spawn(async move {
            waiting
                .wait_until_served(&app, ReleaseVersion(2), Duration::from_secs(3600))
                .await;
        });
        let instances = vec![web("new", 2, InstanceState::Up)];
        let observation = Observation {
            instances,
            ..Observation::default()
        };
        ends.observation.send_replace(Arc::new(observation));
        ends.routes.send_replace(Arc::new(table(7, &["new"])));
        tokio::task::yield_now().await;
        assert!(!served.is_finished());
        handle.router_reports(RouterReport {
            generation: Generation(7),
            draining: vec![],
        });
        served.await.unwrap();
    }
}

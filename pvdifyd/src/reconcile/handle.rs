//! What the rest of pvdifyd sees of the reconciler: wake it, look at what runs, follow the route table.
//!
//! A handle carries whole immutable values, never commands: whoever changes the database wakes the loop,
//! and the loop reads for itself what should run.

use pvdify_api::control::RouterReport;
use pvdify_types::{AppId, InstanceId, ProcessType, ReleaseVersion, RouteTable};
use std::{sync::Arc, time::SystemTime};
use tokio::sync::{Notify, watch};

/// What ran when the engine was last looked at.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Every instance of this installation.
    pub instances: Vec<ObservedInstance>,
}

/// One instance, as engine and probe see it.
#[derive(Clone, Debug)]
pub struct ObservedInstance {
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
        (Self { wake, observation, routes, report }, ends)
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

    /// Follows the route table; its present value is there at once.
    #[must_use]
    pub fn routes(&self) -> watch::Receiver<Arc<RouteTable>> {
        self.routes.clone()
    }

    /// Takes the router's word on what it serves and what drains.
    pub fn router_reports(&self, report: RouterReport) {
        self.report.send_replace(Some(report));
        self.wake.notify_one();
    }
}

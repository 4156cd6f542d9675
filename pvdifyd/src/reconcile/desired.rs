//! What should run: the reconciler's only view of the database, and the only changes it makes there.
//!
//! The reconciler knows no SQL and no HTTP. It loads all of [`DesiredApp`], compares it with what the
//! engine shows, and tells through [`ControlState`] what came of it.

use async_trait::async_trait;
use pvdify_types::{
    AppId, AppName, Binding, ConfigVars, Formation, Generation, ImageRef, InstallationId, OneOffName,
    OneOffStatus, ProcessType, ReleaseVersion, Resources, RouteTable, Selection, VolumeMount,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// An app as it should be.
#[derive(Clone, Debug)]
pub struct DesiredApp {
    /// For ever.
    pub id: AppId,
    /// For people, labels and hosts.
    pub name: AppName,
    /// It is being deleted: nothing of it should run.
    pub deleting: bool,
    /// What each process type of the serving release should have running.
    pub formation: Formation,
    /// The release that serves; `None` before the first.
    pub current: Option<ReleaseSpec>,
    /// The release that should take over once all of it is ready. At most one: others wait as `pending`.
    pub candidate: Option<Candidate>,
    /// What people asked of its instances.
    pub orders: Vec<Order>,
    /// Something is being done with one of its volumes: `formation` leaves out what has it, and it has no candidate.
    pub held: bool,
    /// Every host that should reach it, `NAME.DOMAIN` first.
    pub hosts: Vec<String>,
    /// Processes that should run once to their end, and have not ended.
    pub one_offs: Vec<OneOff>,
}

/// What a person asked of some instances; it stands, and who was started after it has obeyed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Of which.
    pub reach: Selection,
    /// Given once in an app: instances of a lower one are replaced, the new before the old.
    pub restart_generation: Option<u64>,
    /// Instances that were started before it are stopped, without a successor beside them.
    pub stopped_at: Option<SystemTime>,
}

impl DesiredApp {
    /// The generation that an instance has.
    #[must_use]
    pub fn restart_generation(&self, process: &ProcessType, ordinal: u32) -> u64 {
        let orders = self
            .orders
            .iter()
            .filter(|order| order.reach.covers(process, ordinal));
        orders
            .filter_map(|order| order.restart_generation)
            .max()
            .unwrap_or(0)
    }

    /// When it was last asked to stop an instance; what is not yet, by a clock that was set back, has no effect.
    #[must_use]
    pub fn stopped_at(&self, process: &ProcessType, ordinal: u32, now: SystemTime) -> Option<SystemTime> {
        let orders = self
            .orders
            .iter()
            .filter(|order| order.reach.covers(process, ordinal));
        orders
            .filter_map(|order| order.stopped_at)
            .filter(|at| *at <= now)
            .max()
    }
}

/// A process that should run once to its end.
#[derive(Clone, Debug)]
pub struct OneOff {
    /// Which.
    pub name: OneOffName,
    /// The release whose image, config and resources it has.
    pub spec: Arc<ReleaseSpec>,
    /// For the shell; of kind `release`, the process type's.
    pub command: String,
    /// It was seen running: then it is not started again.
    pub is_running: bool,
    /// When it must have ended, else it is stopped and has failed.
    pub deadline: SystemTime,
    /// The time it has, for people.
    pub timeout: Duration,
}

/// How a one-off process ended, and what it wrote last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOffEnd {
    /// `succeeded` or `failed`.
    pub status: OneOffStatus,
    /// Of its first process; `None` when it never ran or was lost.
    pub exit_status: Option<i64>,
    /// One line of why it failed, without its name.
    pub failure: Option<String>,
    /// Oldest first.
    pub output: Vec<String>,
}

/// A release on its way.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What to start.
    pub spec: ReleaseSpec,
    /// What each of its process types should have running.
    pub formation: Formation,
    /// When it must be ready, else it has failed.
    pub deadline: SystemTime,
    /// Its release command has not ended: until then nothing of it starts, and its time does not run.
    pub waits_for_command: bool,
}

/// All that is needed to run a release; the same spec gives the same containers.
#[derive(Clone, Debug)]
pub struct ReleaseSpec {
    /// Its number.
    pub version: ReleaseVersion,
    /// Pinned.
    pub image: ImageRef,
    /// Process type -> command line; empty: the image's own entrypoint and command.
    pub processes: BTreeMap<ProcessType, String>,
    /// Whether the image's own launcher starts each process; the command lines are then for people.
    pub launcher: bool,
    /// The config vars of this release.
    pub config: ConfigVars,
    /// What `web` listens on, given as `PORT`.
    pub port: u16,
    /// How `web` is found ready.
    pub readiness: Readiness,
    /// How long one instance may take from its start until it is ready.
    pub start_timeout: Duration,
    /// What one instance may use.
    pub resources: Resources,
    /// The pushed commit.
    pub commit: Option<String>,
    /// What else a process is told of it.
    pub about: About,
    /// The app's volumes, as they were mounted when it began to deploy.
    pub mounts: Vec<VolumeMount>,
}

/// What a process is told of its release, as on Heroku with the feature `runtime-dyno-metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// As `Deploy 1a2b3c4d`.
    pub description: String,
    /// The host that its app has from its name.
    pub host: String,
}

/// How a `web` instance is found ready. Other types are ready once they ran for a moment without exit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// A TCP connection is accepted.
    Tcp,
    /// An HTTP GET of this path answers 200-399.
    Http(String),
}

/// The reconciler's door to the database. Each call is one transaction and may be repeated.
#[async_trait]
pub trait ControlState: Send + Sync {
    /// This installation, as the containers' labels name it.
    fn installation(&self) -> &InstallationId;
    /// Everything that should run; turns the oldest `pending` release of an app that has none
    /// deploying into `deploying` first.
    async fn load(&self) -> Result<Vec<DesiredApp>>;
    /// What a release is bound to, as long as it runs or may yet run.
    async fn bindings(&self, app: &AppId, version: ReleaseVersion) -> Result<Vec<Binding>>;
    /// All instances of a candidate are ready and it takes over, together with its formation: it becomes
    /// `current`, the one before `superseded` (or `rolled_back`). Nothing happens when it is not `deploying`.
    async fn activate(&self, app: &AppId, version: ReleaseVersion) -> Result<()>;
    /// A candidate failed, with one line of why and the last log lines. Nothing happens when it is not open.
    async fn fail(
        &self,
        app: &AppId,
        version: ReleaseVersion,
        reason: String,
        log_tail: Vec<String>,
    ) -> Result<()>;
    /// A line for whoever waits for this release.
    async fn progress(&self, app: &AppId, version: ReleaseVersion, text: String);
    /// A one-off process was seen running. Nothing happens when it is not `pending`.
    async fn one_off_began(&self, app: &AppId, name: OneOffName, started_at: SystemTime) -> Result<()>;
    /// A one-off process ended. One of kind `release` that failed fails its release in the same transaction.
    /// Nothing happens when it has ended already.
    async fn one_off_ended(&self, app: &AppId, name: OneOffName, end: OneOffEnd) -> Result<()>;
    /// What a one-off process wrote that was stopped after it had ended in the database.
    async fn one_off_output(&self, app: &AppId, name: OneOffName, output: Vec<String>) -> Result<()>;
    /// A deleting app has nothing left in the engine: its rows may go.
    async fn forget(&self, app: &AppId) -> Result<()>;
    /// Saves a generation number before the table that bears it is shown to the router.
    async fn save_generation(&self, table: &RouteTable) -> Result<()>;
    /// The highest generation ever saved.
    async fn last_generation(&self) -> Result<Generation>;
}

/// A failure of the store or the engine: one sentence and its causes, for the log. The reconciler tries again.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// Of a step.
pub type Result<T> = std::result::Result<T, Error>;

//! Use cases: no HTTP, no SQL.
//!
//! [`App`] is the application, shared by all; [`Acting`] is it in the hands of someone, and each of its
//! methods asks the authoriser first. A use case is one transaction of the store, composed of the table
//! modules' functions, then a wake-up of the reconciler, which reads for itself what should run.

mod apps;
pub mod authorise;
mod bindings;
mod buildpacks;
mod builds;
mod config;
mod control_state;
mod domains;
mod error;
mod images;
pub mod key_rotation;
mod keys;
mod logs;
mod one_offs;
pub mod ports;
mod progress;
mod ps;
mod push;
mod reap;
mod releases;
mod rollback;
mod routes;
pub mod sessions;
mod setup;
mod stack;
pub mod tokens;
mod turns;
mod volumes;

pub use authorise::{Action, Principal, Scope};
pub use config::{ConfigChanged, Expected, Versioned};
pub use error::{Error, Kind, Result};
pub use logs::LogTail;
pub use push::Source;
pub use volumes::{VolumeChanged, VolumeError};

use crate::{
    engine::SessionEngine,
    logs::LogStore,
    reconcile::handle::Handle,
    store::{Secrets, Store},
    volumes::Volumes,
};
use ports::Images;
use progress::Hub;
use pvdify_api::logs::LogLine;
use pvdify_types::{AppId, AppName};
use std::{path::PathBuf, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many different images of releases that served are kept for an app, so that a rollback finds its own,
/// when nothing else is set.
pub const IMAGES_KEPT: usize = 10;

/// What the application is made of.
pub struct AppDeps {
    /// The database.
    pub store: Store,
    /// The keys of the config vars.
    pub secrets: Secrets,
    /// Builds and imports.
    pub images: Arc<dyn Images>,
    /// One-offs and commands inside instances.
    pub sessions: Arc<dyn SessionEngine>,
    /// The reconciler.
    pub handle: Handle,
    /// Log lines.
    pub logs: LogStore,
    /// The folders of volumes.
    pub volumes: Volumes,
    /// The rest.
    pub settings: Settings,
}

/// What a person may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Apps answer at `NAME.` and this.
    pub domain: String,
    /// `http` or `https`, in front of an app's host.
    pub web_scheme: &'static str,
    /// Behind an app's host; `None`: the scheme's own.
    pub web_port: Option<u16>,
    /// Where git pushes.
    pub ssh_host: String,
    /// Where git pushes.
    pub ssh_port: u16,
    /// Pushed sources wait here; emptied at start.
    pub build_dir: PathBuf,
    /// Limits.
    pub limits: Limits,
}

/// How much and how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of one pushed source tree, unpacked.
    pub source_bytes: u64,
    /// What must be free on the disk of `build_dir` before a build is taken.
    pub free_bytes: u64,
    /// Builds at one time, of all apps; more wait.
    pub parallel_builds: usize,
    /// Builds of one app that may wait; more are refused.
    pub waiting_builds: usize,
    /// Of one build.
    pub build_time: Duration,
    /// Of one import of an image.
    pub import_time: Duration,
    /// Of a release command, and of a postdeploy.
    pub command_time: Duration,
    /// Of what a person runs once.
    pub run_time: Duration,
    /// What people run once of one app at one time; more is refused.
    pub one_offs: usize,
    /// Beside the readiness timeout: fetching the image, starting the containers.
    pub start_time: Duration,
    /// How long `DELETE` of an app waits for its containers to be gone.
    pub delete_time: Duration,
    /// One-off processes of one app at one time; and as many sessions inside its instances.
    pub sessions: usize,
    /// Of one session.
    pub session_time: Duration,
    /// In which a session reads or writes nothing.
    pub session_idle: Duration,
    /// Different images of releases that served, of one app: what garbage collection keeps and a rollback may
    /// return to.
    pub images_kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 1 << 30,
            free_bytes: 1 << 30,
            parallel_builds: 2,
            waiting_builds: 10,
            build_time: Duration::from_secs(3600),
            import_time: Duration::from_secs(900),
            command_time: Duration::from_secs(3600),
            run_time: Duration::from_secs(24 * 3600),
            one_offs: 10,
            start_time: Duration::from_secs(60),
            delete_time: Duration::from_secs(10),
            sessions: 10,
            session_time: Duration::from_secs(24 * 3600),
            session_idle: Duration::from_secs(3600),
            images_kept: IMAGES_KEPT,
        }
    }
}

/// The application.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    secrets: Arc<Secrets>,
    images: Arc<dyn Images>,
    handle: Handle,
    logs: LogStore,
    volumes: Volumes,
    settings: Settings,
    progress: Hub,
    builds: turns::Turns,
    rebases: stack::Rebases,
    /// One rotation of the sealing key at a time.
    rotating: tokio::sync::Mutex<()>,
    sessions: sessions::Sessions,
    /// An app was forgotten: whoever waits for one looks again.
    forgotten: Notify,
    closing: CancellationToken,
}

/// The application in someone's hands.
#[derive(Clone)]
pub struct Acting {
    app: App,
    principal: Principal,
}

impl App {
    /// Puts it together. [`App::reap`] comes next, before anything is served.
    #[must_use]
    pub fn new(deps: AppDeps) -> Self {
        Self {
            inner: Arc::new(Inner {
                builds: turns::Turns::new(deps.settings.limits.parallel_builds),
                store: deps.store,
                secrets: Arc::new(deps.secrets),
                images: deps.images,
                handle: deps.handle,
                logs: deps.logs,
                volumes: deps.volumes,
                settings: deps.settings,
                progress: Hub::default(),
                rebases: stack::Rebases::default(),
                rotating: tokio::sync::Mutex::default(),
                sessions: sessions::Sessions::new(deps.sessions),
                forgotten: Notify::new(),
                closing: CancellationToken::new(),
            }),
        }
    }

    /// The application as `principal` may use it.
    #[must_use]
    pub fn acting(&self, principal: Principal) -> Acting {
        Acting {
            app: self.clone(),
            principal,
        }
    }

    /// Ends every open stream, so that servers can stop.
    pub fn close(&self) {
        self.inner.closing.cancel();
    }

    /// Cancelled by [`App::close`].
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.inner.closing.clone()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The host that an app has from its name.
    fn default_host(&self, name: &AppName) -> String {
        format!("{name}.{}", self.settings().domain)
    }

    fn web_url(&self, name: &AppName) -> String {
        let (scheme, host) = (self.settings().web_scheme, self.default_host(name));
        match self.settings().web_port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }

    fn git_url(&self, name: &AppName) -> String {
        format!(
            "ssh://git@{}:{}/{name}.git",
            self.settings().ssh_host,
            self.settings().ssh_port
        )
    }

    /// Says something of an app in its log.
    fn note(&self, app: &AppId, message: String) {
        let line = LogLine {
            time: OffsetDateTime::now_utc(),
            source: "pvdify".to_owned(),
            process: "api".to_owned(),
            message,
        };
        self.inner.logs.append(app, line);
    }
}

impl Acting {
    /// The name that a release bears as its `user`.
    #[must_use]
    pub fn user(&self) -> &str {
        match &self.principal {
            Principal::LocalDev => "dev",
            Principal::Token { name, .. } => name,
            Principal::ControlPeer => "control",
        }
    }
}

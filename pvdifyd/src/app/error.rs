//! Every way a use case can refuse or fail: one variant for each message, each with a stable code and, where
//! there is something to do, a hint. HTTP gives the status by [`Kind`]; nothing here knows of HTTP.

use super::{VolumeError, authorise::Scope};
use crate::{store, volumes::CopyError};
use pvdify_types::{AppName, ConfigVersion, Hostname, ReleaseStatus, ReleaseVersion};
use thiserror::Error;

/// A use case's result.
pub type Result<T> = std::result::Result<T, Error>;

/// What sort of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    NotFound,
    Conflict,
    /// Not the version that the change is for.
    Changed,
    Invalid,
    Forbidden,
    TooLarge,
    DiskFull,
    /// Ours; the log has the cause.
    Internal,
}

/// Why not.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Also for an app that the caller may not know of.
    #[error("there is no app {0:?}")]
    NoApp(String),
    #[error("{app} has no release {version}")]
    NoRelease { app: AppName, version: String },
    #[error("{app} has no domain {domain:?}")]
    NoDomain { app: AppName, domain: String },
    #[error("{app} has no binding {binding:?}")]
    NoBinding { app: AppName, binding: String },
    #[error("{app} has no config var {key:?}")]
    NoConfigVar { app: AppName, key: String },
    #[error("{app} has no config version {version}")]
    NoConfigVersion { app: AppName, version: String },
    #[error("{app} has no instance {instance:?} that runs")]
    NotRunning { app: AppName, instance: String },
    #[error("there is no SSH key {0:?}")]
    NoKey(String),
    #[error("there is no token {0:?}")]
    NoToken(String),

    #[error("the name {0:?} is taken")]
    NameTaken(AppName),
    #[error("{0} is being deleted")]
    Deleting(AppName),
    #[error("the domain {0} is in use")]
    DomainTaken(Hostname),
    #[error("the domain {0} is already one of this app's")]
    DomainYours(Hostname),
    #[error("{0} is the app's own host and can't be removed")]
    DomainOwn(String),
    #[error("{host} can't be added: hosts right below {domain} belong to the apps of that name")]
    DomainReserved { host: Hostname, domain: String },
    #[error("an app has at most {0} domains")]
    DomainQuota(u64),
    #[error("this SSH key is registered already, as {0:?}")]
    KeyTaken(String),
    #[error("a token named {0:?} exists already")]
    TokenTaken(String),
    #[error("nothing was deployed to {0} yet")]
    NothingDeployed(AppName),
    #[error("{app} {version} never served: it is {status}")]
    NeverServed {
        app: AppName,
        version: ReleaseVersion,
        status: ReleaseStatus,
    },
    #[error("{app} {version} is what serves now")]
    AlreadyCurrent { app: AppName, version: ReleaseVersion },
    #[error("{app} has no process {process}: it is scaled to {scaled}")]
    NoInstance {
        app: AppName,
        process: String,
        scaled: String,
    },
    #[error("no one-off process {name} of {app} runs")]
    NoOneOff { app: AppName, name: String },
    #[error("{0} one-off processes of {1} run already")]
    TooManyOneOffs(usize, AppName),
    #[error("{app} {version} has ended: it is {status}")]
    ReleaseEnded {
        app: AppName,
        version: ReleaseVersion,
        status: ReleaseStatus,
    },
    #[error("{app} {version} ran no release command")]
    NoReleaseCommand { app: AppName, version: ReleaseVersion },
    #[error("{0} has no earlier release to return to")]
    NoEarlier(AppName),
    #[error("the image of {app} {version} is no longer kept: only those of the last {keep} are")]
    ImageGone {
        app: AppName,
        version: ReleaseVersion,
        keep: usize,
    },
    #[error("{0} builds of {1} are waiting already")]
    BuildQueueFull(usize, AppName),
    /// By then: of this version.
    #[error("the config vars of {app} were changed meanwhile: they are of version {}", .version.0)]
    ConfigChanged { app: AppName, version: ConfigVersion },
    #[error("{app} has {limit} {what} already, and at most so many at a time")]
    SessionQuota {
        app: AppName,
        limit: usize,
        what: &'static str,
    },
    #[error("{name} could not be started: {reason}")]
    NotStarted { name: String, reason: String },

    /// What was given breaks a rule; the text names it.
    #[error("{0}")]
    Invalid(String),
    /// The same, where there is more to say.
    #[error("{message}")]
    InvalidWithHint { message: String, hint: String },
    #[error("{app} has no process type {process:?}")]
    NoProcessType {
        app: AppName,
        process: String,
        known: String,
    },

    #[error(transparent)]
    Volume(#[from] VolumeError),

    #[error("this needs a token of scope {needs}, the one given has {has}")]
    Scope { needs: Scope, has: Scope },
    #[error("this is not for {0}")]
    NotForYou(&'static str),

    #[error("the source has more than {limit_mib} MiB")]
    SourceTooLarge { limit_mib: u64 },
    #[error("the disk is too full: {need_mib} MiB are needed in {dir}, {free_mib} MiB are free")]
    DiskFull {
        dir: String,
        need_mib: u64,
        free_mib: u64,
    },
    #[error("the disk is full: nothing was saved")]
    DatabaseDiskFull,

    #[error(transparent)]
    KeyFile(#[from] store::KeyFileError),
    /// A value, while the sealing key is rotated.
    #[error("{0}; the old key is kept")]
    Unopened(String),
    #[error("the database failed: nothing was changed")]
    Store(#[source] store::Error),
    #[error("can't {doing}: {source}")]
    Io {
        doing: &'static str,
        source: std::io::Error,
    },
    #[error("can't copy {}: {source}", path.display())]
    Copy {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        if error.is_disk_full() {
            Self::DatabaseDiskFull
        } else {
            Self::Store(error)
        }
    }
}

impl Error {
    #[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
    pub(super) fn invalid(reason: impl ToString) -> Self {
        Self::Invalid(reason.to_string())
    }

    pub(super) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| {
            if is_disk_full(&source) {
                Self::DatabaseDiskFull
            } else {
                Self::Io { doing, source }
            }
        }
    }

    pub(super) fn copy(error: CopyError) -> Self {
        let CopyError { path, source } = error;
        if is_disk_full(&source) {
            Self::DatabaseDiskFull
        } else {
            Self::Copy { path, source }
        }
    }

    /// What sort it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoApp(_)
            | Self::NoRelease { .. }
            | Self::NoDomain { .. }
            | Self::NoBinding { .. }
            | Self::NoReleaseCommand { .. }
            | Self::NoInstance { .. }
            | Self::NoOneOff { .. }
            | Self::NoConfigVar { .. }
            | Self::NoConfigVersion { .. }
            | Self::NotRunning { .. }
            | Self::NoKey(_)
            | Self::NoToken(_) => Kind::NotFound,
            Self::NameTaken(_)
            | Self::Deleting(_)
            | Self::DomainTaken(_)
            | Self::DomainYours(_)
            | Self::DomainOwn(_)
            | Self::DomainReserved { .. }
            | Self::DomainQuota(_)
            | Self::KeyTaken(_)
            | Self::TokenTaken(_)
            | Self::NothingDeployed(_)
            | Self::NeverServed { .. }
            | Self::AlreadyCurrent { .. }
            | Self::NoEarlier(_)
            | Self::ReleaseEnded { .. }
            | Self::TooManyOneOffs(..)
            | Self::ImageGone { .. }
            | Self::BuildQueueFull(..)
            | Self::SessionQuota { .. }
            | Self::NotStarted { .. } => Kind::Conflict,
            Self::ConfigChanged { .. } => Kind::Changed,
            Self::Invalid(_) | Self::InvalidWithHint { .. } | Self::NoProcessType { .. } => Kind::Invalid,
            Self::Scope { .. } | Self::NotForYou(_) => Kind::Forbidden,
            Self::SourceTooLarge { .. } => Kind::TooLarge,
            Self::DiskFull { .. } | Self::DatabaseDiskFull => Kind::DiskFull,
            Self::Volume(error) => error.kind(),
            Self::KeyFile(_) | Self::Unopened(_) | Self::Store(_) | Self::Io { .. } | Self::Copy { .. } => {
                Kind::Internal
            }
        }
    }

    /// The stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NameTaken(_) | Self::KeyTaken(_) | Self::TokenTaken(_) => "taken",
            Self::DomainTaken(_) | Self::DomainYours(_) => "domain_taken",
            Self::Deleting(_) => "deleting",
            Self::NothingDeployed(_) => "nothing_deployed",
            Self::ImageGone { .. } => "image_gone",
            Self::DomainQuota(_) | Self::SessionQuota { .. } => "quota",
            Self::NotStarted { .. } => "not_started",
            Self::BuildQueueFull(..) | Self::TooManyOneOffs(..) => "busy",
            Self::ConfigChanged { .. } => "config_changed",
            Self::Volume(error) if error.code().is_some() => error.code().unwrap_or_default(),
            _ => match self.kind() {
                Kind::NotFound => "not_found",
                Kind::Conflict => "conflict",
                Kind::Changed => "precondition_failed",
                Kind::Invalid => "invalid_params",
                Kind::Forbidden => "forbidden",
                Kind::TooLarge => "too_large",
                Kind::DiskFull => "disk_full",
                Kind::Internal => "internal",
            },
        }
    }

    /// What to do next; empty where there is nothing to say.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoApp(_) => "list the apps with pvdify apps".into(),
            Self::NoRelease { app, .. } => format!("list them with pvdify releases {app}"),
            Self::NoInstance { app, .. } | Self::NoOneOff { app, .. } | Self::NotRunning { app, .. } => {
                format!("list what runs with pvdify ps {app}")
            }
            Self::TooManyOneOffs(_, app) => format!("wait for one, or end one: pvdify ps:stop {app} NAME"),
            Self::NoReleaseCommand { .. } => "a Procfile's line `release: COMMAND` is one".into(),
            Self::ReleaseEnded { app, .. } => format!("to return to another: pvdify rollback {app} VERSION"),
            Self::NoDomain { app, .. } => format!("list them with pvdify domains {app}"),
            Self::NoBinding { app, .. } => format!("list them with pvdify bindings {app}"),
            Self::NoConfigVar { app, .. } => format!("list them with pvdify config {app}"),
            Self::NoConfigVersion { app, .. } => format!("list them with pvdify config:versions {app}"),
            Self::ConfigChanged { .. } => "read them again, and apply the change to those".into(),
            Self::SessionQuota { app, .. } => format!("end one first; see them with pvdify ps {app}"),
            Self::NoKey(_) => "list them with pvdify keys".into(),
            Self::NameTaken(_) => "choose another name".into(),
            Self::Deleting(_) => "try again in a moment".into(),
            Self::DomainTaken(_) => "remove it from the app that has it first".into(),
            Self::DomainReserved { .. } => "create an app of that name, or use another domain".into(),
            Self::NothingDeployed(app) => {
                format!("push with git, or give an image: pvdify deploy {app} --image IMAGE")
            }
            Self::NeverServed { app, .. }
            | Self::AlreadyCurrent { app, .. }
            | Self::ImageGone { app, .. } => {
                format!("see which release served with pvdify releases {app}")
            }
            Self::NoEarlier(app) => format!("name one: pvdify rollback {app} VERSION"),
            Self::BuildQueueFull(..) => "push again when they are done".into(),
            Self::InvalidWithHint { hint, .. } => hint.clone(),
            Self::NoProcessType { known, .. } => format!("it has {known}"),
            Self::Scope { needs, .. } => {
                format!("make one on the server: pvdifyd token create --scope {needs} NAME")
            }
            Self::SourceTooLarge { .. } => "leave build results and data out of git".into(),
            Self::DiskFull { .. } | Self::DatabaseDiskFull => "free some space and try again".into(),
            Self::Volume(error) => error.hint(),
            Self::Store(_) | Self::Io { .. } | Self::Copy { .. } => "the server's log has the cause".into(),
            _ => String::new(),
        }
    }
}

/// ENOSPC, EDQUOT
fn is_disk_full(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(28 | 122))
}

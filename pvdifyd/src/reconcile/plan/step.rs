//! The moves that a plan is made of, and how they read in the log.

use crate::engine::{InstanceKey, InstanceSpec};
use pvdify_types::{AppId, InstanceId, ReleaseVersion};
use std::{fmt, time::SystemTime};

/// One move; each may be made twice and then changes nothing.
#[derive(Clone, Debug)]
pub(in crate::reconcile) enum Step {
    Start(Box<InstanceSpec>),
    /// Have all there that its start needs.
    Prepare(Box<InstanceSpec>),
    /// SIGTERM, grace, SIGKILL, remove.
    Stop(InstanceId, InstanceKey),
    /// The same, of the release that serves, so that this candidate can have its volume.
    GiveWay(InstanceId, InstanceKey, ReleaseVersion),
    /// Kill and remove.
    Remove(InstanceId, InstanceKey, Why),
    Activate(AppId, ReleaseVersion),
    Fail(AppId, ReleaseVersion, Failure),
    /// A one-off process is seen running for the first time.
    Began(InstanceKey, SystemTime),
    /// SIGTERM, grace, SIGKILL for a one-off process whose time is over; it stays, and is seen as exited.
    Halt(InstanceId, InstanceKey),
    /// A one-off process ended: keep what it wrote, write down how it ended, remove it.
    End(Option<InstanceId>, InstanceKey, Ended),
    RemoveNetwork(String),
    Forget(AppId),
}

/// How a one-off process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reconcile) struct Ended {
    /// `None`: it never ran, or nobody knows.
    pub(in crate::reconcile) exit_status: Option<i64>,
    /// One line of why it failed; `None`: it did not.
    pub(in crate::reconcile) failure: Option<String>,
}

/// Why an instance is removed without a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reconcile) enum Why {
    /// Its monitor is gone.
    Lost,
    /// It does not run and nobody will start it.
    Dead,
    /// It crashes again and again.
    Looping,
}

/// Why a candidate failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reconcile) struct Failure {
    pub(in crate::reconcile) reason: String,
    /// Whose last lines tell more.
    pub(in crate::reconcile) instance: Option<(InstanceId, InstanceKey)>,
    /// Heroku's own words for the instance's log, when it has some.
    pub(in crate::reconcile) platform_line: Option<String>,
    /// The port that it did not listen on: where it listens instead tells why.
    pub(in crate::reconcile) silent_port: Option<u16>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |key: &InstanceKey| format!("{} {} of {}", key.dyno(), key.release, key.app_name);
        match self {
            Self::Start(spec) => write!(f, "start {}", named(&spec.key)),
            Self::Prepare(spec) => write!(f, "prepare {}", named(&spec.key)),
            Self::Stop(id, key) => write!(f, "stop {} ({id})", named(key)),
            Self::GiveWay(id, key, to) => write!(f, "stop {} ({id}) for {to}", named(key)),
            Self::Remove(id, key, why) => write!(f, "remove {} ({id}): {why:?}", named(key)),
            Self::Activate(app, version) => write!(f, "activate {version} of {app}"),
            Self::Fail(app, version, failure) => write!(f, "fail {version} of {app}: {}", failure.reason),
            Self::Began(key, ..) => write!(f, "{} of {} began", key.dyno(), key.app_name),
            Self::Halt(id, key) => write!(f, "halt {} of {} ({id})", key.dyno(), key.app_name),
            Self::End(_, key, Ended { failure: None, .. }) => {
                write!(f, "{} of {} ended", key.dyno(), key.app_name)
            }
            Self::End(
                _,
                key,
                Ended {
                    failure: Some(why), ..
                },
            ) => {
                write!(f, "{} of {} failed: {why}", key.dyno(), key.app_name)
            }
            Self::RemoveNetwork(name) => write!(f, "remove network {name}"),
            Self::Forget(app) => write!(f, "forget {app}"),
        }
    }
}

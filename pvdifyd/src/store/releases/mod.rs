//! The table `releases`: what a row holds, how it is read ([`read`]) and how it is written ([`write`]).
//!
//! A row grows in one direction: what was asked for, then the code, then how it runs, then how it ended.
//! Each part is `None` before its step, so a value that is not known yet can't be taken for one that is.

mod read;
mod write;

pub use read::{
    all_with_status, any_failed, any_served, current, due, find, list, newest_live, open, with_status,
};
pub use write::{change, insert, set_code, set_config, set_failure, set_fixed};

use pvdify_types::{
    ConfigVersion, ImageRef, ProcessType, ReleaseCause, ReleaseStatus, ReleaseVersion, Resources, VolumeMount,
};
use std::collections::BTreeMap;

/// What a release runs: the image and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Code {
    pub image: ImageRef,
    pub processes: BTreeMap<ProcessType, String>,
    pub exposed_port: Option<u16>,
    /// Of the image's app.json.
    pub healthcheck_path: Option<String>,
    pub healthcheck_timeout: Option<u32>,
    /// Whether the image's own launcher starts its processes; the commands are then for people.
    pub launcher: bool,
    /// Of its app.json: for the shell, once after the app's first deploy.
    pub postdeploy: Option<String>,
    pub commit: Option<String>,
}

/// How a release runs, fixed when it starts to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Fixed {
    pub port: u16,
    /// An HTTP path; `None`: a TCP connection.
    pub readiness: Option<String>,
    pub resources: Resources,
    pub start_timeout: u32,
    pub deadline: i64,
    pub mounts: Vec<VolumeMount>,
}

/// A release.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Release {
    pub version: ReleaseVersion,
    pub status: ReleaseStatus,
    pub cause: ReleaseCause,
    /// What was asked for: an image reference, or a commit.
    pub reference: String,
    /// `None` while it is imported, and when that failed.
    pub code: Option<Code>,
    pub config_version: ConfigVersion,
    /// Of a rollback: the app's config version before it.
    pub config_before: Option<ConfigVersion>,
    /// `None` before it deploys.
    pub fixed: Option<Fixed>,
    pub description: String,
    pub user: String,
    pub failure: Option<String>,
    pub log_tail: Vec<String>,
    pub created_at: i64,
}

/// A release to be.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct New {
    pub status: ReleaseStatus,
    pub cause: ReleaseCause,
    pub reference: String,
    pub code: Option<Code>,
    pub config_version: ConfigVersion,
    pub config_before: Option<ConfigVersion>,
    pub description: String,
    pub user: String,
}

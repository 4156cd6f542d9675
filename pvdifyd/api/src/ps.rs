//! `/apps/{name}/ps`.

use pvdify_types::ProcessType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A process type of the current release, or all one-off processes of a kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Process {
    #[schema(value_type = String)]
    #[serde(rename = "type")]
    /// `web`, `worker`, ...
    pub process_type: ProcessType,
    /// How many should run.
    pub count: u32,
    /// As the Procfile gives it; empty: the image's own.
    pub command: String,
    /// `running`, `stopped`, `starting` or `crashed`.
    pub status: String,
    /// Those that run.
    pub instances: Vec<Instance>,
}

/// One running instance.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// As `web.1`.
    pub name: String,
    /// `starting`, `up` or `crashed`.
    pub state: String,
    /// The release it is of.
    pub release: u64,
    /// How often the engine restarted it.
    pub restarts: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    /// Since when it runs.
    pub started_at: Option<OffsetDateTime>,
    /// Of a one-off process: what it runs.
    pub command: Option<String>,
}

/// `POST /apps/{name}/ps/restart`; the body may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// A process type (`web`) or one instance (`web.1`); `null`: every instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
}

/// `POST /apps/{name}/ps/stop`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stop {
    /// A process type (`web`), one instance (`web.1`), or a one-off process (`run.1001`).
    pub process: String,
}

/// `POST /apps/{name}/ps/scale`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Process type -> count; types left out stay.
    pub processes: BTreeMap<String, i64>,
}

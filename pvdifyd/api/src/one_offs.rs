//! `/apps/{name}/one-offs`: processes that run once to their end.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A process that runs once: a release command, a postdeploy, a cron job, or what a person runs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OneOff {
    /// As `run.1001`.
    pub name: String,
    /// The command line.
    pub command: String,
    /// `pending`, `running`, `succeeded`, `failed` or `cancelled`.
    pub status: String,
    /// The release whose image and config vars it has.
    pub release: u64,
    /// Of its first process, once it has exited.
    pub exit_status: Option<i64>,
    /// One line of why it failed.
    pub failure: Option<String>,
    /// Who asked for it.
    pub user: String,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was asked for.
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    /// When it was first seen running.
    pub started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    /// When it had ended.
    pub ended_at: Option<OffsetDateTime>,
    /// The last lines that it wrote, up to now; not in lists.
    pub output: Option<String>,
}

/// `POST /apps/{name}/one-offs`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunOneOff {
    /// A command line, for the shell in the image.
    pub command: String,
}

//! `/apps/{name}/logs`: a JSON array of lines, or with `follow=true` server-sent events, one line each.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    #[serde(with = "time::serde::rfc3339")]
    /// When it was written.
    pub time: OffsetDateTime,
    /// `app` for what the process wrote, `pvdify` for what Pvdify says of it.
    pub source: String,
    /// As `web.1`.
    pub process: String,
    /// Without line end; control characters but tab are replaced, so that a terminal shows it inert.
    pub message: String,
}

/// The query.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// How many of the last lines, 1 to 10000; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Go on with new lines as server-sent events.
    #[serde(default)]
    pub follow: bool,
    /// A process type (`web`) or one instance (`web.1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// `app` or `pvdify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// RFC 3339; only lines at or after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

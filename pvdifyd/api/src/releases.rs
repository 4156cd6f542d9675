//! `/apps/{name}/releases` and `/apps/{name}/rollback`.

use pvdify_types::{ReleaseCause, ReleaseStatus, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A release.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Release {
    #[schema(value_type = u64)]
    /// Its number within the app.
    pub version: ReleaseVersion,
    /// Pinned by digest.
    pub image: String,
    #[schema(value_type = String)]
    /// `building`, `pending`, `deploying`, `current`, `failed`, `superseded` or `rolled_back`.
    pub status: ReleaseStatus,
    #[schema(value_type = Object)]
    /// Why it exists.
    pub cause: ReleaseCause,
    /// One line, as `Deploy 1a2b3c4d` or `Set A, B config vars`.
    pub description: String,
    /// The pushed commit, 40 hex digits.
    pub commit: Option<String>,
    /// Process type -> command line; empty: the image's own. Nothing while it is being built.
    pub processes: BTreeMap<String, String>,
    /// Which set of the app's config vars it has.
    pub config_version: u64,
    /// Who did it: a key's or token's name.
    pub user: String,
    /// Why it failed.
    pub failure: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// `POST /apps/{name}/releases`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRelease {
    /// An image reference; a tag is resolved to its digest once, now.
    pub image: String,
}

/// `POST /apps/{name}/rollback`; the body may be left out.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The release to return to; `null`: the one that served before.
    #[serde(default)]
    pub version: Option<u64>,
}

/// One server-sent event of a release's progress: each `data:` is one of these as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReleaseEvent {
    /// A line for the person.
    Line {
        /// Without line end.
        text: String,
    },
    /// The last event: `current` or `failed` (or what a later release made of it).
    Done {
        #[schema(value_type = String)]
        /// How it ended.
        status: ReleaseStatus,
        /// Why, when it failed.
        failure: Option<String>,
    },
}

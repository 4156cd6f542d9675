//! `/apps/{name}/config`: a flat `{"KEY":"value"}` object both ways. PUT merges; a key with `null` is removed.
//!
//! Its answers have the version of the whole set as `ETag`; a change with `If-Match` is made to that version or not at
//! all. Who sees a var, and the sets of before, are resources of their own, which have no values but those of a diff
//! that asks for them.

use pvdify_types::{ConfigKey, ConfigScope, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// `GET` and the answer of `PUT` and `DELETE`: the whole set.
pub type Config = BTreeMap<String, String>;
/// `PUT`: what changes.
pub type ConfigChange = BTreeMap<String, Option<String>>;
/// `/apps/{name}/config/scopes`, `GET` and the answer of `PUT`: each key and who sees it, `run` or `build`.
pub type Scopes = BTreeMap<ConfigKey, ConfigScope>;
/// The answer of a change names the release that it made in this header; absent when nothing changed or nothing was
/// deployed yet.
pub const RELEASE_HEADER: &str = "pvdify-release";
/// The answer of a change names the keys that changed for builds in this header, as `A, B and 3 more`: a build that is
/// done did not see it. Absent when there are none.
pub const NEXT_BUILD_HEADER: &str = "pvdify-next-build";

/// The query of `PUT /apps/{name}/config`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuery {
    #[param(value_type = Option<String>)]
    /// Who sees what is set by it: `run`, the app's processes, or `build`, its builds too. Left out, a key keeps its
    /// scope, and a new one has `run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ConfigScope>,
}

/// One set of config vars that an app has or had, without values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigVersion {
    /// Its number within the app, from 1.
    pub version: u64,
    /// Whether it is what the next release takes.
    pub current: bool,
    /// Who made it.
    pub user: String,
    /// What the change did: its keys.
    pub description: String,
    #[schema(value_type = Vec<u64>)]
    /// The releases that took it, oldest first.
    pub releases: Vec<ReleaseVersion>,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// The query of `GET /apps/{name}/config/diff`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DiffQuery {
    /// A version's number, or `v3`: the one that this release took. The one before `to` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The same; the present one when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Show values too; needs a token that may see them.
    #[serde(default)]
    pub values: bool,
}

/// What differs between two versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigDiff {
    /// The version's number; 0 is the empty set before the first.
    pub from: u64,
    /// The same.
    pub to: u64,
    /// By key.
    pub changes: Vec<Difference>,
}

/// A key that differs: added without `from`, removed without `to`, else changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    #[schema(value_type = String)]
    /// Which.
    pub key: ConfigKey,
    /// Before; absent when it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Side>,
    /// After; absent when it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Side>,
}

/// A var on one side of a difference.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Side {
    #[schema(value_type = String)]
    /// Who sees it: `run` or `build`.
    pub scope: ConfigScope,
    /// Only where values were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl fmt::Debug for Side {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Side")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

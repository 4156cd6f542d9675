//! `/apps/{name}/config`: a flat `{"KEY":"value"}` object both ways. PUT merges; a key with `null` is removed.

use std::collections::BTreeMap;

/// `GET` and the answer of `PUT` and `DELETE`: the whole set.
pub type Config = BTreeMap<String, String>;
/// `PUT`: what changes.
pub type ConfigChange = BTreeMap<String, Option<String>>;
/// The answer of `PUT` and `DELETE` names the release that the change made in this header; absent when
/// nothing changed or nothing was deployed yet.
pub const RELEASE_HEADER: &str = "pvdify-release";

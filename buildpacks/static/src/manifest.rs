//! `site.json`, as the static server reads it: the one thing that both know of each other.
//!
//! The server refuses what it does not know, and the tests here serve what is written here by the real server.

use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// A site.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) files: BTreeMap<String, File>,
    #[serde(flatten)]
    pub(crate) config: Config,
}

/// All but the files: what the app's configuration says.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) clean_urls: bool,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) https_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) canonical_host: Option<String>,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) basic_auth: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) users: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) access_log: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<HeaderRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fallback: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_found: Option<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct File {
    pub(crate) size: u64,
    pub(crate) etag: String,
    #[serde(rename = "type")]
    pub(crate) content_type: String,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) immutable: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) codings: BTreeMap<&'static str, u64>,
}

/// A redirect or rewrite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Rule {
    pub(crate) from: Vec<Token>,
    pub(crate) to: Vec<Piece>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) force: bool,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) any_slash: bool,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) keep_query: bool,
}

/// Headers for paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct HeaderRule {
    pub(crate) from: Vec<Token>,
    pub(crate) set: Vec<(String, String)>,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) alone: bool,
    #[serde(skip_serializing_if = "is_off")]
    pub(crate) any_slash: bool,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Token {
    Text(String),
    Segment(String),
    Rest(String),
}

/// A part of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Piece {
    Text(String),
    Kept(String),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_off(switch: &bool) -> bool {
    !switch
}

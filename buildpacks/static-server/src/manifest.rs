//! `site.json`: what a site is, written when it is built and read once at the start.
//!
//! The server serves what stands here and nothing else, so what may be seen was decided before: there is no walk
//! of a folder at run time, no dot file, no link to follow. Files are below the folder of `site.json`: the plain
//! ones in `files/`, compressed ones in a folder named by their coding (`br/`, `gzip/`, `zstd/`).

use serde::Deserialize;
use std::collections::BTreeMap;

/// The version of the format.
pub const VERSION: u32 = 1;

/// A site.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// Every file, by its path without a leading `/`.
    pub files: BTreeMap<String, File>,
    /// `/about` is `about.html`.
    #[serde(default)]
    pub clean_urls: bool,
    /// What came by plain HTTP to the router is sent to HTTPS.
    #[serde(default)]
    pub https_only: bool,
    /// Other hosts are sent to this one. `${NAME}` is taken from the environment, as in targets of rules.
    #[serde(default)]
    pub canonical_host: Option<String>,
    /// A name and password are asked for: those of the environment or of `users`.
    #[serde(default)]
    pub basic_auth: bool,
    /// Names with passwords as htpasswd has them.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
    /// A line for each request on stdout.
    #[serde(default)]
    pub access_log: bool,
    /// Redirects and rewrites; the first that matches counts.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Headers by path.
    #[serde(default)]
    pub headers: Vec<HeaderRule>,
    /// For a path that is no file of its own: the page of a single-page app.
    #[serde(default)]
    pub fallback: Option<String>,
    /// The page for what is not there.
    #[serde(default)]
    pub not_found: Option<String>,
}

/// A file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its bytes.
    pub size: u64,
    /// A hash of its content, without quotes. (In an image all times of change are the same.)
    pub etag: String,
    /// `Content-Type`.
    #[serde(rename = "type")]
    pub content_type: String,
    /// Its name changes with its content: it may be kept for ever.
    #[serde(default)]
    pub immutable: bool,
    /// Its compressed forms and their bytes.
    #[serde(default)]
    pub codings: BTreeMap<Coding, u64>,
}

/// A content coding; in order of what is taken when all else is equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Brotli.
    Br,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
}

impl Coding {
    /// As HTTP names it; also the folder of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// A redirect (3xx) or a rewrite (200, 404 and the like: the target is a path of the site).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is for.
    pub from: Vec<Token>,
    /// Where to.
    pub to: Vec<Piece>,
    /// The status.
    pub status: u16,
    /// Also where a file is there.
    #[serde(default)]
    pub force: bool,
    /// A slash at the end of the path makes no difference.
    #[serde(default)]
    pub any_slash: bool,
    /// The query of the request goes along.
    #[serde(default)]
    pub keep_query: bool,
}

/// Headers for the paths that match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The paths.
    pub from: Vec<Token>,
    /// Names and values, in order.
    pub set: Vec<(String, String)>,
    /// Of the rules that match, only the last such one counts (Heroku's way).
    #[serde(default)]
    pub alone: bool,
    /// A slash at the end of the path makes no difference.
    #[serde(default)]
    pub any_slash: bool,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Token {
    /// These characters.
    Text(String),
    /// Any characters but `/`, also none; kept by this name.
    Segment(String),
    /// Any characters; kept by this name.
    Rest(String),
}

/// A part of a target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// These characters; `${NAME}` is taken from the environment.
    Text(String),
    /// What a token of this name kept.
    Kept(String),
}

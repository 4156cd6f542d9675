//! Repository names, tags and references, by the grammar of the OCI Distribution spec ("Pulling manifests").
//!
//! A [`Repository`] is also a path below the store's folder: its grammar has no `..`, no empty part, no leading
//! dot and no leading underscore, so it can neither leave the folder nor meet the store's own `_names`.

use pvdify_types::{AppName, Digest};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The longest repository name; with the host before it clients allow 255.
const MAX_NAME: usize = 200;
/// The longest tag (OCI Distribution spec).
const MAX_TAG: usize = 128;

/// A repository's name: parts of lower-case letters and digits joined by `.`, `_`, `__` or hyphens, between `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository(String);

/// A text is no repository name.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "a repository name is 1 to 200 characters: parts of a-z and 0-9, joined by '.', '_', '__' or '-', between '/'"
)]
pub struct NameError;

impl Repository {
    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let short = text.len() <= MAX_NAME;
        if short && text.split('/').all(is_name_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError)
        }
    }
}

/// An app's name is stricter than a repository's in all but one thing: it may hold `--`, which is taken here too.
impl From<&AppName> for Repository {
    fn from(app: &AppName) -> Self {
        Self(app.as_str().to_owned())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_part(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner_separators = || part.split(alphanumeric).filter(|run| !run.is_empty());
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && inner_separators().all(|run| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-'))
}

/// A tag: a name that may move from one manifest to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A text is no tag.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a tag is 1 to 128 letters, digits, '_', '.' and '-', and starts with neither '.' nor '-'")]
pub struct TagError;

impl Tag {
    /// The tag itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;
    fn from_str(text: &str) -> Result<Self, TagError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let fits = (1..=MAX_TAG).contains(&text.len());
        if fits && text.chars().all(plain) && !text.starts_with(['.', '-']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagError)
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// By content.
    Digest(Digest),
    /// By a name that may move.
    Tag(Tag),
}

impl FromStr for Reference {
    type Err = TagError;
    /// A text with a colon is a digest, since no tag has one.
    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.contains(':') {
            text.parse().map(Self::Digest).map_err(|_| TagError)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_name_follows_the_grammar_and_is_a_safe_path() {
        for good in ["a", "demo", "a/b/c", "a.b_c__d--e", "0/1", &"a".repeat(200)] {
            assert!(good.parse::<Repository>().is_ok(), "{good}");
        }
        let long = "a".repeat(300);
        for bad in [
            "", "A", "../x", "a/../b", "a//b", "/a", "a/", ".a", "a.", "_tags", "a___b", "a..b", "a-.b",
            "a b", "a\0", "ä", &long,
        ] {
            assert_eq!(bad.parse::<Repository>(), Err(NameError), "{bad:?}");
        }
        let app: AppName = "a--b".parse().unwrap();
        assert_eq!(
            Repository::from(&app).as_str().parse(),
            Ok(Repository::from(&app))
        );
    }

    #[test]
    fn a_reference_is_a_digest_or_a_tag() {
        let hex = "0".repeat(64);
        assert!(matches!(
            format!("sha256:{hex}").parse(),
            Ok(Reference::Digest(_))
        ));
        assert!(matches!("v1.0_x-y".parse(), Ok(Reference::Tag(_))));
        let long = "t".repeat(129);
        for bad in ["", ".x", "-x", "a/b", "a b", "sha512:00", "sha256:AB", &long] {
            assert_eq!(bad.parse::<Reference>(), Err(TagError), "{bad:?}");
        }
    }
}

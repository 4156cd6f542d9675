//! Chooses a version: what an app asks for, in its ecosystem's own syntax, against what there is.
//!
//! What is taken where that is not there is one rule for all: `fallback`. Pre-releases are chosen only where they
//! are asked for.

mod fallback;

pub use fallback::{Fallback, nearest};

use crate::{Failure, Result, output};
use libcnb::Env;
use std::cmp::Ordering;

/// A requirement that was read.
#[derive(Debug, Clone)]
pub enum Requirement {
    /// npm's ranges: `^20`, `>=18 <21`, `18.x || 20.x`, `1.2 - 2.3`.
    Npm(nodejs_semver::Range),
    /// Python's specifiers: `>=3.9,<4`, `~=3.11`, `==3.12.*`.
    Pep440(pep440_rs::VersionSpecifiers),
    /// A version or its first numbers: `3.12`, `go1.22` without its letters, `v20`.
    Prefix(String),
}

impl Requirement {
    /// npm's syntax.
    #[must_use]
    pub fn npm(text: &str) -> Option<Self> {
        nodejs_semver::Range::parse(text.trim()).ok().map(Self::Npm)
    }

    /// PEP 440.
    #[must_use]
    pub fn pep440(text: &str) -> Option<Self> {
        text.trim().parse().ok().map(Self::Pep440)
    }

    /// The first numbers of a version; a `v` before it goes.
    #[must_use]
    pub fn prefix(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let is_version = text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
        is_version.then(|| Self::Prefix(text.to_owned()))
    }

    /// Whether `version` is one of those asked for.
    #[must_use]
    pub fn matches(&self, version: &str) -> bool {
        match self {
            Self::Npm(range) => {
                nodejs_semver::Version::parse(version).is_ok_and(|version| range.satisfies(&version))
            }
            Self::Pep440(specifiers) => version.parse::<pep440_rs::Version>().is_ok_and(|version| {
                specifiers.contains(&version)
                    && (version.is_stable()
                        || specifiers.iter().any(pep440_rs::VersionSpecifier::any_prerelease))
            }),
            Self::Prefix(prefix) => {
                version == prefix
                    || !is_prerelease(version)
                        && version
                            .strip_prefix(prefix.as_str())
                            .is_some_and(|rest| rest.starts_with('.'))
            }
        }
    }

    /// The highest of `available` that is asked for.
    #[must_use]
    pub fn highest<'a>(&self, available: &'a [String]) -> Option<&'a str> {
        available
            .iter()
            .map(String::as_str)
            .filter(|version| self.matches(version))
            .max_by(|a, b| compare(a, b))
    }
}

/// What an app asks for, as its messages name it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of what: `Node.js`.
    pub name: &'a str,
    /// As it was written: `^20.1`.
    pub text: &'a str,
    /// Where: `engines.node in package.json`.
    pub from: &'a str,
}

/// A chosen version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The version.
    pub version: String,
    /// It is not what was asked for, only the nearest.
    pub is_fallback: bool,
}

/// The highest that is asked for; else what `Fallback` takes instead, with a warning; else an error that names the
/// nearest.
pub fn choose(
    wanted: Wanted<'_>,
    requirement: &Requirement,
    available: &[String],
    env: &Env,
) -> Result<Chosen> {
    if let Some(version) = requirement.highest(available) {
        return Ok(Chosen {
            version: version.to_owned(),
            is_fallback: false,
        });
    }
    let fallback = Fallback::of(env);
    if let Some((version, what)) = fallback.instead_of(wanted.text, available) {
        output::warning(fallback::warning(wanted, version, what));
        return Ok(Chosen {
            version: version.to_owned(),
            is_fallback: true,
        });
    }
    Err(fallback.refusal(wanted, available))
}

/// The failure for a requirement that can't be read.
#[must_use]
pub fn unreadable(wanted: Wanted<'_>, example: &str) -> Failure {
    Failure::new(
        format!("Can't read the version of {} that is asked for", wanted.name),
        format!("{} is {:?}.", wanted.from, wanted.text),
        format!("Write a version as in {example}, commit and push again."),
    )
}

fn numbers(version: &str) -> Vec<u64> {
    let end = version
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(version.len());
    version[..end]
        .split('.')
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn is_prerelease(version: &str) -> bool {
    version
        .split('+')
        .next()
        .is_some_and(|version| version.contains(|c: char| c.is_ascii_alphabetic() || c == '-'))
}

/// Orders two versions: by their numbers, a pre-release before its release.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let padded = |version: &str| {
        let mut numbers = numbers(version);
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        numbers
    };
    padded(a)
        .cmp(&padded(b))
        .then_with(|| match (is_prerelease(a), is_prerelease(b)) {
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (true, true) => match (nodejs_semver::Version::parse(a), nodejs_semver::Version::parse(b)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            },
            (false, false) => Ordering::Equal,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(versions: &[&str]) -> Vec<String> {
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    fn node() -> Vec<String> {
        list(&[
            "0.12.18",
            "18.20.8",
            "20.9.0",
            "20.19.2",
            "22.1.0",
            "22.23.3",
            "24.1.0",
            "24.2.0-rc.1",
        ])
    }

    #[test]
    fn ranges_of_npm() {
        for (range, expected) in [
            ("20", Some("20.19.2")),
            ("20.x", Some("20.19.2")),
            ("v20.9.0", Some("20.9.0")),
            ("=20.9.0", Some("20.9.0")),
            ("^20.1", Some("20.19.2")),
            ("~22.1", Some("22.1.0")),
            (">=18", Some("24.1.0")),
            (">= 18.0.0 < 21", Some("20.19.2")),
            ("18 || 20", Some("20.19.2")),
            ("18 - 20", Some("20.19.2")),
            ("*", Some("24.1.0")),
            ("", Some("24.1.0")),
            ("latest-ish", None),
            ("21.x", None),
            ("24.2.0-rc.1", Some("24.2.0-rc.1")),
            ("0.12.x", Some("0.12.18")),
        ] {
            let found = Requirement::npm(range).and_then(|r| r.highest(&node()).map(str::to_owned));
            assert_eq!(found.as_deref(), expected, "{range}");
        }
    }

    #[test]
    fn specifiers_of_python() {
        let python = list(&["3.9.2", "3.12.1", "3.13.0", "3.14.0rc1"]);
        for (specifier, expected) in [
            (">=3.9", Some("3.13.0")),
            ("~=3.9.0", Some("3.9.2")),
            ("==3.12.*", Some("3.12.1")),
            (">=3.9,<3.13", Some("3.12.1")),
            ("==3.14.0rc1", Some("3.14.0rc1")),
            ("==3.10.*", None),
        ] {
            assert_eq!(
                Requirement::pep440(specifier).unwrap().highest(&python),
                expected,
                "{specifier}"
            );
        }
    }

    #[test]
    fn first_numbers_of_a_version() {
        for (prefix, expected) in [
            ("20", Some("20.19.2")),
            ("20.9.0", Some("20.9.0")),
            ("v22", Some("22.23.3")),
            ("2", None),
        ] {
            assert_eq!(
                Requirement::prefix(prefix).unwrap().highest(&node()),
                expected,
                "{prefix}"
            );
        }
        assert!(Requirement::prefix(">=3").is_none());
    }

    #[test]
    fn order_is_by_number() {
        assert_eq!(compare("1.10.0", "1.9.9"), Ordering::Greater);
        assert_eq!(compare("1.2", "1.2.0"), Ordering::Equal);
        assert_eq!(compare("1.0.0-rc.2", "1.0.0-rc.10"), Ordering::Less);
        assert_eq!(compare("3.14.0rc1", "3.14.0"), Ordering::Less);
    }
}

//! Names that a buildpack chooses and that end up in paths, labels and environment variables.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// A text that is no name of its kind.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} is no {kind}: {rule}")]
pub struct BadName {
    text: String,
    kind: &'static str,
    rule: &'static str,
}

/// The longest name: with the `.sbom.cdx.json` after it, still a file name (255 bytes).
const LONGEST: usize = 200;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $allowed:expr, $reserved:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                let allowed: fn(char) -> bool = $allowed;
                let reserved: &[&str] = &$reserved;
                let good = !text.is_empty()
                    && text.len() <= LONGEST
                    && text.chars().all(allowed)
                    && !matches!(text, "." | "..")
                    && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
                    && !reserved.contains(&text);
                if good {
                    return Ok(Self(text.to_owned()));
                }
                let text = text.chars().take(80).collect();
                Err(BadName { text, kind: $kind, rule: $rule })
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A buildpack's or an extension's ID (buildpack.md, "buildpack.toml": letters, digits, `.`, `-`, `/`).
    BuildpackId, "buildpack ID",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | '_'),
    ["app", "config", "generated", "sbom"],
    "letters, digits, '.', '-', '_' and '/', and none of app, config, generated, sbom"
);
name!(
    /// A version as a buildpack names it; compared as text only.
    BuildpackVersion, "buildpack version",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+'),
    [],
    "letters, digits, '.', '-', '_' and '+'"
);
name!(
    /// A layer's name: that of `<layers>/<buildpack>/<name>.toml` and of the folder beside it.
    LayerName, "layer name",
    |c| !matches!(c, '/' | '\0') && !c.is_control(),
    ["launch", "build", "store"],
    "a file name, and none of launch, build, store"
);
name!(
    /// A process type (buildpack.md, "launch.toml": letters, digits, `.`, `_`, `-`).
    ProcessName, "process type",
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'),
    [],
    "letters, digits, '.', '_' and '-'"
);

impl BuildpackId {
    /// The ID as one folder's name: `/` as `_` (buildpack.md, "Layers").
    #[must_use]
    pub fn folder(&self) -> String {
        self.0.replace('/', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_leave_its_folder() {
        for good in ["heroku/nodejs", "a", "org.cloud/x-y_z.1"] {
            assert_eq!(good.parse::<BuildpackId>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "..",
            "a/../b",
            "/a",
            "a/",
            "a b",
            "config",
            "a\0",
            &"x".repeat(201),
        ] {
            assert!(bad.parse::<BuildpackId>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "heroku/nodejs".parse::<BuildpackId>().unwrap().folder(),
            "heroku_nodejs"
        );
        for bad in ["launch", "build", "store", "a/b", "..", "\u{1}"] {
            assert!(bad.parse::<LayerName>().is_err(), "{bad:?}");
        }
        assert!("web.1-x_y".parse::<ProcessName>().is_ok() && "a/b".parse::<ProcessName>().is_err());
    }
}

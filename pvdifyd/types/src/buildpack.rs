//! Which buildpacks an app is built with, as a person names them.

use crate::newtype::string_newtype;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name of a buildpack: an address fits.
const LONGEST: usize = 1000;
/// The most buildpacks of one app.
pub const MAX_BUILDPACKS: usize = 20;

/// A buildpack by its ID, or where it is: `pvdify/nodejs`, `heroku/python`, `https://host/name.git#v1`,
/// `https://host/name.tgz`, `docker://host/name:tag`, `/folder/on/the/server`.
///
/// Heroku's short names of its own buildpacks mean ours of the same language.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BuildpackName(String);
string_newtype!(BuildpackName, BuildpackNameError);

/// Why a text names no buildpack.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BuildpackNameError {
    #[error("a buildpack's name has 1 to {LONGEST} visible characters")]
    Text,
    #[error(
        "a buildpack is an ID (pvdify/nodejs), an https:// address of a Git repository or a .tgz, docker://IMAGE, or an absolute folder on the server"
    )]
    Kind,
    #[error("a buildpack's address must not hold a user or password: it is shown in logs")]
    Secret,
}

/// What a name is the name of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildpackKind {
    /// One that is there, with a version or in the only one.
    Id {
        /// The ID.
        id: String,
        /// Behind `@`.
        version: Option<String>,
    },
    /// A Git repository.
    Git {
        /// Its address.
        url: String,
        /// A branch, tag or commit, behind `#`.
        reference: Option<String>,
    },
    /// A packed folder.
    Archive {
        /// Its address.
        url: String,
    },
    /// An OCI image.
    Image {
        /// Its name.
        image: String,
    },
    /// A folder of the server.
    Folder {
        /// Its path.
        path: String,
    },
}

impl BuildpackName {
    fn check(text: &str) -> Result<(), BuildpackNameError> {
        let visible = text.chars().all(|c| c.is_ascii_graphic());
        if text.is_empty() || text.len() > LONGEST || !visible {
            return Err(BuildpackNameError::Text);
        }
        kind(text).map(|_| ())
    }

    /// What it names.
    #[must_use]
    pub fn kind(&self) -> BuildpackKind {
        kind(&self.0).unwrap_or_else(|_| BuildpackKind::Id {
            id: self.0.clone(),
            version: None,
        })
    }
}

fn kind(text: &str) -> Result<BuildpackKind, BuildpackNameError> {
    if let Some(image) = text.strip_prefix("docker://") {
        let image = image.to_owned();
        return if image.is_empty() || image.starts_with('-') {
            Err(BuildpackNameError::Kind)
        } else {
            Ok(BuildpackKind::Image { image })
        };
    }
    if text.starts_with('/') {
        let clean = !text.split('/').any(|part| part == "..");
        let path = text.to_owned();
        return clean
            .then_some(BuildpackKind::Folder { path })
            .ok_or(BuildpackNameError::Kind);
    }
    if let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    {
        let authority = rest.split(['/', '#', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(BuildpackNameError::Secret);
        }
        if authority.is_empty() {
            return Err(BuildpackNameError::Kind);
        }
        let (url, reference) = match text.split_once('#') {
            Some((url, reference)) if is_reference(reference) => (url, Some(reference.to_owned())),
            Some(_) => return Err(BuildpackNameError::Kind),
            None => (text, None),
        };
        let path = url.split('?').next().unwrap_or(url);
        let packed = [".tgz", ".tar.gz", ".tar", ".cnb"]
            .iter()
            .any(|end| path.ends_with(end));
        let url = url.to_owned();
        return Ok(if packed && reference.is_none() {
            BuildpackKind::Archive { url }
        } else {
            BuildpackKind::Git { url, reference }
        });
    }
    let text = text
        .strip_prefix("urn:cnb:builder:")
        .or_else(|| text.strip_prefix("urn:cnb:registry:"))
        .unwrap_or(text);
    let (id, version) = match text.split_once('@') {
        Some((id, version)) => (id, Some(version)),
        None => (text, None),
    };
    let good = |part: &str, also: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || also.contains(c))
            && !part.starts_with('-')
    };
    if !good(id, "./-_") || id.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(BuildpackNameError::Kind);
    }
    if version.is_some_and(|version| !good(version, ".-_+")) {
        return Err(BuildpackNameError::Kind);
    }
    Ok(BuildpackKind::Id {
        id: ours(id).unwrap_or(id).to_owned(),
        version: version.map(str::to_owned),
    })
}

/// A name that `git` takes for nothing but a branch, tag or commit.
fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+'))
}

/// Our buildpack for one of Heroku's.
fn ours(id: &str) -> Option<&'static str> {
    Some(match id {
        "heroku/nodejs" | "heroku/nodejs-engine" => "pvdify/nodejs",
        "heroku/python" => "pvdify/python",
        "heroku/go" => "pvdify/go",
        "heroku/rust" => "pvdify/rust",
        "heroku/java" | "heroku/jvm" | "heroku/maven" | "heroku/gradle" => "pvdify/java",
        "heroku/ruby" => "pvdify/ruby",
        "heroku/php" => "pvdify/php",
        "heroku/static" | "heroku-community/static" => "pvdify/static",
        "heroku/procfile" => "pvdify/procfile",
        "heroku/apt" | "heroku-community/apt" | "heroku/deb-packages" => "pvdify/apt",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> BuildpackKind {
        text.parse::<BuildpackName>().unwrap().kind()
    }

    #[test]
    fn a_name_says_what_it_is() {
        let id = |id: &str, version: Option<&str>| BuildpackKind::Id {
            id: id.to_owned(),
            version: version.map(str::to_owned),
        };
        assert_eq!(named("pvdify/go@0.1.0"), id("pvdify/go", Some("0.1.0")));
        assert_eq!(named("heroku/nodejs"), id("pvdify/nodejs", None));
        assert_eq!(
            named("urn:cnb:builder:paketo-buildpacks/go"),
            id("paketo-buildpacks/go", None)
        );
        let git = |url: &str, reference: Option<&str>| BuildpackKind::Git {
            url: url.to_owned(),
            reference: reference.map(str::to_owned),
        };
        assert_eq!(named("https://h/x/y"), git("https://h/x/y", None));
        assert_eq!(
            named("https://h/x.git#v1.2"),
            git("https://h/x.git", Some("v1.2"))
        );
        assert_eq!(
            named("https://h/x.tgz?a=b"),
            BuildpackKind::Archive {
                url: "https://h/x.tgz?a=b".into()
            }
        );
        assert_eq!(
            named("docker://h/x:1"),
            BuildpackKind::Image {
                image: "h/x:1".into()
            }
        );
        assert_eq!(
            named("/opt/bp"),
            BuildpackKind::Folder {
                path: "/opt/bp".into()
            }
        );
    }

    #[test]
    fn what_is_no_name_is_said_why() {
        let error = |text: &str| text.parse::<BuildpackName>().unwrap_err();
        for text in ["", "a b", "é", &"x".repeat(1001)] {
            assert_eq!(error(text), BuildpackNameError::Text, "{text}");
        }
        for text in [
            "../x",
            "/a/../b",
            "-x",
            "a@",
            "https://",
            "https://h/x#-b",
            "https://h/x#a..b",
            "docker://",
            "git@h:x",
            "ftp://h/x",
        ] {
            assert_eq!(error(text), BuildpackNameError::Kind, "{text}");
        }
        assert_eq!(error("https://me:pw@h/x"), BuildpackNameError::Secret);
    }
}

//! Image extensions: what they write, and what follows from it for the images (image_extension.md; platform.md,
//! "detector", "extender").
//!
//! The build image is extended by each build.Dockerfile in turn. Of run.Dockerfiles the last one that names another
//! image counts, and those behind it: what stands before it would extend an image that nobody uses.

use crate::id::{BuildpackId, BuildpackVersion};
use serde::Deserialize;
use std::fmt;

/// The image that a build runs in, or the one that apps run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Image {
    /// Buildpacks run in it.
    Build,
    /// Apps run on it.
    Run,
}

impl Image {
    /// In the order they are extended.
    pub const BOTH: [Self; 2] = [Self::Build, Self::Run];

    /// `build` or `run`, as in files' names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Run => "run",
        }
    }

    /// The file that extends it.
    #[must_use]
    pub fn dockerfile(self) -> &'static str {
        match self {
            Self::Build => "build.Dockerfile",
            Self::Run => "run.Dockerfile",
        }
    }

    /// The folders whose files it may copy, the first that is there (Buildpack API 0.13 of the reference).
    #[must_use]
    pub fn contexts(self) -> [&'static str; 2] {
        match self {
            Self::Build => ["context.build", "context"],
            Self::Run => ["context.run", "context"],
        }
    }
}

/// `extend-config.toml`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExtendConfig {
    /// For the build.Dockerfile.
    pub build: ExtendArgs,
    /// For the run.Dockerfile.
    pub run: ExtendArgs,
}

/// One image's part of an `extend-config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExtendArgs {
    /// Build arguments.
    pub args: Vec<ExtendArg>,
}

/// A build argument.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ExtendArg {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The arguments that are the platform's to give.
pub const OWN_ARGS: [&str; 4] = ["base_image", "build_id", "user_id", "group_id"];

impl ExtendConfig {
    /// One image's arguments; those that are the platform's to give are not among them.
    pub fn args(&self, image: Image) -> impl Iterator<Item = &ExtendArg> {
        let args = match image {
            Image::Build => &self.build.args,
            Image::Run => &self.run.args,
        };
        args.iter().filter(|arg| !OWN_ARGS.contains(&arg.name.as_str()))
    }
}

/// An extension of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which one.
    pub id: BuildpackId,
    /// In which version.
    pub version: BuildpackVersion,
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.version)
    }
}

/// What a Dockerfile begins from, and whether it does more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begins {
    /// From the image as the extensions before it left it.
    Given,
    /// From another image.
    Other {
        /// Its name.
        image: String,
        /// Whether anything follows.
        extends: bool,
    },
}

/// The run.Dockerfiles that count: the first of them, by its place in `all`, is the last that begins from another
/// image; without one all count.
#[must_use]
pub fn counting(all: &[Begins]) -> usize {
    all.iter()
        .rposition(|one| matches!(one, Begins::Other { .. }))
        .unwrap_or(0)
}

/// The user and the group of an image's `User`: `uid`, `uid:gid`. A group that is not said is the user's.
#[must_use]
pub fn user_and_group(user: &str) -> (String, String) {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let user = if user.is_empty() { "0" } else { user };
    (
        user.to_owned(),
        if group.is_empty() { user } else { group }.to_owned(),
    )
}

/// Whether an image's `User` is root, as it also is when it says none.
#[must_use]
pub fn is_root(user: &str) -> bool {
    let (user, _) = user_and_group(user);
    user == "root" || user.parse() == Ok(0_u32)
}

//! `buildpack.toml` and `extension.toml` (buildpack.md, "buildpack.toml"; image_extension.md), of the Buildpack APIs
//! 0.7 to 0.12. An API that can't be run is still read: whoever runs it says so.

use crate::{
    api::Api,
    exec_env,
    group::OrderGroup,
    id::{BuildpackId, BuildpackVersion},
    target::{Distro, ImageTarget, Target},
};
use serde::Deserialize;
use thiserror::Error;

/// What a buildpack or an image extension says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The Buildpack API it speaks.
    pub api: Api,
    /// Which one.
    pub kind: Kind,
    /// Its ID.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
    /// Its name for people.
    pub name: Option<String>,
    /// Where to read about it.
    pub homepage: Option<String>,
    /// Whether the person's variables are kept from its environment.
    pub clear_env: bool,
    /// The media types of the SBOM files it writes.
    pub sbom_formats: Vec<String>,
    /// The execution environments it is for; empty: all.
    pub exec_env: Vec<String>,
    /// What it runs on; empty: anything.
    pub targets: Vec<Target>,
    /// The groups of a composite buildpack, which has no programs of its own.
    pub order: Vec<OrderGroup>,
}

/// Buildpack or image extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `buildpack.toml`
    Buildpack,
    /// `extension.toml`
    Extension,
}

/// A text that is no buildpack.toml.
#[derive(Debug, Error)]
pub enum DescriptorError {
    /// Not TOML, or a field of another kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Neither table is there.
    #[error("it has neither a [buildpack] nor an [extension] table")]
    NoTable,
}

impl Descriptor {
    /// Reads a `buildpack.toml` or an `extension.toml`.
    pub fn parse(text: &str) -> Result<Self, DescriptorError> {
        let file: File = toml::from_str(text)?;
        let (kind, info) = match (file.buildpack, file.extension) {
            (Some(info), _) => (Kind::Buildpack, info),
            (None, Some(info)) => (Kind::Extension, info),
            (None, None) => return Err(DescriptorError::NoTable),
        };
        Ok(Self {
            api: file.api,
            kind,
            id: info.id,
            version: info.version,
            name: info.name,
            homepage: info.homepage.filter(|it| !it.is_empty()),
            clear_env: info.clear_env,
            sbom_formats: info.sbom_formats,
            // Before 0.12 the field means nothing.
            exec_env: if file.api.has_exec_env() {
                info.exec_env
            } else {
                Vec::new()
            },
            targets: if file.targets.is_empty() {
                of_stacks(file.api, &file.stacks)
            } else {
                file.targets
            },
            order: file.order,
        })
    }

    /// Whether it consists of others.
    #[must_use]
    pub fn is_composite(&self) -> bool {
        !self.order.is_empty()
    }

    /// Whether it runs on such images.
    #[must_use]
    pub fn runs_on(&self, image: &ImageTarget) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| image.satisfies(target))
    }

    /// Whether its SBOM files may be of this media type; parameters (`;version=1.4`) do not count.
    #[must_use]
    pub fn declares_sbom(&self, media_type: &str) -> bool {
        let essence = |declared: &String| declared.split(';').next().unwrap_or_default().trim() == media_type;
        self.sbom_formats.iter().any(essence)
    }
}

/// The targets that a list of stacks stands for (buildpack.md, "Deprecations"). A buildpack with neither runs on any
/// Linux, which is all there is here.
fn of_stacks(api: Api, stacks: &[Stack]) -> Vec<Target> {
    let mut targets = Vec::new();
    for stack in stacks {
        match stack.id.as_str() {
            "*" => targets.push(Target::default()),
            // An older buildpack that names others beside it was never only for this one.
            "io.buildpacks.stacks.bionic" if api.has_targets() || stacks.len() == 1 => targets.push(Target {
                os: "linux".to_owned(),
                arch: "amd64".to_owned(),
                arch_variant: String::new(),
                distros: vec![Distro {
                    name: "ubuntu".to_owned(),
                    version: "18.04".to_owned(),
                }],
            }),
            _ => {}
        }
    }
    targets
}

#[derive(Deserialize)]
struct File {
    api: Api,
    buildpack: Option<Info>,
    extension: Option<Info>,
    #[serde(default)]
    order: Vec<OrderGroup>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    stacks: Vec<Stack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    id: BuildpackId,
    version: BuildpackVersion,
    name: Option<String>,
    homepage: Option<String>,
    #[serde(default)]
    clear_env: bool,
    #[serde(default)]
    sbom_formats: Vec<String>,
    #[serde(default, deserialize_with = "exec_env::texts_or_tables")]
    exec_env: Vec<String>,
}

#[derive(Deserialize)]
struct Stack {
    id: String,
}

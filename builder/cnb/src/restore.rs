//! What of a layer the next build finds (buildpack.md, "Layer Types"). Pure: what was before goes in.
//!
//! | build | cache | launch | metadata | contents |
//! |-------|-------|--------|----------|----------|
//! | any   | true  | any    | yes      | yes      |
//! | false | false | true   | yes      | no       |
//! | true  | false | any    | no       | no       |
//! | false | false | false  | no       | no       |
//!
//! Contents come with their metadata or neither comes. A layer that is in the image has the image's metadata.

use crate::{
    analyzed::AnalyzedLayer,
    layer::{LayerToml, LayerTypes},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One layer before a build.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'a> {
    /// As the previous image has it.
    pub in_image: Option<&'a AnalyzedLayer>,
    /// As the last build that succeeded left it on the disk.
    pub on_disk: Option<&'a LayerToml>,
    /// Whether its folder is there.
    pub has_contents: bool,
}

/// What the next build finds of a layer.
#[derive(Clone, Debug, PartialEq)]
pub enum Restored {
    /// No trace of it.
    Nothing,
    /// Its metadata alone: the image has its contents.
    Metadata(toml::Table),
    /// All of it.
    All(toml::Table),
}

impl Before<'_> {
    /// What the next build finds.
    #[must_use]
    pub fn restored(self) -> Restored {
        let cached = self.on_disk.filter(|it| it.flags().cache && self.has_contents);
        match (self.in_image.filter(|it| it.types.launch), cached) {
            (Some(image), Some(_)) if image.types.cache => Restored::All(image.metadata.clone()),
            (Some(image), _) if image.types.cache || image.types.build => Restored::Nothing,
            (Some(image), _) => Restored::Metadata(image.metadata.clone()),
            (None, Some(disk)) => Restored::All(disk.metadata.clone()),
            (None, None) => Restored::Nothing,
        }
    }
}

/// `<layers>/restored.toml`: the cached layers as the build found them, which a build that fails spoils: it takes the
/// types off their files on the disk. The next restore reads it if that build did not succeed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct RestoredToml {
    /// By buildpack ID.
    pub buildpacks: BTreeMap<String, BTreeMap<String, LayerToml>>,
}

impl RestoredToml {
    /// Notes a layer whose contents were restored.
    pub fn note(&mut self, buildpack: &str, layer: &str, types: LayerTypes, metadata: toml::Table) {
        let layers = self.buildpacks.entry(buildpack.to_owned()).or_default();
        layers.insert(
            layer.to_owned(),
            LayerToml {
                types: Some(types),
                metadata,
                exec_env: Vec::new(),
            },
        );
    }

    /// A layer as the last build found it.
    #[must_use]
    pub fn layer(&self, buildpack: &str, layer: &str) -> Option<&LayerToml> {
        self.buildpacks.get(buildpack)?.get(layer)
    }
}

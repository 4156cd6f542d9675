//! `analyzed.toml`: what the platform knows of the images before a build (platform.md, "analyzed.toml"). The host
//! writes it from the previous image's label; restore and detection read it.

use crate::{
    image::{LifecycleMetadata, StoreMetadata},
    layer::{LayerTypes, StoreToml},
    target::ImageTarget,
    value,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `analyzed.toml`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Analyzed {
    /// The previous image, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
    /// What the previous image is made of.
    pub metadata: AnalyzedMetadata,
    /// The image that the next one stands on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_image: Option<AnalyzedRunImage>,
}

/// An image by its reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct ImageReference {
    /// Pinned by digest.
    pub reference: String,
}

/// The run image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct AnalyzedRunImage {
    /// Pinned by digest.
    pub reference: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<ImageTarget>,
}

/// What of a previous image matters to the next build.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct AnalyzedMetadata {
    /// Each buildpack's layers.
    pub buildpacks: Vec<AnalyzedBuildpack>,
}

/// One buildpack's layers in the previous image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct AnalyzedBuildpack {
    /// Its ID.
    pub key: String,
    /// Its version.
    pub version: String,
    /// By name.
    pub layers: BTreeMap<String, AnalyzedLayer>,
    /// What it keeps for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreToml>,
}

/// One layer in the previous image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct AnalyzedLayer {
    /// The diffID.
    pub sha: String,
    /// What it was for.
    #[serde(flatten)]
    pub types: LayerTypes,
    /// Its `[metadata]`.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub metadata: toml::Table,
}

impl AnalyzedMetadata {
    /// What of a label matters.
    #[must_use]
    pub fn of_label(label: &LifecycleMetadata) -> Self {
        let store = |it: &StoreMetadata| StoreToml {
            metadata: value::to_toml(&it.metadata),
        };
        let buildpack = |it: &crate::image::BuildpackLayers| AnalyzedBuildpack {
            key: it.key.clone(),
            version: it.version.clone(),
            layers: it
                .layers
                .iter()
                .map(|(name, layer)| (name.clone(), AnalyzedLayer::of(layer)))
                .collect(),
            store: it.store.as_ref().map(store),
        };
        Self {
            buildpacks: label.buildpacks.iter().map(buildpack).collect(),
        }
    }

    /// A buildpack's layers, whichever version made them.
    #[must_use]
    pub fn buildpack(&self, id: &str) -> Option<&AnalyzedBuildpack> {
        self.buildpacks.iter().find(|it| it.key == id)
    }
}

impl AnalyzedLayer {
    fn of(layer: &crate::image::LayerMetadata) -> Self {
        Self {
            sha: layer.sha.clone(),
            types: LayerTypes {
                launch: layer.launch,
                build: layer.build,
                cache: layer.cache,
            },
            metadata: value::to_toml(&layer.data),
        }
    }
}

//! What an image's labels tell of the build that made it (platform.md, "Labels"): the next build reuses layers by it,
//! and a rebase finds in it where the run image ends.

use crate::{group::GroupElement, launch::Process};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label of [`LifecycleMetadata`].
pub const LIFECYCLE_METADATA: &str = "io.buildpacks.lifecycle.metadata";
/// The label of [`BuildLabel`].
pub const BUILD_METADATA: &str = "io.buildpacks.build.metadata";
/// The label of the project's own metadata: where the source came from.
pub const PROJECT_METADATA: &str = "io.buildpacks.project.metadata";
/// The label that says whether the run image's layers may be replaced.
pub const REBASABLE: &str = "io.buildpacks.rebasable";

/// `io.buildpacks.lifecycle.metadata`. Each `sha` is a diffID, `sha256:...`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LifecycleMetadata {
    /// The app's slices, the rest of its folder last.
    pub app: Vec<Sha>,
    /// The SBOM layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Sha>,
    /// Each buildpack's layers.
    pub buildpacks: Vec<BuildpackLayers>,
    /// The `<layers>/config` layer.
    pub config: Sha,
    /// The launcher's layer.
    pub launcher: Sha,
    /// The layer of the links in `/cnb/process`.
    pub process_types: Sha,
    /// Where the run image ends.
    #[serde(rename = "runImage")]
    pub run_image: RunImage,
    /// The run image once more, as older platforms look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Stack>,
}

/// A layer by its diffID.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Sha {
    /// The diffID.
    pub sha: String,
}

/// One buildpack's layers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct BuildpackLayers {
    /// The buildpack's ID.
    pub key: String,
    /// Its version.
    pub version: String,
    /// Its launch layers, and those that are kept as metadata alone.
    pub layers: BTreeMap<String, LayerMetadata>,
    /// Its `store.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreMetadata>,
}

/// One layer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct LayerMetadata {
    /// The diffID.
    pub sha: String,
    /// Its `[metadata]`.
    pub data: serde_json::Value,
    /// Whether it was in later buildpacks' environments.
    pub build: bool,
    /// Whether it is in the image.
    pub launch: bool,
    /// Whether it is kept for the next build.
    pub cache: bool,
}

/// A `store.toml`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct StoreMetadata {
    /// Its `[metadata]`.
    pub metadata: serde_json::Value,
}

/// The run image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RunImage {
    /// The diffID of its last layer.
    pub top_layer: String,
    /// Which it was, by digest.
    pub reference: String,
    /// Its name, for a rebase.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Other names of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
}

/// The stack as platforms before API 0.12 look for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Stack {
    /// The run image's names.
    pub run_image: StackRunImage,
}

/// The names of a run image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct StackRunImage {
    /// Its name.
    pub image: String,
    /// Other names of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
}

/// `io.buildpacks.build.metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct BuildLabel {
    /// Always null: buildpacks of the APIs that are run write SBOM files instead.
    pub bom: Option<()>,
    /// The group that built.
    pub buildpacks: Vec<GroupElement>,
    /// Which launcher it carries.
    pub launcher: LauncherLabel,
    /// The process types; `buildpackID` is how this label spells the buildpack's ID.
    pub processes: Vec<ProcessLabel>,
}

/// Which launcher an image carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct LauncherLabel {
    /// Its version.
    pub version: String,
    /// Where its source is; empty.
    pub source: BTreeMap<String, String>,
}

/// A process type as the label has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ProcessLabel {
    /// Type, command, arguments.
    #[serde(flatten)]
    pub process: Process,
    /// Whose it is.
    #[serde(rename = "buildpackID")]
    pub buildpack_id: String,
}

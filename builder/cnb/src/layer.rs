//! `<layer>.toml` and `store.toml` (buildpack.md, "Layer Content Metadata", "store.toml").

use serde::{Deserialize, Serialize};

/// `<layer>.toml`. Restored, it has no `types`: a buildpack that does not name them again drops the layer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct LayerToml {
    /// What the layer is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<LayerTypes>,
    /// Whatever its buildpack wants to read next time.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub metadata: toml::Table,
    /// The execution environments in which it counts; empty: all (Buildpack API 0.12).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<String>,
}

/// What a layer is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct LayerTypes {
    /// Part of the image.
    pub launch: bool,
    /// In the environment of the buildpacks after this one.
    pub build: bool,
    /// There again in the next build.
    pub cache: bool,
}

impl LayerTypes {
    /// Whether the folder is for nothing, and so is not looked at further.
    #[must_use]
    pub fn is_ignored(self) -> bool {
        !(self.launch || self.build || self.cache)
    }
}

/// `store.toml`: what a buildpack keeps from one build to the next, whatever becomes of its layers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct StoreToml {
    /// Free.
    pub metadata: toml::Table,
}

//! `<layer>.toml` and `store.toml` (buildpack.md, "Layer Content Metadata", "store.toml").

use serde::{Deserialize, Serialize};
use thiserror::Error;

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

/// A text that is no `<layer>.toml`.
#[derive(Debug, Error)]
pub enum BadLayerToml {
    /// Not TOML, or a field of another kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// As before Buildpack API 0.6.
    #[error("{key:?} stands at the top; it belongs into the [types] table")]
    TypesAtTop {
        /// The first such key.
        key: &'static str,
    },
}

impl LayerToml {
    /// Reads what a buildpack wrote.
    pub fn parse(text: &str) -> Result<Self, BadLayerToml> {
        let table: toml::Table = toml::from_str(text)?;
        if let Some(key) = ["launch", "build", "cache"]
            .into_iter()
            .find(|key| table.contains_key(*key))
        {
            return Err(BadLayerToml::TypesAtTop { key });
        }
        Ok(table.try_into()?)
    }

    /// What the layer is for; nothing, if it does not say.
    #[must_use]
    pub fn flags(&self) -> LayerTypes {
        self.types.unwrap_or_default()
    }

    /// The execution environments it names, in `[metadata]` as the specification has it or beside it.
    #[must_use]
    pub fn exec_envs(&self) -> Vec<String> {
        let listed = self.metadata.get("exec-env").and_then(toml::Value::as_array);
        let listed = listed
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .map(str::to_owned);
        self.exec_env.iter().cloned().chain(listed).collect()
    }
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

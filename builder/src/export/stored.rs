//! An image as it lies in our registry: its config, and each layer under both of its names (diffID and digest).

use crate::{BuildError, image_config};
use oci_spec::image::ImageIndex;
use pvdify_registry::{Kind, Reference, References, Repository, Store, StoreError};
use pvdify_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, io::Read};

/// The largest config that is read.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;
/// An image's manifest, in the dialect that is written here.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image's config.
pub(crate) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the uncompressed archive, `sha256:...`.
    pub diff_id: String,
    /// Where the compressed one is.
    pub blob: Descriptor,
}

/// A blob as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where else it can be had; a layer with these need not be in the registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image's manifest.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// An image in the registry.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// Of its manifest.
    pub digest: Digest,
    /// Its config, all of it.
    pub config: Value,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

impl StoredImage {
    /// Reads an image; of one for several platforms, the part for this server. `None` when it is not there.
    ///
    /// # Errors
    /// [`BuildError::Refused`] for what is no image or none for this server, [`BuildError::Unavailable`] when the
    /// registry's disk is at fault.
    pub async fn read(
        store: &Store,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Self>, BuildError> {
        let Some(mut manifest) = store.manifest(repository, reference).await? else {
            return Ok(None);
        };
        let named = |text: String| BuildError::Refused(format!("the image {repository} {reference} {text}"));
        let kind = |manifest: &pvdify_registry::Manifest| {
            References::parse(&manifest.bytes, Some(&manifest.media_type)).map(|references| references.kind)
        };
        if kind(&manifest).map_err(|error| named(format!("is damaged: {error}")))? == Kind::Index {
            let child = own_child(&manifest.bytes).map_err(&named)?;
            let missing = || named("lacks its part for this server".to_owned());
            manifest = store
                .manifest(repository, &Reference::Digest(child))
                .await?
                .ok_or_else(missing)?;
        }
        let parsed: Manifest = serde_json::from_slice(&manifest.bytes)
            .map_err(|error| named(format!("has a manifest that is not understood: {error}")))?;
        let config = read_config(store, repository, &parsed.config).await?;
        let layers = layers(&config, parsed.layers).map_err(named)?;
        Ok(Some(Self {
            digest: manifest.digest,
            config,
            layers,
        }))
    }

    /// A label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.pointer("/config/Labels")?.get(name)?.as_str()
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        let env = self.config.pointer("/config/Env")?.as_array()?;
        env.iter()
            .filter_map(|entry| entry.as_str()?.split_once('='))
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// `os`, `architecture` or `variant`; the empty text when it is not said.
    #[must_use]
    pub fn platform(&self, part: &str) -> &str {
        self.config.get(part).and_then(Value::as_str).unwrap_or_default()
    }

    /// The diffID of the last layer; the empty text for an image without layers.
    #[must_use]
    pub fn top_layer(&self) -> &str {
        self.layers.last().map_or("", |layer| layer.diff_id.as_str())
    }
}

async fn read_config(
    store: &Store,
    repository: &Repository,
    config: &Descriptor,
) -> Result<Value, BuildError> {
    let damaged = |error: &dyn std::fmt::Display| {
        BuildError::Refused(format!("the config of {repository} is damaged: {error}"))
    };
    let digest: Digest = config.digest.parse().map_err(|error| damaged(&error))?;
    let (file, size) = store.open_blob(repository, &digest).await?;
    if size > MAX_CONFIG {
        return Err(damaged(&"it is larger than 4 MiB"));
    }
    let bytes = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.take(MAX_CONFIG).read_to_end(&mut bytes).map(|_| bytes)
    })
    .await
    .map_err(BuildError::unavailable)?
    .map_err(StoreError::from)?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(&error))
}

/// Brings both names of each layer together.
fn layers(config: &Value, blobs: Vec<Descriptor>) -> Result<Vec<Layer>, String> {
    let diff_ids = config
        .pointer("/rootfs/diff_ids")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if diff_ids.len() != blobs.len() {
        return Err(format!(
            "is damaged: its config names {} layers and its manifest {}",
            diff_ids.len(),
            blobs.len()
        ));
    }
    let both = diff_ids.iter().zip(blobs).map(|(diff_id, mut blob)| {
        // Written into OCI manifests from here on.
        blob.media_type = match blob.media_type.as_str() {
            "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                "application/vnd.oci.image.layer.v1.tar+gzip".to_owned()
            }
            "application/vnd.docker.image.rootfs.diff.tar" => {
                "application/vnd.oci.image.layer.v1.tar".to_owned()
            }
            _ => blob.media_type,
        };
        Layer {
            diff_id: diff_id.as_str().unwrap_or_default().to_owned(),
            blob,
        }
    });
    Ok(both.collect())
}

fn own_child(index: &[u8]) -> Result<Digest, String> {
    let index: ImageIndex = serde_json::from_slice(index)
        .map_err(|error| format!("has an index that is not understood: {error}"))?;
    let own = image_config::own_platform();
    for entry in index.manifests() {
        let Some(platform) = entry.platform() else {
            continue;
        };
        if image_config::platform(platform.os(), platform.architecture()) == own {
            return entry
                .digest()
                .to_string()
                .parse()
                .map_err(|_| "has an odd digest".to_owned());
        }
    }
    Err(format!("has no part for this server, which runs {own}"))
}

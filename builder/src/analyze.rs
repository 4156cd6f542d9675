//! The analysis before a build: what the app's image of before tells of the build that made it, for the lifecycle
//! in the build container (`analyzed.toml`) and for the export.
//!
//! An app without an image, or with one that no buildpack made, is none of an error: the build then starts anew.

use crate::{
    BuildError,
    export::{Layer, RunImage, StoredImage, image::EXEC_ENV, to_toml},
};
use pvdify_cnb::image::{BuildpackLayers, LIFECYCLE_METADATA, LifecycleMetadata, Sha};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::Digest;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The image before.
#[derive(Clone, Debug)]
pub struct Previous {
    /// Of its manifest.
    pub digest: Digest,
    /// Its label.
    pub metadata: LifecycleMetadata,
    /// Its layers by their diffIDs.
    pub layers: BTreeMap<String, Layer>,
}

impl Previous {
    /// A buildpack's layer, by the buildpack's ID and the layer's name.
    pub(crate) fn layer(&self, buildpack: &str, name: &str) -> Option<&Layer> {
        let buildpack = self.metadata.buildpacks.iter().find(|one| one.key == buildpack)?;
        self.layers.get(&buildpack.layers.get(name)?.sha)
    }
}

/// Looks at the image that an app had before. `None` when there is none, when no buildpack made it, or when it was
/// made for another execution environment.
///
/// # Errors
/// [`BuildError::Unavailable`] when the registry's disk is at fault.
pub async fn analyze(
    store: &Store,
    repository: &Repository,
    previous: Option<&Digest>,
    exec_env: &str,
) -> Result<Option<Previous>, BuildError> {
    let Some(digest) = previous else { return Ok(None) };
    let image = match StoredImage::read(store, repository, &Reference::Digest(digest.clone())).await {
        Ok(Some(image)) => image,
        Ok(None) | Err(BuildError::Refused(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let label = image.label(LIFECYCLE_METADATA).unwrap_or_default();
    let Ok(metadata) = serde_json::from_str::<LifecycleMetadata>(label) else {
        return Ok(None);
    };
    if image.label(EXEC_ENV).is_some_and(|made_for| made_for != exec_env) {
        return Ok(None);
    }
    let layers = image
        .layers
        .into_iter()
        .map(|layer| (layer.diff_id.clone(), layer));
    Ok(Some(Previous {
        digest: image.digest,
        metadata,
        layers: layers.collect(),
    }))
}

/// `analyzed.toml` (platform.md), as the reference's lifecycle reads it, too.
#[must_use]
pub fn analyzed_toml(
    previous: Option<(&Repository, &Previous)>,
    run: &RunImage,
    image: &StoredImage,
) -> String {
    let mut analyzed = Table::new();
    if let Some((repository, previous)) = previous {
        let reference = format!("{repository}@{}", previous.digest);
        analyzed.insert("image".to_owned(), table([("reference", reference.into())]));
        analyzed.insert("metadata".to_owned(), metadata(&previous.metadata));
    }
    let text = |text: &str| {
        Some(text)
            .filter(|text| !text.is_empty())
            .map(|text| Value::from(text.to_owned()))
    };
    let distro = |part: &str| {
        image
            .label(&format!("io.buildpacks.base.distro.{part}"))
            .and_then(text)
    };
    let distro = optional([("name", distro("name")), ("version", distro("version"))]);
    let target = optional([
        ("os", text(image.platform("os"))),
        ("arch", text(image.platform("architecture"))),
        ("arch-variant", text(image.platform("variant"))),
        ("distro", (!distro.is_empty()).then(|| distro.into())),
    ]);
    let run_image = [
        ("reference", run.pinned(&image.digest).into()),
        ("image", run.image.clone().into()),
        ("target", target.into()),
    ];
    analyzed.insert("run-image".to_owned(), table(run_image));
    // What is written was read from JSON or is ours: TOML has a place for all of it.
    toml::to_string(&analyzed).unwrap_or_default()
}

fn metadata(metadata: &LifecycleMetadata) -> Value {
    let sha = |sha: &Sha| table([("sha", sha.sha.clone().into())]);
    let run = &metadata.run_image;
    let names = |image: &str, mirrors: &[String]| -> Vec<(&'static str, Value)> {
        vec![
            ("image", image.to_owned().into()),
            ("mirrors", mirrors.to_vec().into()),
        ]
    };
    let mut run_image = names(&run.image, &run.mirrors);
    run_image.push(("top-layer", run.top_layer.clone().into()));
    run_image.push(("reference", run.reference.clone().into()));
    let apps: Vec<Value> = metadata.app.iter().map(sha).collect();
    let buildpacks: Vec<Value> = metadata.buildpacks.iter().map(buildpack).collect();
    let all = [
        ("app", Some(apps.into())),
        ("sbom", metadata.sbom.as_ref().map(sha)),
        ("buildpacks", Some(buildpacks.into())),
        ("config", Some(sha(&metadata.config))),
        ("launcher", Some(sha(&metadata.launcher))),
        ("process-types", Some(sha(&metadata.process_types))),
        ("run-image", Some(table(run_image))),
        (
            "stack",
            metadata.stack.as_ref().map(|stack| {
                let names = names(&stack.run_image.image, &stack.run_image.mirrors);
                table([("run-image", table(names))])
            }),
        ),
    ];
    optional(all).into()
}

fn buildpack(buildpack: &BuildpackLayers) -> Value {
    let layers: Table = buildpack
        .layers
        .iter()
        .map(|(name, layer)| {
            let content = optional([
                ("sha", Some(layer.sha.clone().into())),
                ("build", Some(layer.build.into())),
                ("launch", Some(layer.launch.into())),
                ("cache", Some(layer.cache.into())),
                ("metadata", to_toml(&layer.data)),
            ]);
            (name.clone(), content.into())
        })
        .collect();
    let store = buildpack
        .store
        .as_ref()
        .and_then(|store| to_toml(&store.metadata));
    optional([
        ("key", Some(buildpack.key.clone().into())),
        ("version", Some(buildpack.version.clone().into())),
        ("layers", Some(layers.into())),
        ("store", store.map(|metadata| table([("metadata", metadata)]))),
    ])
    .into()
}

fn table<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (key.to_owned(), value));
    Value::Table(entries.collect())
}

fn optional<'k>(entries: impl IntoIterator<Item = (&'k str, Option<Value>)>) -> Table {
    let entries = entries.into_iter();
    entries
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

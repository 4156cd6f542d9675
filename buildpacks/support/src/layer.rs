//! Layers, over libcnb's struct API: made when their key changes, else kept and not touched.
//!
//! A kept layer's folder must not change in any way (not even rewritten with the same bytes): the platform
//! knows an unchanged folder by its times and inodes and then neither reads nor packs it. So environment and
//! exec.d files are written in `make` only, and the key is written last: a layer whose making was cut short
//! has no key and is made anew.

use crate::{Failure, Result, files, output};
use libcnb::{
    Buildpack, Env,
    build::BuildContext,
    data::{layer::LayerName, layer_name},
    layer::{CachedLayerDefinition, InvalidMetadataAction, LayerRef, LayerState, RestoredLayerAction},
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Instant,
};

// A layer's metadata is a table, a key may be anything.
#[derive(Serialize, Deserialize)]
struct Metadata<K> {
    key: K,
}

/// What a layer is.
#[derive(Debug)]
pub struct Spec<'a, K> {
    /// Its name, by `layer_name!`.
    pub name: LayerName,
    /// For people, in the log: `Node.js 24.1.0`.
    pub title: &'a str,
    /// Later buildpacks see its environment.
    pub build: bool,
    /// It is part of the image.
    pub launch: bool,
    /// All that its content depends on: versions, source, architecture, lockfile's digest.
    pub key: K,
}

/// A layer that is there.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Its folder.
    pub path: PathBuf,
    /// Its environment, with the standard paths (`bin` and so on).
    pub env: LayerEnv,
    /// It was kept from an earlier build.
    pub reused: bool,
}

impl Layer {
    /// `env` as later steps of this build see it with this layer.
    #[must_use]
    pub fn apply(&self, env: &Env) -> Env {
        self.env.apply(Scope::Build, env)
    }
}

/// A layer that is kept as long as its key stays; else emptied and made by `make`, which gets the folder and
/// gives the environment. Says in the log which of both it was.
pub fn keyed<B, K>(
    context: &BuildContext<B>,
    spec: &Spec<'_, K>,
    make: impl FnOnce(&Path) -> Result<LayerEnv>,
) -> Result<Layer>
where
    B: Buildpack<Error = Failure>,
    K: Serialize + DeserializeOwned + PartialEq,
{
    let layer = open(context, spec)?;
    let path = layer.path();
    let reused = matches!(layer.state, LayerState::Restored { .. });
    if reused {
        output::detail(format!("{}: unchanged, kept", spec.title));
    } else {
        let started = Instant::now();
        let env = make(&path)?;
        layer.write_env(env)?;
        layer.write_metadata(Metadata { key: &spec.key })?;
        output::detail(format!(
            "{}: ready ({})",
            spec.title,
            output::duration(started.elapsed())
        ));
    }
    Ok(Layer {
        env: layer.read_env()?,
        path,
        reused,
    })
}

/// A folder for a package manager's cache: kept between builds, in no image, emptied when `key` changes (the
/// format of the cache, mostly: the package manager's name and major version).
pub fn cache<B, K>(context: &BuildContext<B>, name: LayerName, key: K) -> Result<PathBuf>
where
    B: Buildpack<Error = Failure>,
    K: Serialize + DeserializeOwned + PartialEq,
{
    let spec = Spec {
        name,
        title: "",
        build: false,
        launch: false,
        key,
    };
    let layer = open(context, &spec)?;
    if matches!(layer.state, LayerState::Empty { .. }) {
        layer.write_metadata(Metadata { key: &spec.key })?;
    }
    Ok(layer.path())
}

/// As [`cache`], begun anew when it has grown beyond `limit` bytes: what a package manager adds to its cache it never
/// takes away. `what` is the cache's name for people: `The local repository`.
pub fn bounded_cache<B, K>(
    context: &BuildContext<B>,
    name: LayerName,
    key: K,
    (what, limit): (&str, u64),
) -> Result<PathBuf>
where
    B: Buildpack<Error = Failure>,
    K: Serialize + DeserializeOwned + PartialEq,
{
    let path = cache(context, name, key)?;
    if files::size(&path) > limit {
        output::detail(format!(
            "{what} had grown beyond {}: begun anew",
            output::size(limit)
        ));
        files::remove(&path)?;
        files::make_dir(&path)?;
    }
    Ok(path)
}

/// The layer `settings`: variables for the build and the image, unless the app sets them.
pub fn settings<B>(context: &BuildContext<B>, values: &[(&str, &str)]) -> Result<Layer>
where
    B: Buildpack<Error = Failure>,
{
    let spec = Spec {
        name: layer_name!("settings"),
        title: "Settings for production",
        build: true,
        launch: true,
        key: values
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>(),
    };
    keyed(context, &spec, |_| {
        let mut env = LayerEnv::new();
        for (name, value) in values {
            env.insert(Scope::All, ModificationBehavior::Default, name, value);
        }
        Ok(env)
    })
}

/// Puts `places`, parted by colons, before those that a variable has already.
pub fn prepend(env: &mut LayerEnv, scope: Scope, name: &str, places: impl AsRef<OsStr>) {
    env.insert(
        scope.clone(),
        ModificationBehavior::Prepend,
        name,
        places.as_ref(),
    );
    env.insert(scope, ModificationBehavior::Delimiter, name, ":");
}

fn open<B, K>(context: &BuildContext<B>, spec: &Spec<'_, K>) -> Result<LayerRef<B, (), ()>>
where
    B: Buildpack<Error = Failure>,
    K: Serialize + DeserializeOwned + PartialEq,
{
    Ok(context.cached_layer(
        &spec.name,
        CachedLayerDefinition {
            build: spec.build,
            launch: spec.launch,
            invalid_metadata_action: &|_| InvalidMetadataAction::<Metadata<K>>::DeleteLayer,
            restored_layer_action: &|saved: &Metadata<K>, _| {
                if saved.key == spec.key {
                    RestoredLayerAction::KeepLayer
                } else {
                    RestoredLayerAction::DeleteLayer
                }
            },
        },
    )?)
}

//! The export: what a build left in its folders becomes an image in the own registry (buildpack.md, "Export").
//!
//! ```text
//! read.rs   the build's metadata      known.rs  what the last export knew of the folders
//!     \                                  |
//!      plan.rs   the image's layers (wanted.rs), each file looked at (beneath.rs, walk.rs), the app sliced (slices.rs)
//!         |      untouched ones are taken as they are, the others go on
//!    layers.rs   several at a time, pack.rs: archive.rs -> diffID -> compress.rs -> digest -> the store
//!         |
//!    finish.rs   config, labels, manifest (image.rs) on top of the run image (stored.rs)
//! ```
//!
//! What always holds:
//!
//! - All that the build left is hostile: nothing is followed out of its folders, nothing is read without a limit.
//! - A layer whose folder nobody touched since the last image is not read; its blob's name is known.
//! - The same files and the same metadata give the same digest, on whatever machine and how many processors.
//! - An image is given out only when its manifest and all its blobs are in the store.

pub(crate) mod archive;
pub mod beneath;
mod compress;
pub(crate) mod finish;
pub(crate) mod image;
mod known;
mod layers;
mod pack;
mod parallel;
mod plan;
mod read;
mod report;
mod slices;
mod stored;
pub(crate) mod walk;
mod wanted;

pub use archive::Owner;
pub use compress::Compression;
pub use known::Known;
pub use report::{How, LayerReport, Report};
pub use stored::{Descriptor, Layer, StoredImage};

pub(crate) use read::to_toml;
pub(crate) use report::human;
pub(crate) use stored::MANIFEST_TYPE;

use crate::{BuildError, analyze::Previous};
use pvdify_cnb::{api::Api, id::ProcessName};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::Digest;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The most layers that every engine takes.
const MAX_LAYERS: usize = 127;

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct Export {
    /// Where the image goes.
    pub repository: Repository,
    /// The build's `/layers`, on the host.
    pub layers: PathBuf,
    /// The build's `/workspace`, on the host.
    pub workspace: PathBuf,
    /// Where the layers are in the image: `/layers`.
    pub layers_dir: String,
    /// Where the app is in the image: `/workspace`.
    pub app_dir: String,
    /// Whom the files in the image belong to.
    pub owner: Owner,
    /// The Platform API that the launcher is to speak.
    pub platform_api: Api,
    /// What is below the app.
    pub run_image: RunImage,
    /// What image extensions made of it, if they did.
    pub extended: Option<Extended>,
    /// The app's image before this one.
    pub previous: Option<Arc<Previous>>,
    /// The launcher's program, on the host.
    pub launcher: PathBuf,
    /// Its version, for a label.
    pub launcher_version: String,
    /// The default process, when it is not for the buildpacks to say.
    pub default_process: Option<ProcessName>,
    /// `production` unless otherwise asked for.
    pub exec_env: String,
    /// Where the source came from, for a label (platform.md, "project-metadata.toml").
    pub project: Value,
    /// How layers are compressed.
    pub compression: Compression,
    /// What the image may be made of.
    pub limits: Limits,
}

/// A run image in the own registry.
#[derive(Clone, Debug)]
pub struct RunImage {
    /// `pvdify/run`
    pub repository: Repository,
    /// A tag or a digest.
    pub reference: Reference,
    /// Its name for a rebase, as clients reach it: `127.0.0.1:5000/pvdify/run:trixie`.
    pub image: String,
    /// Other names of it.
    pub mirrors: Vec<String>,
}

/// A run image as image extensions left it, in the app's own repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// Of its manifest.
    pub digest: Digest,
    /// How many of its layers are those of the image that was extended.
    pub below: usize,
    /// That image's name with its digest.
    pub reference: String,
    /// Its name, where it is another than the server's own.
    pub other: Option<String>,
    /// Whether all that was added is safe on a newer run image.
    pub rebasable: bool,
}

impl Extended {
    /// Reads it from the registry.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when it is not there, else as [`StoredImage::read`].
    pub async fn read(&self, store: &Store, repository: &Repository) -> Result<StoredImage, BuildError> {
        let image = StoredImage::read(store, repository, &Reference::Digest(self.digest.clone())).await?;
        image.ok_or_else(|| {
            BuildError::unavailable("the extended run image is not in the registry any more: push again")
        })
    }
}

impl RunImage {
    /// Its name with its digest in place of a tag.
    #[must_use]
    pub fn pinned(&self, digest: &Digest) -> String {
        let image = self.image.split('@').next().unwrap_or_default();
        let name = match image.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => image,
        };
        format!("{name}@{digest}")
    }

    /// Reads it from the registry.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when it is not there, else as [`StoredImage::read`].
    pub async fn read(&self, store: &Store) -> Result<StoredImage, BuildError> {
        let image = StoredImage::read(store, &self.repository, &self.reference).await?;
        image.ok_or_else(|| {
            BuildError::Unavailable(format!(
                "the run image {} is not in the registry: make it with pvdifyd stack build",
                self.image
            ))
        })
    }
}

/// What an image may be made of.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of all files together, uncompressed.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            bytes: 16 * 1024 * 1024 * 1024,
        }
    }
}

/// The image.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Of its manifest.
    pub digest: Digest,
    /// Of its manifest.
    pub manifest_size: u64,
    /// The process types, and what each runs, for people.
    pub processes: BTreeMap<ProcessName, String>,
    /// The one that runs without a word.
    pub default_process: Option<ProcessName>,
    /// For the build log.
    pub report: Report,
}

/// Exports a finished build. Nothing may write to its folders any more.
///
/// Dropping the future ends the work soon after; what was written by then goes with the registry's sweep.
///
/// # Errors
/// [`BuildError::Refused`] when the build left what can't be an image, [`BuildError::Unavailable`] when the host or
/// the run image is at fault.
pub async fn export(export: Export, store: &Store, known: &mut Known) -> Result<Exported, BuildError> {
    let export = Arc::new(export);
    let run = match &export.extended {
        Some(extended) => extended.read(store, &export.repository).await?,
        None => export.run_image.read(store).await?,
    };
    let cancel = CancelOnDrop::default();
    let started = Instant::now();
    let looking = Arc::clone(&export);
    let plan = blocking(move || plan::plan(&looking)).await?.map_err(|error| {
        BuildError::Refused(format!("the image can't be made of what the build left: {error}"))
    })?;
    if run.layers.len() + plan.parts.len() > MAX_LAYERS {
        let text = format!("the image would have more than {MAX_LAYERS} layers");
        return Err(BuildError::Refused(text));
    }
    let plan = Arc::new(plan);
    let candidates = Arc::new(layers::candidates(&export, &plan, store, known).await?);
    let looked = Instant::now();
    let work = (Arc::clone(&export), Arc::clone(&plan), Arc::clone(&candidates));
    let (to, cancelled) = (store.clone(), Arc::clone(&cancel.0));
    let packed = blocking(move || layers::pack(&work.0, &work.1, &work.2, &to, &cancelled)).await??;
    let stored = Instant::now();
    let mut made = Vec::new();
    for ((part, candidate), packed) in plan.parts.iter().zip(&*candidates).zip(packed) {
        made.push(layers::keep(part, candidate, packed, &export, store).await?);
    }
    finish::mount(&run, &export, store).await?;
    let (digest, manifest_size) = finish::write(&export, &plan, &run, &made, store).await?;
    if let Err(error) = known.replace(layers::known(&plan, &made)) {
        // The image is whole; the next build only has more to do.
        tracing::warn!(%error, "what is known of the layers could not be written");
    }
    Ok(Exported {
        digest,
        manifest_size,
        processes: finish::processes(&plan.metadata.processes),
        default_process: plan.default_process(&export).cloned(),
        report: Report {
            layers: made.into_iter().map(|made| made.report).collect(),
            run_image_size: run.layers.iter().map(|layer| layer.blob.size).sum(),
            looking: looked - started,
            packing: stored - looked,
            storing: stored.elapsed(),
        },
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, BuildError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(BuildError::unavailable)
}

/// Tells the threads that nobody waits for them any more.
#[derive(Default)]
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_image_is_pinned_by_its_digest_in_place_of_what_it_had() {
        let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let pinned = |image: String| {
            let run = RunImage {
                repository: "pvdify/run".parse().unwrap(),
                reference: Reference::Digest(digest.clone()),
                image,
                mirrors: Vec::new(),
            };
            run.pinned(&digest)
        };
        for (image, name) in [
            ("h:5000/acme/run:1", "h:5000/acme/run"),
            ("h:5000/acme/run", "h:5000/acme/run"),
            ("acme/run", "acme/run"),
        ] {
            assert_eq!(pinned(image.to_owned()), format!("{name}@{digest}"));
        }
        assert_eq!(
            pinned(format!("h:5000/acme/run:1@sha256:{}", "1".repeat(64))),
            format!("h:5000/acme/run@{digest}")
        );
    }
}

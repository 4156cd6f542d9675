//! Garbage collection: what no release needs any more leaves the registry and Podman's storage.
//!
//! Never removed: an image of an open or current release, or of the last images of an app that served. When it
//! is not known which those are, nothing is removed. What else could be hit by a removal, and why it is not:
//!
//! - *An image being built, pushed or imported.* Its age says nothing: a build whose layers are all in the cache
//!   gives an image that is months old. So a round runs only in a [`Rest`](pvdify_builder::Rest) of the builder,
//!   which lasts from before the look at the database to the last removal. Builds wait for it, so it is short:
//!   what a round has no time for is left to the next one.
//! - *An image whose build has ended and whose release is not written yet.* Its manifest was stored, again if it
//!   was there before, a moment ago, and the registry counts its age from then: the grace, a whole period, is
//!   far longer than that moment, also when the period is set to seconds. In Podman it has the builder's name.
//! - *An image that a rollback chooses meanwhile.* It may choose only from those that are kept, and nothing but
//!   a build or an import adds to those.
//! - *A new app under a deleted one's name.* Manifests are kept by digest, whatever their repository is called;
//!   a repository goes when its name is no app's and nothing in it has a tag any more. Repositories are listed
//!   before the apps: one that is listed was not made by an app that is not.
//! - *The run image, and what apps take from it.* What has a tag in a repository of Pvdify's own is kept. An older
//!   run image goes; those of its layers that an app's image stands on are named by that image's manifest. So it is
//!   with whole builder images and their run images, which have the names of the apps that build with them for tags.
//! - *An image that Podman has and the registry lost.* When a kept image's manifest can't be read, it is not
//!   known which of Podman's images it is, and Podman's storage is left alone.
//!
//! Other installations and people use the same Podman; what is taken from it is decided in [`plan`].
//!
//! After that, while builds go on, each round packs what apps at rest keep for their next build, which removes nothing.

mod plan;
mod report;

use crate::app::App;
use plan::Needs;
use pvdify_builder::{
    Builder,
    podman::{Libpod, PodmanError},
    stack::RESERVED_PREFIX,
};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::{AppName, Digest, InstallationId};
use report::{Removed, Reports};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    error::Error,
    io,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The first round after a start, unless the period is shorter.
const FIRST: Duration = Duration::from_secs(60);
/// From a stored manifest to its release's row on the busiest machine, several times over; and at most a day,
/// however rare the rounds are, or a disk would hold what two of them leave.
const GRACE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(24 * 3600));
/// How long a round looks for a moment without builds before it makes new ones wait.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long removals from Podman may hold builds back.
const HOLD: Duration = Duration::from_secs(10);
/// An upload that nobody went on with for so long is abandoned.
const UPLOAD_AGE: Duration = Duration::from_secs(3600);
/// Layers that only the build cache holds, from when they were made.
const CACHE_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// An app that was not built for so long is at rest.
const AT_REST: Duration = Duration::from_secs(3600);
/// How long a round packs what apps at rest keep.
const PACKING: Duration = Duration::from_secs(600);

type Failure = Box<dyn Error + Send + Sync>;

/// What is set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose images in Podman's storage are ours.
    pub installation: InstallationId,
    /// Our registry's address, as the names of its images begin.
    pub registry: String,
    /// How many different images that served are kept for an app.
    pub keep_images: usize,
    /// From one round to the next.
    pub period: Duration,
}

/// The collector.
pub struct Garbage {
    app: App,
    blobs: Store,
    builder: Builder,
    podman: Libpod,
    settings: Settings,
}

/// What a round goes by.
struct Kept {
    digests: BTreeSet<Digest>,
    repositories: Vec<Repository>,
    apps: BTreeSet<AppName>,
}

impl Garbage {
    /// A collector; nothing runs yet.
    #[must_use]
    pub fn new(app: App, blobs: Store, builder: Builder, podman: Libpod, settings: Settings) -> Self {
        Self {
            app,
            blobs,
            builder,
            podman,
            settings,
        }
    }

    /// Collects until it is told to stop. A failure is logged, once until it changes, and ends nothing.
    pub async fn run(self, stop: CancellationToken) {
        let mut reports = Reports::default();
        let mut wait = FIRST.min(self.settings.period);
        loop {
            let round = async {
                tokio::time::sleep(wait).await;
                self.round(&mut reports).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = round => wait = self.settings.period,
            }
        }
    }

    async fn round(&self, reports: &mut Reports) {
        let grace = self.settings.period.clamp(GRACE.0, GRACE.1);
        let mut removed = Removed::default();
        let rest = self.builder.rest(PATIENCE).await;
        let swept = self.blobs.sweep(UPLOAD_AGE).await;
        removed.uploads = reports.failed("abandoned uploads", swept).unwrap_or_default();
        let kept = reports.failed("the database", self.kept().await);
        if let Some(kept) = kept {
            let registry = self.registry(&kept, grace, &mut removed).await;
            reports.failed("the registry", registry);
            let podman = self.podman(&kept, grace, &mut removed).await;
            reports.failed("Podman", podman);
            let builds = self.builds(&kept).await;
            reports.failed("builds", builds);
        }
        drop(rest);
        removed.log();
        report::packed(self.builder.pack_idle(AT_REST, PACKING).await);
    }

    async fn kept(&self) -> Result<Kept, Failure> {
        let repositories = self.blobs.repositories().await?;
        let mut digests = self.app.images_in_use(self.settings.keep_images).await?;
        for repository in &repositories {
            if repository.as_str().starts_with(RESERVED_PREFIX) {
                digests.extend(self.tagged(repository).await?);
            }
        }
        Ok(Kept {
            apps: self.app.app_names().await?,
            repositories,
            digests,
        })
    }

    /// What the tags of a repository stand for.
    async fn tagged(&self, repository: &Repository) -> Result<Vec<Digest>, Failure> {
        let mut digests = Vec::new();
        for tag in self.blobs.tags(repository).await? {
            let manifest = self
                .blobs
                .manifest(repository, &Reference::Tag(tag.parse()?))
                .await?;
            digests.extend(manifest.map(|manifest| manifest.digest));
        }
        Ok(digests)
    }

    async fn registry(&self, kept: &Kept, grace: Duration, removed: &mut Removed) -> Result<(), Failure> {
        let collected = self.blobs.collect_garbage(&kept.digests, grace).await?;
        removed.manifests = collected.manifests;
        removed.blobs = collected.blobs;
        removed.bytes += collected.bytes;
        let apps: BTreeSet<&str> = kept.apps.iter().map(AppName::as_str).collect();
        for repository in &kept.repositories {
            let is_gone = !apps.contains(repository.as_str());
            if is_gone && self.blobs.tags(repository).await?.is_empty() {
                self.blobs.delete_repository(repository).await?;
                removed.repositories += 1;
            }
        }
        Ok(())
    }

    async fn podman(&self, kept: &Kept, grace: Duration, removed: &mut Removed) -> Result<(), Failure> {
        let mut ids = BTreeSet::new();
        for digest in &kept.digests {
            ids.insert(self.image_id(digest).await?);
        }
        let images = self.podman.images().await?;
        let needs = Needs {
            installation: &self.settings.installation,
            registry: &self.settings.registry,
            ids: &ids,
            apps: &kept.apps,
            now: SystemTime::now(),
            grace,
        };
        let end = Instant::now() + HOLD;
        for removal in plan::plan(&images, &needs) {
            if Instant::now() >= end {
                return Ok(());
            }
            match self.podman.remove_image(&removal.reference, false).await {
                Ok(()) => {
                    removed.images += usize::from(removal.bytes > 0);
                    removed.bytes += removal.bytes;
                }
                // A container uses it, or something is built on it.
                Err(PodmanError::Refused { message, .. }) => {
                    tracing::debug!(image = removal.reference, message, "Podman keeps an image");
                }
                Err(error) => return Err(error.into()),
            }
        }
        removed.bytes += self.builder.prune_cache(CACHE_AGE).await?;
        Ok(())
    }

    /// What builds of deleted apps left, where a server was killed before it forgot it.
    async fn builds(&self, kept: &Kept) -> Result<(), Failure> {
        for app in self.builder.remembered() {
            if !kept.apps.contains(&app) {
                self.builder.forget(&app).await?;
            }
        }
        Ok(())
    }

    /// The id that Podman knows a kept image by, which is its config's digest.
    async fn image_id(&self, digest: &Digest) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Manifest {
            config: Descriptor,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: Digest,
        }
        let of_it = |error: &dyn std::fmt::Display| -> Failure {
            format!("the registry's manifest {digest}, which a release needs: {error}; nothing was removed")
                .into()
        };
        let path = self.blobs.blob_path(digest);
        let path = path.ok_or_else(|| of_it(&io::Error::from(io::ErrorKind::NotFound)))?;
        let bytes = tokio::fs::read(path).await.map_err(|error| of_it(&error))?;
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| of_it(&error))?;
        Ok(manifest.config.digest.hex().to_owned())
    }
}

//! The builder: a pushed source, or the name of a prebuilt image, becomes an image in the own registry.
//!
//! [`Builder::build`] looks through the source, reads and checks its Dockerfile, runs it with Podman within
//! limits, pushes the result and reads its digest back from the [`Store`]. [`Builder::import`] copies an image
//! of another registry. What always holds:
//!
//! - An image is given out only when its manifest and all its blobs are in the store, by digest.
//! - A build that fails, is cancelled or runs out of time leaves no process and no build container behind; one
//!   whose server was killed is cleaned up by [`Builder::sweep_interrupted`].
//! - A build runs on a network of its own, within memory, CPU, process and time limits, and can't start from
//!   another app's image or from the host's files.
//! - Whoever holds a [`Rest`] knows that no image is being built, imported or stored.
//! - Each error's text is complete: it goes to the person who pushed as it stands.

mod address;
pub mod analyze;
mod build;
mod buildpacks;
mod by_dockerfile;
mod cgroup;
mod choose;
mod config;
mod description;
mod dockerfile;
mod error;
pub mod export;
mod failure;
mod image_config;
mod import;
mod log;
mod output;
pub mod podman;
pub mod rebase;
mod rest;
mod sandbox;
mod secrets;
mod source;
pub mod stack;
mod sweep;
pub mod trust;

pub use address::Resolver;
pub use buildpacks::packed::Packed;
pub use config::{Config, Limits};
pub use error::BuildError;
pub use rest::Rest;
pub use sweep::Swept;

use buildpacks::{
    bundle::Bundle,
    folders,
    packed::LeftAlone,
    turns::{Held, Turns},
};
use choose::Way;
use config::MIB;
use description::Description;
use image_config::Facts;
use podman::Libpod;
use pvdify_registry::{Kind, Reference, References, Repository, Store};
use pvdify_types::{
    AppName, Binding, BuildId, BuildVars, BuildpackName, ConfigKey, Digest, ImageName, ImageRef, ProcessType,
    Setup,
};
use sandbox::Sandboxes;
use source::Source;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{OnceCell, mpsc};

/// Where the builder's images lie in Podman's storage: this, the app, `:` and the build's id, or `latest`.
pub const LOCAL_PREFIX: &str = "localhost/pvdify-build/";
/// The names of an app's images there that its next build takes layers from: the one a Dockerfile made, and those
/// that image extensions made to build in and to run on.
pub const KEPT_TAGS: [&str; 3] = [NEWEST, EXTENDED_BUILD, EXTENDED_RUN];
const NEWEST: &str = "latest";
const EXTENDED_BUILD: &str = "extended-build";
const EXTENDED_RUN: &str = "extended-run";
/// A disk that holds less than this part of what a build needs has run full.
const RAN_FULL: u64 = 16;

/// An image in the own registry, and what the source said about running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// `registry_address/app@digest`
    pub image: ImageRef,
    /// The Procfile's processes, `release` among them; without a Procfile `web` with the image's own command,
    /// which is the empty text.
    pub processes: BTreeMap<ProcessType, String>,
    /// The one TCP port that the image exposes.
    pub exposed_port: Option<u16>,
    /// app.json's readiness path of `web`.
    pub healthcheck_path: Option<String>,
    /// app.json's readiness time of `web`, in seconds.
    pub healthcheck_timeout: Option<u64>,
    /// Whether the image has the CNB launcher, which starts each process type as `/cnb/process/TYPE`; the commands of
    /// `processes` are then for people alone.
    pub launcher: bool,
    /// What the app begins with when this is its first deploy, by its app.json.
    pub setup: Setup,
}

/// What is built, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Names the repository in the registry.
    pub app: &'a AppName,
    /// This build.
    pub build: &'a BuildId,
    /// The source: an uncompressed tar file.
    pub source: &'a Path,
    /// The commit that the source is of.
    pub commit: Option<&'a str>,
    /// The buildpacks that the app was given; empty: as the source says, or as detected.
    pub buildpacks: &'a [BuildpackName],
    /// The config vars that are set, when this is the app's first deploy: app.json may ask for others.
    pub first_config: Option<&'a BTreeSet<ConfigKey>>,
    /// The config vars that its builds see: in the environment of buildpacks, as secrets of a Dockerfile's steps.
    pub config: &'a BuildVars,
    /// The services that the app is bound to: buildpacks see them, and certificates among them are trusted.
    pub bindings: &'a [Binding],
}

/// Builds and imports images. Clones share all.
#[derive(Clone)]
pub struct Builder {
    config: Arc<Config>,
    store: Store,
    podman: Libpod,
    work: rest::Work,
    bundle: Arc<OnceCell<Arc<Bundle>>>,
    resolver: Resolver,
    publishing: Arc<tokio::sync::Mutex<()>>,
    turns: Turns,
    sandboxes: Sandboxes,
    left_alone: LeftAlone,
}

impl Builder {
    /// A builder whose images go to `store`, which `config.registry_address` serves.
    #[must_use]
    pub fn new(config: Config, store: Store) -> Self {
        let podman = Libpod::new(config.podman_socket.clone());
        let config = Arc::new(config);
        Self {
            sandboxes: Sandboxes::new(podman.clone(), Arc::clone(&config)),
            config,
            store,
            podman,
            work: rest::Work::default(),
            bundle: Arc::default(),
            resolver: address::system(),
            publishing: Arc::default(),
            turns: Turns::default(),
            left_alone: LeftAlone::default(),
        }
    }

    /// The same with another way to find the addresses of names that builds and imports fetch from.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Builds the source and sends the log's lines to `output` as they come.
    ///
    /// Dropping the future cancels the build. A receiver of `output` that is gone does not.
    ///
    /// # Errors
    /// [`BuildError::Refused`] when the source is at fault, [`BuildError::Unavailable`] when the host is.
    pub async fn build(
        &self,
        request: Request<'_>,
        output: mpsc::Sender<String>,
    ) -> Result<Built, BuildError> {
        self.check_disk()?;
        let source = self.scan(request.source).await?;
        let description = Description::read(&source)?;
        if let Some(set) = request.first_config {
            description.setup.check(set).map_err(BuildError::Refused)?;
        }
        let chosen = choose::choose(
            &source,
            request.buildpacks,
            &description.project,
            &description.app_json,
        )
        .map_err(BuildError::Refused)?;
        let working = self.work.begin().await;
        match &chosen.way {
            Way::Dockerfile => self.by_dockerfile(&request, &source, description, &output).await,
            Way::Buildpacks(wanted) => {
                say(
                    &output,
                    &format!("-----> Building with buildpacks ({})", chosen.why),
                )
                .await;
                let turn = self.turns.wait(request.app).await;
                let held = Held::new(self.begin(request.build, "")?, turn, working);
                let exported = self
                    .by_buildpacks(&request, &source, &description.project, wanted, &held, &output)
                    .await
                    .map_err(BuildError::for_a_terminal)?;
                let processes = description::of_launch(&exported.processes);
                for line in description.lines_of_launch(&processes) {
                    say(&output, &line).await;
                }
                let (image, facts) = self.stored(request.app, &exported.digest).await?;
                say(&output, &format!("       {}", image.digest)).await;
                Ok(description.with_launch(image, &facts, processes))
            }
        }
    }

    /// Copies a prebuilt image into the own registry; a tag is resolved now and never again.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub async fn import(&self, app: &AppName, image: &ImageName) -> Result<Built, BuildError> {
        self.check_disk()?;
        let _working = self.work.begin().await;
        let repository = Repository::from(app);
        let limits = &self.config.limits;
        let copy = import::copy(
            &self.store,
            &repository,
            image,
            import::Purpose::App,
            &self.resolver,
            limits.image_bytes,
        );
        let digest = tokio::time::timeout(limits.timeout, copy)
            .await
            .unwrap_or_else(|_| Err(BuildError::unavailable(format!("fetching {image} took too long"))))?;
        let (image, facts) = self.stored(app, &digest).await?;
        Ok(Description::read(&Source::default())?.with(image, &facts))
    }

    /// Ends what builds of this installation left when their server was killed. Call it before the first build.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when Podman does not answer.
    pub async fn sweep_interrupted(&self) -> Result<Swept, BuildError> {
        let config = &self.config;
        Ok(sweep::interrupted(&self.podman, &config.work_dir, &config.installation).await?)
    }

    /// Makes what the first build would wait for, the network that it runs in. Call it after
    /// [`Builder::sweep_interrupted`], which removes the one of before.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when Podman can't.
    pub async fn get_ready(&self) -> Result<(), BuildError> {
        self.sandboxes.enter().await.map(drop)
    }

    /// Removes what failed and outdated builds left in Podman's storage for the next ones' sake, when it is
    /// older than `age`; gives the bytes that were freed. The newest image of each app stays.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when Podman does not answer.
    pub async fn prune_cache(&self, age: Duration) -> Result<u64, BuildError> {
        let label = format!("pvdify.installation={}", self.config.installation);
        Ok(self.podman.prune_images(&label, age).await?)
    }

    /// Waits for a moment in which nothing is built or imported; while the answer is held, new work waits. After
    /// `patience` without such a moment, new work waits already for the one under way to end.
    pub async fn rest(&self, patience: Duration) -> Rest {
        self.work.rest(patience).await
    }

    fn begin(&self, build: &BuildId, tag: &str) -> Result<Folder, BuildError> {
        let work_dir = self.config.work_dir.clone();
        let path = sweep::begin(&work_dir, build, tag).map_err(BuildError::disk)?;
        Ok(Folder { path, work_dir })
    }

    fn check_disk(&self) -> Result<(), BuildError> {
        let (free, needed) = self.disk()?;
        if free >= needed {
            return Ok(());
        }
        Err(BuildError::Unavailable(format!(
            "the server's disk is nearly full: {} MiB are free, a build needs {} MiB. Free space on it and deploy again",
            free / MIB,
            needed / MIB
        )))
    }

    /// Why a build failed that had room at its start and has none now: what Podman says then may be anything.
    pub(crate) fn ran_full(&self) -> Option<BuildError> {
        let (free, needed) = self.disk().ok()?;
        (free < needed / RAN_FULL).then(failure::disk_full)
    }

    /// The bytes that are free, and that must be for a build to begin.
    fn disk(&self) -> Result<(u64, u64), BuildError> {
        let config = &self.config;
        std::fs::create_dir_all(&config.work_dir).map_err(BuildError::disk)?;
        let free = folders::free(&config.work_dir).map_err(BuildError::disk)?;
        Ok((free, config.limits.free_bytes))
    }

    async fn scan(&self, source: &Path) -> Result<Source, BuildError> {
        let (path, limit) = (source.to_owned(), self.config.limits.context_bytes);
        tokio::task::spawn_blocking(move || source::scan(&path, limit))
            .await
            .map_err(BuildError::unavailable)?
            .map_err(BuildError::refused)
    }

    /// Checks that an image is whole in the store and not too large, and reads its facts.
    async fn stored(&self, app: &AppName, digest: &Digest) -> Result<(ImageRef, Facts), BuildError> {
        let repository = Repository::from(app);
        let incomplete = || BuildError::unavailable("the image is not whole in the registry: deploy again");
        let manifest = self
            .store
            .manifest(&repository, &Reference::Digest(digest.clone()))
            .await?
            .ok_or_else(incomplete)?;
        let references = References::parse(&manifest.bytes, Some(&manifest.media_type))
            .ok()
            .filter(|references| references.kind == Kind::Image)
            .ok_or_else(incomplete)?;
        image_config::check_size(&manifest.bytes, self.config.limits.image_bytes)
            .map_err(BuildError::Refused)?;
        for blob in &references.blobs {
            if !self.store.has_blob(&repository, blob).await? {
                return Err(incomplete());
            }
        }
        let config = references
            .blobs
            .first()
            .and_then(|blob| self.store.blob_path(blob));
        let json = tokio::fs::read(config.ok_or_else(incomplete)?)
            .await
            .map_err(BuildError::disk)?;
        let facts = image_config::read(&json).map_err(BuildError::Refused)?;
        let image = ImageRef {
            repository: format!("{}/{app}", self.config.registry_address),
            digest: digest.clone(),
        };
        Ok((image, facts))
    }
}

/// What it says may be a build's own words.
async fn say(output: &mpsc::Sender<String>, line: &str) {
    // Nobody may be listening any more; the build goes on all the same.
    output.send(log::plain(line)).await.ok();
}

/// A build's own folder, removed with its build.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    work_dir: PathBuf,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let removed = folders::put_away(&self.work_dir, &self.path);
        let remove = move || {
            if let Err(error) = removed.and_then(folders::PutAway::remove) {
                tracing::warn!(%error, "a build's folder could not be removed");
            }
        };
        // A build may have left more files than a thread of this server may be held up by.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

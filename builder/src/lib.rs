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
mod output;
pub mod podman;
pub mod rebase;
mod rest;
mod source;
mod sweep;

pub use address::Resolver;
pub use config::{Config, Limits};
pub use error::BuildError;
pub use rest::Rest;
pub use sweep::Swept;

use build::Run;
use cgroup::Cgroup;
use config::MIB;
use description::Description;
use dockerfile::{Dockerfile, DockerfileError, Foreign};
use image_config::Facts;
use podman::{Libpod, RegistryAuth};
use pvdify_registry::{Kind, Reference, References, Repository, Store};
use pvdify_types::{AppName, BuildId, Digest, ImageName, ImageRef, ProcessType};
use source::Source;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Where the builder's images lie in Podman's storage: this, the app, `:` and the build's id, or `latest`.
pub const LOCAL_PREFIX: &str = "localhost/pvdify-build/";
/// Names that one Dockerfile's ADDs may have looked up.
const MAX_HOSTS: usize = 100;
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
}

/// Builds and imports images. Clones share all.
#[derive(Clone)]
pub struct Builder {
    config: Arc<Config>,
    store: Store,
    podman: Libpod,
    work: rest::Work,
    resolver: Resolver,
}

impl Builder {
    /// A builder whose images go to `store`, which `config.registry_address` serves.
    #[must_use]
    pub fn new(config: Config, store: Store) -> Self {
        let podman = Libpod::new(config.podman_socket.clone());
        Self {
            config: Arc::new(config),
            store,
            podman,
            work: rest::Work::default(),
            resolver: address::system(),
        }
    }

    /// The same with another way to find the addresses of names that builds and imports fetch from.
    #[must_use]
    pub fn with_resolver(self, resolver: Resolver) -> Self {
        Self { resolver, ..self }
    }

    /// Builds the source, an uncompressed tar file, and sends the log's lines to `output` as they come.
    ///
    /// Dropping the future cancels the build. A receiver of `output` that is gone does not.
    ///
    /// # Errors
    /// [`BuildError::Refused`] when the source is at fault, [`BuildError::Unavailable`] when the host is.
    pub async fn build(
        &self,
        app: &AppName,
        build: &BuildId,
        source: &Path,
        output: mpsc::Sender<String>,
    ) -> Result<Built, BuildError> {
        self.check_disk()?;
        let scanned = self.scan(source).await?;
        let description = Description::read(&scanned)?;
        let dockerfile = self.dockerfile(&scanned)?;
        let _working = self.work.begin().await;
        self.check_remotes(&dockerfile).await?;
        let tag = format!("{LOCAL_PREFIX}{app}:{build}");
        let folder = Folder(sweep::begin(&self.config.work_dir, build, &tag).map_err(disk_error)?);
        for line in description.lines() {
            say(&output, &line).await;
        }
        say(&output, "-----> Building with Dockerfile").await;
        let prepare = || self.prepare(app, build, source, &dockerfile, &folder, &tag);
        let mut result = prepare().await?.build(&output).await;
        if result.as_ref().is_err_and(|failed| failed.again) {
            let line = "       Podman's storage changed during the build; building again";
            say(&output, line).await;
            result = prepare().await?.build(&output).await;
        }
        if let Err(failed) = result {
            self.remove_tag(&tag).await;
            return Err(self.ran_full().unwrap_or(failed.error));
        }
        say(&output, "-----> Storing the image").await;
        let pushed = tokio::time::timeout(self.config.limits.timeout, self.push(app, build, &tag))
            .await
            .unwrap_or_else(|_| {
                Err(BuildError::unavailable(
                    "storing the image took too long: push again",
                ))
            });
        self.retire(app, &tag).await;
        let digest = pushed?;
        let (image, facts) = self.stored(app, &digest).await?;
        if description.needs_own_command() && !facts.has_command {
            return Err(BuildError::refused(
                "the image says nothing to run: add CMD to the Dockerfile, or a Procfile beside it",
            ));
        }
        say(&output, &format!("       {}", image.digest)).await;
        Ok(description.with(image, &facts))
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
    fn ran_full(&self) -> Option<BuildError> {
        let (free, needed) = self.disk().ok()?;
        (free < needed / RAN_FULL).then(failure::disk_full)
    }

    /// The bytes that are free, and that must be for a build to begin.
    fn disk(&self) -> Result<(u64, u64), BuildError> {
        let config = &self.config;
        std::fs::create_dir_all(&config.work_dir).map_err(disk_error)?;
        let disk = rustix::fs::statvfs(&config.work_dir).map_err(|error| disk_error(error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok((free, config.limits.free_bytes))
    }

    async fn scan(&self, source: &Path) -> Result<Source, BuildError> {
        let (path, limit) = (source.to_owned(), self.config.limits.context_bytes);
        tokio::task::spawn_blocking(move || source::scan(&path, limit))
            .await
            .map_err(BuildError::unavailable)?
            .map_err(BuildError::refused)
    }

    fn dockerfile(&self, source: &Source) -> Result<Dockerfile, BuildError> {
        let bytes = choose::choose(source).map_err(BuildError::Refused)?;
        let dockerfile = Dockerfile::parse(bytes).map_err(BuildError::refused)?;
        let foreign = Foreign {
            registry: &self.config.registry_address,
            local_prefix: LOCAL_PREFIX,
        };
        dockerfile
            .check(&source.links, &foreign)
            .map_err(BuildError::refused)?;
        Ok(dockerfile)
    }

    /// Refuses an ADD from a name whose address is not public.
    async fn check_remotes(&self, dockerfile: &Dockerfile) -> Result<(), BuildError> {
        let hosts: BTreeSet<String> = dockerfile.remotes().map(|remote| remote.host).collect();
        if hosts.len() > MAX_HOSTS {
            return Err(BuildError::Refused(format!(
                "the Dockerfile has ADD from {} hosts, at most {MAX_HOSTS} are allowed",
                hosts.len()
            )));
        }
        let Some((host, address)) = address::first_refused(&self.resolver, hosts, address::is_public).await
        else {
            return Ok(());
        };
        let (line, word) = dockerfile
            .remotes()
            .find(|remote| remote.host == host)
            .map_or((1, ""), |remote| (remote.line, remote.word));
        Err(BuildError::refused(DockerfileError::new(
            line,
            format!(
                "ADD {word} is not allowed: {host} is {address}, and files are fetched from public addresses only; use RUN with curl instead"
            ),
        )))
    }

    async fn prepare<'a>(
        &'a self,
        app: &'a AppName,
        build: &BuildId,
        source: &'a Path,
        dockerfile: &'a Dockerfile,
        folder: &Folder,
        tag: &'a str,
    ) -> Result<Run<'a>, BuildError> {
        let config = &self.config;
        let ca = match &config.build_ca {
            None => None,
            Some(path) => Some(tokio::fs::read(path).await.map_err(|error| {
                BuildError::unavailable(format!("the build CA {} can't be read: {error}", path.display()))
            })?),
        };
        // Podman is another process: it may have another working folder.
        let dockerfile_path = std::path::absolute(folder.0.join("Dockerfile")).map_err(disk_error)?;
        tokio::fs::write(&dockerfile_path, dockerfile.render(app, ca.is_some()))
            .await
            .map_err(disk_error)?;
        let cgroup = Cgroup::of(&config.installation, build);
        if let Some(Err(error)) = cgroup.as_ref().map(|group| group.create(config.limits.pids)) {
            tracing::warn!(%error, "builds run without a limit of processes");
        }
        Ok(Run {
            podman: &self.podman,
            app,
            installation: &config.installation,
            limits: &config.limits,
            dockerfile,
            dockerfile_path,
            source,
            ca,
            tag,
            cgroup,
        })
    }

    /// Pushes under the build's id as tag, and reads back which digest that tag now has.
    async fn push(&self, app: &AppName, build: &BuildId, tag: &str) -> Result<Digest, BuildError> {
        let config = &self.config;
        let (username, password) = config.registry_credentials.clone();
        let auth = RegistryAuth { username, password };
        let destination = format!("{}/{app}:{build}", config.registry_address);
        let said = self
            .podman
            .push_image(tag, &destination, Some(&auth), false)
            .await?;
        let repository = Repository::from(app);
        let reference: Reference = build
            .as_str()
            .parse()
            .map_err(|error| BuildError::unavailable(format!("the build's id is no tag: {error}")))?;
        let manifest = self.store.manifest(&repository, &reference).await?;
        let missing =
            || BuildError::unavailable("the image was pushed but is not in the registry: push again");
        let digest = manifest.ok_or_else(missing)?.digest;
        match said {
            Some(said) if said != digest => Err(missing()),
            _ => Ok(digest),
        }
    }

    /// Keeps the app's newest image under one name, for its layers' sake, and lets the one before it go.
    async fn retire(&self, app: &AppName, tag: &str) {
        let newest = format!("{LOCAL_PREFIX}{app}:latest");
        let before = self.podman.image_id(&newest).await.ok().flatten();
        let repository = format!("{LOCAL_PREFIX}{app}");
        if let Err(error) = self.podman.tag(tag, &repository, "latest").await {
            tracing::warn!(%error, %app, "the built image could not be kept for the next build");
        }
        self.remove_tag(tag).await;
        let now = self.podman.image_id(&newest).await.ok().flatten();
        if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
            // Refused, rightly, while a container or another name uses it.
            self.podman.remove_image(&before, false).await.ok();
        }
    }

    async fn remove_tag(&self, tag: &str) {
        if let Err(error) = self.podman.remove_image(tag, false).await {
            tracing::warn!(%error, tag, "a build's image could not be removed from Podman");
        }
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
            .map_err(disk_error)?;
        let facts = image_config::read(&json).map_err(BuildError::Refused)?;
        let image = ImageRef {
            repository: format!("{}/{app}", self.config.registry_address),
            digest: digest.clone(),
        };
        Ok((image, facts))
    }
}

async fn say(output: &mpsc::Sender<String>, line: &str) {
    // Nobody may be listening any more; the build goes on all the same.
    output.send(line.to_owned()).await.ok();
}

fn disk_error(error: std::io::Error) -> BuildError {
    pvdify_registry::StoreError::from(error).into()
}

/// A build's own folder, removed with its build.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

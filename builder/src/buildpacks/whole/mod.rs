//! Whole builder images: builds in an image of somebody else, by its own lifecycle and buildpacks, for apps that stand
//! on the run image that it names (platform.md, "Builder").
//!
//! ```text
//! kept.rs    both images in our own registry      files.rs   what of the builder's /cnb counts here
//!      \                                             /
//!       `------------- facts.rs --------------------'        can a build run in it, as whom, by which Platform API
//!                          |
//!                      order.rs                              which of its buildpacks, in which order
//! ```
//!
//! The container is as powerless as that of our own stack, and so is the user, whoever the builder says it is but root.
//! Unpacking, restoring, layers on disk and export stay ours: they are what makes builds fast and safe. Detection, build
//! and the launcher are the builder's, as the specification has it: its buildpacks were made for them.
//!
//! What always holds: until a builder and its run image are here and understood, nothing of the app changes.

pub(crate) mod facts;
mod files;
mod kept;
mod order;

use super::{folders::AppFolder, ground::Ground};
use crate::{
    BuildError, Builder, Request,
    choose::Wanted,
    export::{RunImage, StoredImage},
    podman::RegistryAuth,
    say,
};
use facts::{Facts, Names};
use kept::{BUILDERS, Kept, RUN_IMAGES};
use pvdify_cnb::{group::Order, project::Project};
use pvdify_registry::Reference;
use pvdify_types::{AppName, BuildpackKind, Digest, ImageName};
use tokio::sync::mpsc;

/// A builder to build with.
pub(crate) struct Whole {
    pub(crate) ground: Ground,
    pub(crate) order: Order,
    image: Digest,
    run_image: Digest,
}

/// A build that may be by a builder.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) wanted: &'a Wanted,
    pub(crate) project: &'a Project,
    pub(crate) app: &'a AppFolder,
    pub(crate) output: &'a mpsc::Sender<String>,
}

impl Builder {
    /// The builder that is named first, brought here; nothing when what is named is none.
    pub(crate) async fn whole(&self, asked: &Asked<'_>) -> Result<Option<Whole>, BuildError> {
        let Wanted::Named(names) = asked.wanted else {
            return Ok(None);
        };
        let Some((name, others)) = names.split_first() else {
            return Ok(None);
        };
        let BuildpackKind::Image { image } = name.kind() else {
            return Ok(None);
        };
        let image: ImageName = image
            .parse()
            .map_err(|error| BuildError::Refused(format!("the buildpack {name}: {error}")))?;
        let builders = Kept::new(self, BUILDERS, asked.request.app)?;
        let before = asked.app.ground();
        let is_same = before
            .split_once(' ')
            .is_some_and(|(before, _)| before == name.as_str());
        let kept = if is_same { builders.current().await? } else { None };
        let Some(digest) = asked.builder(&builders, &image, kept.as_ref()).await? else {
            return Ok(None);
        };
        let stored = builders.read(&digest).await?;
        let refused = |why: String| BuildError::Refused(format!("the builder {image}: {why}"));
        let files = asked.files(self, &stored).await?;
        let facts = Facts::read(&stored, &files.texts).map_err(refused)?;
        let launcher = files.launcher.ok_or_else(|| {
            refused("it has no /cnb/lifecycle/launcher, by which its apps' processes start".to_owned())
        })?;
        let order = order::order(name, &facts, others, asked.project).map_err(BuildError::Refused)?;
        asked
            .say(&format!(
                "       lifecycle {}, Platform API {}, as user {}:{}",
                facts.lifecycle, facts.api, facts.owner.uid, facts.owner.gid
            ))
            .await;
        if facts.has_extensions {
            let text = " !     Its image extensions are left out: a whole builder is taken as it is";
            asked.say(text).await;
        }
        let runs = Kept::new(self, RUN_IMAGES, asked.request.app)?;
        let kept_run = if kept.as_ref() == Some(&digest) {
            runs.current().await?
        } else {
            None
        };
        let run_image = asked.run_image(&runs, &image, &facts.run_image, kept_run).await?;
        let in_podman = self.in_podman(&digest).await?;
        let owner = facts.owner;
        Ok(Some(Whole {
            ground: Ground {
                image: in_podman,
                owner,
                api: facts.api,
                has_lifecycle: true,
                run_image: RunImage {
                    repository: runs.repository,
                    reference: Reference::Digest(run_image.clone()),
                    image: facts.run_image.image,
                    mirrors: facts.run_image.mirrors,
                },
                launcher,
                launcher_version: facts.lifecycle,
                note: format!("{name} {}:{} {}", owner.uid, owner.gid, facts.stack),
            },
            order,
            image: digest,
            run_image,
        }))
    }

    /// Makes them what the app builds with from now on; `None`: the server's own stack.
    pub(crate) async fn keep_whole(&self, app: &AppName, whole: Option<&Whole>) -> Result<(), BuildError> {
        for (repository, digest) in [
            (BUILDERS, whole.map(|whole| &whole.image)),
            (RUN_IMAGES, whole.map(|whole| &whole.run_image)),
        ] {
            let kept = Kept::new(self, repository, app)?;
            match digest {
                Some(digest) => kept.keep(digest).await?,
                None => kept.let_go().await?,
            }
        }
        Ok(())
    }

    /// Podman's name for it, once it has it: from our own registry, as the images of apps.
    async fn in_podman(&self, digest: &Digest) -> Result<String, BuildError> {
        let name = format!("{}/{BUILDERS}@{digest}", self.config.registry_address);
        if !self.podman.image_exists(&name).await? {
            let (username, password) = self.config.registry_credentials.clone();
            let auth = RegistryAuth { username, password };
            self.podman.pull_image(&name, Some(&auth), false).await?;
        }
        Ok(name)
    }
}

impl Asked<'_> {
    async fn say(&self, line: &str) {
        say(self.output, line).await;
    }

    /// Brings the builder; nothing when the image is none. `kept` is the one that the last build had by this name.
    async fn builder(
        &self,
        builders: &Kept<'_>,
        image: &ImageName,
        kept: Option<&Digest>,
    ) -> Result<Option<Digest>, BuildError> {
        let using = format!("-----> Using the builder {image}");
        let found = match (builders.look(image).await, kept) {
            (Ok(found), _) => found,
            (Err(BuildError::Unavailable(why)), Some(kept)) => {
                self.say(&using).await;
                self.say(&format!(" !     {why}: taken as it was for the last build"))
                    .await;
                self.say(&format!("       {kept}")).await;
                return Ok(Some(kept.clone()));
            }
            (Err(error), _) => return Err(error),
        };
        if !facts::is_builder(&found.config) {
            return Ok(None);
        }
        self.say(&using).await;
        self.bring(builders, image, &found).await?;
        Ok(Some(found.digest))
    }

    /// Brings the run image, by the first of its names that it can be had by.
    async fn run_image(
        &self,
        runs: &Kept<'_>,
        builder: &ImageName,
        names: &Names,
        kept: Option<Digest>,
    ) -> Result<Digest, BuildError> {
        let (mut reasons, mut may_come) = (Vec::new(), false);
        for name in std::iter::once(&names.image).chain(&names.mirrors) {
            let image: ImageName = name.parse().map_err(BuildError::refused)?;
            match self.run_image_by(runs, &image).await {
                Ok(digest) => return Ok(digest),
                Err(error) => {
                    may_come |= matches!(error, BuildError::Unavailable(_));
                    reasons.push(error.to_string());
                }
            }
        }
        let reasons = reasons.join("; ");
        if let Some(kept) = kept.filter(|_| may_come) {
            self.say(&format!(" !     {reasons}: taken as it was for the last build"))
                .await;
            self.say(&format!("       run image {} at {kept}", names.image))
                .await;
            return Ok(kept);
        }
        let text = format!("the run image of the builder {builder} can't be had: {reasons}");
        Err(if may_come {
            BuildError::Unavailable(text)
        } else {
            BuildError::Refused(text)
        })
    }

    async fn run_image_by(&self, runs: &Kept<'_>, image: &ImageName) -> Result<Digest, BuildError> {
        let found = runs.look(image).await?;
        self.say(&format!("       run image {image}")).await;
        self.bring(runs, image, &found).await?;
        Ok(found.digest)
    }

    /// Copies an image here, unless it is.
    async fn bring(
        &self,
        kept: &Kept<'_>,
        image: &ImageName,
        found: &crate::import::Found,
    ) -> Result<(), BuildError> {
        let is_here = kept.has(&found.digest).await?;
        if !is_here {
            self.say(&format!("       fetching {} MB", found.size() / 1_000_000))
                .await;
        }
        kept.copy(image, found).await?;
        self.say(&format!("       {}", found.digest)).await;
        Ok(())
    }

    async fn files(&self, builder: &Builder, image: &StoredImage) -> Result<files::Taken, BuildError> {
        let mut layers = Vec::new();
        for layer in &image.layers {
            let digest: Digest = layer.blob.digest.parse().map_err(BuildError::refused)?;
            let path = builder.store.blob_path(&digest).ok_or_else(|| {
                BuildError::unavailable(format!(
                    "the builder's layer {digest} is not in the registry: push again"
                ))
            })?;
            layers.push((layer.blob.media_type.clone(), path));
        }
        let (folder, digest) = (self.app.builder(), image.digest.clone());
        tokio::task::spawn_blocking(move || files::take(&folder, &digest, &layers))
            .await
            .map_err(BuildError::unavailable)?
            .map_err(|error| match error.raw_os_error() {
                // The host's own trouble, as a full disk.
                Some(_) => BuildError::disk(error),
                None => BuildError::Refused(format!("the builder's files in /cnb: {error}")),
            })
    }
}

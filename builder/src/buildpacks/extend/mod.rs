//! Image extensions: their Dockerfiles (`generated.rs`), applied one after the other to the image that the build goes
//! on in and to the image that the app will run on (platform.md, "extender").
//!
//! They run as root in containers of Podman's build, which is what a pushed Dockerfile may do as well; the same rules,
//! limits and clean-up hold. What always holds:
//!
//! - Nothing is applied before all that was written is read and found to be in order.
//! - The build goes on as the unprivileged user, whatever user its image says.
//! - An app does not run as root on an extended image.
//! - The same Dockerfiles, arguments and files on the same image are not run again, unless one asks for it by build_id.

mod apply;
mod context;
mod generated;
mod kept;

use super::{folders::AppFolder, turns::Held};
use crate::{
    BuildError, Builder, EXTENDED_BUILD, EXTENDED_RUN, LOCAL_PREFIX, Request,
    dockerfile::Additions,
    export::{Extended, StoredImage},
    podman::ImageDetails,
    say,
    source::Source,
    stack::RUN_IMAGE,
};
use apply::Applied;
use context::Context;
use generated::Written;
use kept::{Kept, Made, MadeRun};
use pvdify_cnb::extension::{Begins, Image, counting, is_root};
use pvdify_registry::{Reference, Repository};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use tokio::{sync::mpsc, time::Instant};

/// Extends the images of one build.
pub(crate) struct Extender<'a> {
    pub(crate) builder: &'a Builder,
    pub(crate) request: &'a Request<'a>,
    pub(crate) source: &'a Source,
    pub(crate) held: &'a Held,
    pub(crate) app: &'a AppFolder,
    /// The run image's name with its digest.
    pub(crate) base: String,
    /// What its builds trust.
    pub(crate) ca: Option<&'a [u8]>,
    /// When the build has to be over.
    pub(crate) deadline: Instant,
    pub(crate) output: &'a mpsc::Sender<String>,
}

/// The images, where they were extended.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// To go on building in.
    pub(crate) build: Option<String>,
    /// To run on.
    pub(crate) run: Option<Extended>,
}

/// A Dockerfile, ready to be applied.
struct Step {
    written: Written,
    context: Context,
}

impl Extender<'_> {
    /// Extends what the extensions want extended, and lets go of what was kept for what they do not.
    pub(crate) async fn extend(&self) -> Result<Images, BuildError> {
        let steps = self.steps().await?;
        let mut kept = Kept::read(self.app.folder());
        let mut images = Images::default();
        for image in Image::BOTH {
            let own: Vec<&Step> = steps.iter().filter(|step| step.written.image == image).collect();
            let made = self.image(image, &own, kept.of(image)).await?;
            match (image, &made) {
                (_, None) => {}
                (Image::Build, Some(made)) => images.build = Some(made.image.clone()),
                (Image::Run, Some(made)) => {
                    images.run = made.run.as_ref().map(|run| run.extended(&self.base));
                }
            }
            if made.is_none() && kept.of(image).is_some() {
                self.builder.remove_tag(&self.tag(kind(image))).await;
            }
            if kept.of(image) != made.as_ref() {
                kept.set(image, made).map_err(BuildError::disk)?;
            }
        }
        Ok(images)
    }

    /// All Dockerfiles, found to be in order, with what they may copy.
    async fn steps(&self) -> Result<Vec<Step>, BuildError> {
        let (layers, folder) = (self.app.layers(), self.held.folder.path.clone());
        let (source, links) = (self.request.source.to_owned(), self.source.links.clone());
        let limit = self.builder.config.limits.context_bytes;
        let read = move || {
            let mut steps = Vec::new();
            // Read through once, however many copy from it.
            let mut pushed = None;
            for (number, written) in generated::read(&layers)?.into_iter().enumerate() {
                let to = folder.join(format!("context-{number}.tar"));
                let context = match &written.context {
                    _ if !written.dockerfile.copies() => context::empty(&to).map_err(BuildError::disk)?,
                    None => match &pushed {
                        Some(context) => Context::clone(context),
                        None => pushed
                            .insert(context::of_tar(&source, links.clone()).map_err(BuildError::disk)?)
                            .clone(),
                    },
                    Some(from) => {
                        let packed = context::of_folder(&layers, from, &to, limit);
                        let name = from.file_name().unwrap_or_default().display().to_string();
                        packed.map_err(|error| written.refused(format!("{name}: {error}")))?
                    }
                };
                steps.push(Step { written, context });
            }
            Ok::<_, BuildError>(steps)
        };
        let steps = tokio::task::spawn_blocking(read)
            .await
            .map_err(BuildError::unavailable)??;
        for step in &steps {
            let (written, dockerfile) = (&step.written, &step.written.dockerfile);
            dockerfile
                .check_extension(&written.begins, &step.context.links, &self.builder.foreign())
                .map_err(|error| written.refused(error))?;
            let checked = self.builder.check_remotes(dockerfile).await;
            checked.map_err(|error| written.refused(error))?;
        }
        Ok(steps)
    }

    /// One image, as all its Dockerfiles leave it.
    async fn image(
        &self,
        image: Image,
        all: &[&Step],
        kept: Option<&Made>,
    ) -> Result<Option<Made>, BuildError> {
        if all.is_empty() {
            return Ok(None);
        }
        self.say(&format!("-----> Extending the {} image", image.name()))
            .await;
        let begins: Vec<Begins> = all.iter().map(|step| step.written.begins.clone()).collect();
        let (idle, steps) = all.split_at(counting(&begins));
        for step in idle {
            let (extension, file) = (&step.written.extension, image.dockerfile());
            let line =
                format!("       {extension}: its {file} does not count: a later one names another image");
            self.say(&line).await;
        }
        let base = self.base_image(image).await?;
        let key = self.key(&base, steps);
        if let Some(made) = self.unchanged(kept, &key, steps).await? {
            for step in steps {
                let (extension, file) = (&step.written.extension, image.dockerfile());
                self.say(&format!("       {extension}: {file} is unchanged"))
                    .await;
            }
            self.say("       Using the image of the last build again").await;
            return Ok(Some(made));
        }
        let tag = self.tag(self.request.build.as_str());
        // A server that is killed finds what to remove by it.
        std::fs::write(self.held.folder.path.join("tag"), &tag).map_err(BuildError::disk)?;
        let mut applied = Applied {
            is_own: true,
            now: base.clone(),
            below: base.root_fs.layers.len(),
            rebasable: true,
        };
        for step in steps {
            self.apply(step, &mut applied, &tag).await?;
        }
        // Of an image that is only named, the export sees to it.
        let ends_as_named = steps
            .last()
            .is_some_and(|step| matches!(step.written.begins, Begins::Other { extends: false, .. }));
        if image == Image::Run && !ends_as_named && is_root(&applied.now.config.user) {
            self.builder.remove_tag(&tag).await;
            return Err(match steps.last() {
                Some(last) => last.written.refused(
                    "the app would run as root: end it with USER and who is not root, as ${user_id} or 10001",
                ),
                None => BuildError::unavailable("there is no Dockerfile"),
            });
        }
        let run = match image {
            Image::Build => None,
            Image::Run => {
                let other = steps.first().and_then(|step| match &step.written.begins {
                    Begins::Other { image, .. } => Some(image.clone()),
                    Begins::Given => None,
                });
                let digest = self.publish(&tag).await;
                if digest.is_err() {
                    self.builder.remove_tag(&tag).await;
                }
                Some(MadeRun {
                    digest: digest?,
                    below: applied.below,
                    other,
                    rebasable: applied.rebasable,
                })
            }
        };
        self.builder.keep(self.request.app, &tag, kind(image)).await;
        Ok(Some(Made {
            key,
            image: applied.now.id,
            run,
        }))
    }

    /// The image that is extended.
    async fn base_image(&self, image: Image) -> Result<ImageDetails, BuildError> {
        let name = match image {
            Image::Build => &self.builder.config.build_image,
            Image::Run => RUN_IMAGE,
        };
        self.builder.podman.image(name).await?.ok_or_else(|| {
            BuildError::unavailable(format!(
                "the image {name} is missing: run `pvdifyd stack build` on the server, then push again"
            ))
        })
    }

    /// Of all that an extended image is made of.
    fn key(&self, base: &ImageDetails, steps: &[&Step]) -> String {
        let additions = Additions::plain(self.request.app, self.ca.is_some());
        let of_step = |step: &&Step| {
            let written = &step.written;
            let text = written.dockerfile.render(additions);
            (text, written.args.clone(), step.context.digest.clone())
        };
        let all: Vec<(String, BTreeMap<String, String>, String)> = steps.iter().map(of_step).collect();
        let text = serde_json::to_vec(&(&base.id, all)).unwrap_or_default();
        hex::encode(Sha256::digest(text))
    }

    /// The image of before, if it is made of the same and still there.
    async fn unchanged(
        &self,
        kept: Option<&Made>,
        key: &str,
        steps: &[&Step],
    ) -> Result<Option<Made>, BuildError> {
        let wants_anew = steps
            .iter()
            .any(|step| step.written.dockerfile.refers_to("build_id"));
        let Some(made) = kept.filter(|made| made.key == key && !wants_anew) else {
            return Ok(None);
        };
        if !self.builder.podman.image_exists(&made.image).await? {
            return Ok(None);
        }
        let mut made = made.clone();
        if let Some(run) = &mut made.run
            && !self.is_whole(&run.digest).await?
        {
            let tag = self.tag(EXTENDED_RUN);
            run.digest = self.publish(&tag).await?;
        }
        Ok(Some(made))
    }

    /// Stores a run image in the app's own repository, where nothing but its layers stays that no image needs.
    async fn publish(&self, tag: &str) -> Result<Digest, BuildError> {
        let (builder, app, build) = (self.builder, self.request.app, self.request.build);
        let pushed = tokio::time::timeout_at(self.deadline, builder.push(app, build, tag)).await;
        let digest = pushed.unwrap_or_else(|_| {
            Err(BuildError::unavailable(
                "storing the extended run image took too long: push again",
            ))
        })?;
        let tag: Reference = build.as_str().parse().map_err(BuildError::unavailable)?;
        builder
            .store
            .delete_manifest(&Repository::from(app), &tag)
            .await?;
        Ok(digest)
    }

    /// Whether a run image and all its layers are in the registry.
    async fn is_whole(&self, digest: &Digest) -> Result<bool, BuildError> {
        let (store, repository) = (&self.builder.store, Repository::from(self.request.app));
        let reference = Reference::Digest(digest.clone());
        let Ok(Some(image)) = StoredImage::read(store, &repository, &reference).await else {
            return Ok(false);
        };
        for layer in &image.layers {
            let Ok(digest) = layer.blob.digest.parse() else {
                return Ok(false);
            };
            if !store.has_blob(&repository, &digest).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tag(&self, tag: &str) -> String {
        format!("{LOCAL_PREFIX}{}:{tag}", self.request.app)
    }

    async fn say(&self, line: &str) {
        say(self.output, line).await;
    }
}

/// Lets go of all extended images of an app that was built without any.
pub(crate) async fn forget(
    builder: &Builder,
    app: &AppFolder,
    request: &Request<'_>,
) -> Result<(), BuildError> {
    let mut kept = Kept::read(app.folder());
    for image in Image::BOTH {
        if kept.of(image).is_some() {
            let tag = format!("{LOCAL_PREFIX}{}:{}", request.app, kind(image));
            builder.remove_tag(&tag).await;
            kept.set(image, None).map_err(BuildError::disk)?;
        }
    }
    Ok(())
}

fn kind(image: Image) -> &'static str {
    match image {
        Image::Build => EXTENDED_BUILD,
        Image::Run => EXTENDED_RUN,
    }
}

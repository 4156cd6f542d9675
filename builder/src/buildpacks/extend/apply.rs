//! One extension's Dockerfile, put on an image by Podman's build (image_extension.md, "Phase: Extension").

use super::{Extender, Step};
use crate::{
    BuildError, buildpacks::owned::CNB, by_dockerfile::Input, dockerfile::Dockerfile, podman::ImageDetails,
};
use pvdify_cnb::{
    extension::{Begins, user_and_group},
    image::REBASABLE,
};
use pvdify_types::config_vars::NO_BUILD_VARS;
use tokio::time::Instant;

/// How far an image is extended.
pub(super) struct Applied {
    pub(super) now: ImageDetails,
    /// Whether it is the server's own still. That one is root's in Podman's storage, so that people can install
    /// packages on it in a Dockerfile; to extensions it is what builds and apps see of it.
    pub(super) is_own: bool,
    /// How many layers it began with.
    pub(super) below: usize,
    pub(super) rebasable: bool,
}

impl Extender<'_> {
    /// Puts one extension's Dockerfile on an image.
    pub(super) async fn apply(
        &self,
        step: &Step,
        applied: &mut Applied,
        tag: &str,
    ) -> Result<(), BuildError> {
        let (written, began) = (&step.written, Instant::now());
        let (extension, file) = (&written.extension, written.image.dockerfile());
        match &written.begins {
            Begins::Given => {
                self.say(&format!("       {extension}: {file}")).await;
                self.make(step, &written.dockerfile, applied, tag).await?;
            }
            Begins::Other { image, extends } => {
                self.say(&format!("       {extension}: {file}, on {image} instead"))
                    .await;
                self.make(step, &written.dockerfile.only_from(), applied, tag)
                    .await?;
                applied.below = applied.now.root_fs.layers.len();
                if *extends {
                    self.make(step, &written.dockerfile.on_given(), applied, tag)
                        .await?;
                }
            }
        }
        let only_switches = matches!(written.begins, Begins::Other { extends: false, .. });
        let label = applied.now.config.labels.get(REBASABLE).map(String::as_str);
        applied.rebasable &= only_switches || written.dockerfile.labels_rebasable() && label == Some("true");
        let seconds = began.elapsed().as_secs_f64();
        self.say(&format!("       {extension} took {seconds:.1} s")).await;
        Ok(())
    }

    async fn make(
        &self,
        step: &Step,
        dockerfile: &Dockerfile,
        applied: &mut Applied,
        tag: &str,
    ) -> Result<(), BuildError> {
        let written = &step.written;
        let own = applied.is_own.then(|| format!("{}:{}", CNB.uid, CNB.gid));
        let own = own.filter(|_| applied.now.config.user.is_empty() && dockerfile.declares("base_image"));
        let user = own.as_ref().unwrap_or(&applied.now.config.user);
        let mut args = written.args.clone();
        let (user_id, group_id) = user_and_group(user);
        let given = [
            ("base_image", applied.now.id.clone()),
            ("build_id", self.request.build.to_string()),
            ("user_id", user_id),
            ("group_id", group_id),
        ];
        let declared = given.into_iter().filter(|(name, _)| dockerfile.declares(name));
        args.extend(declared.map(|(name, value)| (name.to_owned(), value)));
        let dockerfile = Dockerfile {
            instructions: dockerfile.instructions.clone(),
            user: own,
        };
        let input = Input {
            app: self.request.app,
            build: self.request.build,
            source: &step.context.tar,
            dockerfile: &dockerfile,
            ca: self.ca,
            config: NO_BUILD_VARS,
            args: &args,
            deadline: self.deadline,
            folder: &self.held.folder,
            tag,
        };
        match self.builder.make(&input, self.output).await {
            Err(BuildError::Refused(text)) => return Err(written.refused(text)),
            made => made?,
        }
        let lost = || BuildError::unavailable("Podman lost an extended image: push again");
        applied.now = self.builder.podman.image(tag).await?.ok_or_else(lost)?;
        applied.is_own = false;
        Ok(())
    }
}

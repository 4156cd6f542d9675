//! What a build runs in and what its image stands on: the server's own stack, or a whole builder image of somebody
//! else with the run image that it names.

use super::{bundle::Bundle, owned};
use crate::{
    BuildError, Builder,
    export::{Owner, RunImage},
};
use pvdify_cnb::api::{self, Api};
use std::path::PathBuf;

/// A build's ground.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    /// The image in Podman's storage that it runs in.
    pub(crate) image: String,
    /// As whom, and whom the files in the app's image belong to.
    pub(crate) owner: Owner,
    /// The Platform API that is spoken with whoever detects, builds and launches.
    pub(crate) api: Api,
    /// Whether the image has a lifecycle of its own, whose detector and builder run, and buildpacks of its own.
    pub(crate) has_lifecycle: bool,
    /// What is below the app.
    pub(crate) run_image: RunImage,
    /// The launcher's program, on the host, and its version.
    pub(crate) launcher: PathBuf,
    pub(crate) launcher_version: String,
    /// What layers on this ground are known by: those of another one are of no use.
    pub(crate) note: String,
}

impl Builder {
    /// The server's own stack.
    pub(crate) async fn own_ground(&self, bundle: &Bundle) -> Result<Ground, BuildError> {
        self.publish_run_image_at_work().await?;
        Ok(Ground {
            image: self.config.build_image.clone(),
            owner: owned::CNB,
            api: api::PLATFORM,
            has_lifecycle: false,
            run_image: self.run_image()?,
            launcher: bundle.launcher(),
            launcher_version: env!("CARGO_PKG_VERSION").to_owned(),
            note: String::new(),
        })
    }
}

//! What the use cases need from outside: something that builds images, something that imports them.
//!
//! `boot` gives them the builder crate; tests give them a scripted one.

use async_trait::async_trait;
use pvdify_types::{
    AppName, Binding, BuildId, BuildVars, BuildpackName, ConfigKey, Digest, ImageName, ImageRef, ProcessType,
    Setup,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};
use tokio::sync::mpsc;

/// A source tree to build.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Names the repository in the registry.
    pub app: AppName,
    /// This build.
    pub build: BuildId,
    /// The source tree: an uncompressed tar file on disk, removed by the caller.
    pub source: PathBuf,
    /// The commit that it is of.
    pub commit: String,
    /// The buildpacks that the app was given; none: as the source says, or as detected.
    pub buildpacks: Vec<BuildpackName>,
    /// The config vars that are set, when this is the app's first deploy: its app.json may ask for others.
    pub first_config: Option<BTreeSet<ConfigKey>>,
    /// The config vars that its builds see.
    pub config: BuildVars,
    /// The services that the app is bound to.
    pub bindings: Vec<Binding>,
}

/// What a build or an import gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltImage {
    /// Pinned, in our own registry.
    pub image: ImageRef,
    /// Process types and commands; an empty command is the image's own.
    pub processes: BTreeMap<ProcessType, String>,
    /// The one TCP port that the image exposes; `None` when it exposes none or several.
    pub exposed_port: Option<u16>,
    /// app.json's HTTP readiness path of `web`.
    pub healthcheck_path: Option<String>,
    /// app.json's readiness timeout of `web`, in seconds.
    pub healthcheck_timeout: Option<u64>,
    /// Whether the image's own launcher starts its processes; the commands are then for people.
    pub launcher: bool,
    /// What the app begins with when this is its first deploy.
    pub setup: Setup,
}

/// The published run image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunImage {
    /// Of its manifest.
    pub digest: Digest,
    /// Whether it was published only now.
    pub changed: bool,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The source, the Dockerfile or the reference is at fault; the text is for the person and complete.
    #[error("{0}")]
    Refused(String),
    /// The engine, the registry or the disk is at fault; the text is for the person, the log has more.
    #[error("{0}")]
    Unavailable(String),
}

/// Builds and imports images.
#[async_trait]
pub trait Images: Send + Sync {
    /// Builds; each line of output goes to `output` as it comes, ready to be shown.
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, ImageError>;
    /// Resolves a name (its tag or digest) once and copies its content into our own registry.
    async fn import(&self, app: &AppName, image: &ImageName) -> Result<BuiltImage, ImageError>;
    /// Publishes the run image in our own registry, unless it is what is published.
    async fn publish_run_image(&self) -> Result<RunImage, ImageError>;
    /// Puts an app's image on the published run image, without a build; the same image when it stands on it
    /// already. [`ImageError::Refused`] when it has to be deployed anew for that.
    async fn rebase(&self, app: &AppName, image: &ImageRef) -> Result<ImageRef, ImageError>;
    /// Forgets what is kept of a deleted app for its next build, once one that is under way has ended.
    async fn forget(&self, app: &AppName) -> Result<(), ImageError>;
}

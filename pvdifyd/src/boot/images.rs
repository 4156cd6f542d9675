//! Gives the use cases the builder crate: the same words on both sides, so this only passes them on.

use crate::{
    app::ports::{BuildRequest, BuiltImage, ImageError, Images, RunImage},
    config::Config,
    engine::{podman::RegistryAccess, probe::Limits},
};
use async_trait::async_trait;
use pvdify_builder::{BuildError, Builder, Built, Request};
use pvdify_types::{AppName, ImageName, ImageRef, InstallationId};
use std::{path::Path, time::Duration};
use tokio::sync::mpsc;

/// The builder crate behind the port of the use cases.
pub(super) struct BuilderImages(Builder);

impl BuilderImages {
    pub(super) fn new(
        config: &Config,
        podman_socket: &Path,
        host: &Limits,
        own: &RegistryAccess,
        installation: &InstallationId,
        blobs: pvdify_registry::Store,
    ) -> Self {
        let limits = pvdify_builder::Limits {
            memory_bytes: config.build_memory_bytes,
            timeout: config.build_timeout,
            disk_bytes: config.build_disk_bytes,
            nofile: host.nofile,
            nproc: host.nproc,
            ..pvdify_builder::Limits::default()
        };
        let settings = pvdify_builder::Config {
            podman_socket: podman_socket.to_owned(),
            registry_address: own.address.clone(),
            registry_credentials: (own.user.clone(), own.password.clone()),
            work_dir: config.state_dir.join("builds"),
            limits,
            build_ca: config.build_ca.clone(),
            build_env: config.build_env.clone(),
            programs: config.programs_dir.clone(),
            build_image: pvdify_builder::stack::BUILD_IMAGE.to_owned(),
            oci_runtime: host.runtime.clone(),
            installation: installation.clone(),
        };
        Self(Builder::new(settings, blobs))
    }

    /// Clones share all, so whoever removes images knows by it of the builds under way.
    pub(super) fn builder(&self) -> Builder {
        self.0.clone()
    }

    /// What a killed build left in the engine goes, while everything else starts: apps answer at once however long
    /// it takes, and new builds wait for it. That it could not go is no reason not to start.
    pub(super) async fn sweep_interrupted(&self) {
        let builder = self.0.clone();
        let rest = builder.rest(Duration::ZERO).await;
        tokio::spawn(async move {
            if let Err(error) = builder.sweep_interrupted().await {
                tracing::warn!(%error, "what an interrupted build left could not be removed");
            }
            if let Err(error) = builder.get_ready().await {
                tracing::warn!(%error, "the network that builds run in could not be made ahead of them");
            }
            drop(rest);
        });
    }
}

#[async_trait]
impl Images for BuilderImages {
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, ImageError> {
        let request = Request {
            app: &request.app,
            build: &request.build,
            source: &request.source,
            commit: Some(&request.commit),
            buildpacks: &request.buildpacks,
            first_config: request.first_config.as_ref(),
            config: &request.config,
            bindings: &request.bindings,
        };
        let built = self.0.build(request, output).await;
        built.map(pass_on).map_err(explain)
    }

    async fn import(&self, app: &AppName, image: &ImageName) -> Result<BuiltImage, ImageError> {
        self.0.import(app, image).await.map(pass_on).map_err(explain)
    }

    async fn publish_run_image(&self) -> Result<RunImage, ImageError> {
        let published = self.0.publish_run_image().await.map_err(explain)?;
        Ok(RunImage {
            digest: published.digest,
            changed: published.changed,
        })
    }

    async fn rebase(&self, app: &AppName, image: &ImageRef) -> Result<ImageRef, ImageError> {
        let digest = self.0.rebase(app, &image.digest).await.map_err(explain)?;
        Ok(ImageRef {
            repository: image.repository.clone(),
            digest,
        })
    }

    async fn forget(&self, app: &AppName) -> Result<(), ImageError> {
        self.0.forget(app).await.map_err(explain)
    }
}

fn pass_on(built: Built) -> BuiltImage {
    BuiltImage {
        image: built.image,
        processes: built.processes,
        exposed_port: built.exposed_port,
        healthcheck_path: built.healthcheck_path,
        healthcheck_timeout: built.healthcheck_timeout,
        setup: built.setup,
        launcher: built.launcher,
    }
}

fn explain(error: BuildError) -> ImageError {
    match error {
        BuildError::Refused(text) => ImageError::Refused(text),
        BuildError::Unavailable(text) => ImageError::Unavailable(text),
    }
}

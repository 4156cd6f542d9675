//! Brings the run image into the own registry, where the layers of apps are put on it.

use crate::{
    BuildError, Config,
    export::RunImage,
    podman::{Libpod, RegistryAuth},
};
use pvdify_registry::{Reference, Repository, Store};
use std::fs;

/// Its repository; apps can't have names with a slash.
const REPOSITORY: &str = "pvdify/run";
/// Its tag: the release of Debian.
const TAG: &str = "trixie";

/// Pushes the run image of Podman's storage unless the registry has the same, and gives its name there.
pub(crate) async fn publish(podman: &Libpod, config: &Config, store: &Store) -> Result<RunImage, BuildError> {
    let id = podman.image_id(&config.run_image).await?.ok_or_else(|| {
        BuildError::unavailable(format!(
            "the run image {} is missing: run `pvdifyd stack build` on the server, then push again",
            config.run_image
        ))
    })?;
    let repository: Repository = REPOSITORY.parse().map_err(BuildError::unavailable)?;
    let reference: Reference = TAG.parse().map_err(BuildError::unavailable)?;
    let image = format!("{}/{REPOSITORY}:{TAG}", config.registry_address);
    let note = config.work_dir.join("_cnb/run-image");
    let is_there = fs::read_to_string(&note).is_ok_and(|noted| noted.trim() == id)
        && store.manifest(&repository, &reference).await?.is_some();
    if !is_there {
        let (username, password) = config.registry_credentials.clone();
        let auth = RegistryAuth { username, password };
        podman
            .push_image(&config.run_image, &image, Some(&auth), false)
            .await?;
        fs::write(&note, &id).map_err(BuildError::disk)?;
    }
    Ok(RunImage {
        repository,
        reference,
        image,
        mirrors: Vec::new(),
    })
}

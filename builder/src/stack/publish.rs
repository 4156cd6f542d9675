//! The run image in our own registry, where the images of apps stand on its layers.
//!
//! Podman has it as people start from it in a Dockerfile: as root, so that they can install packages. Apps run as
//! the unprivileged user, so the published one differs in its config; its layers are the same. The label [`SOURCE`]
//! in it tells which of Podman's images it was made from, so that it is published again only when that changed.

use super::{
    recipe::{CNB_ID, RUN_IMAGE},
    storage,
};
use crate::{BuildError, Builder, export::RunImage, podman::RegistryAuth, rebase::rebase};
use bytes::Bytes;
use futures_util::stream;
use pvdify_registry::{Reference, Repository, Store, Tag};
use pvdify_types::{AppName, Digest};
use serde_json::{Value, json};
use std::io::Read;

/// Repositories of this server's own, which no app and no token's bearer may write to.
pub const RESERVED_PREFIX: &str = "pvdify/";
/// The run image's repository in our registry.
pub const RUN_REPOSITORY: &str = "pvdify/run";
/// The run image's tag there.
pub const RUN_TAG: &str = "trixie";
/// The tag of what Podman pushed, until it is published.
const INCOMING: &str = "incoming";
/// The label that bears the id of Podman's image.
const SOURCE: &str = "pvdify.base.image";
/// The largest config that is read.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;

/// The run image as apps find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Of its manifest.
    pub digest: Digest,
    /// Whether it is another than before.
    pub changed: bool,
}

impl Builder {
    /// Publishes the run image, unless Podman's is what is published.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`] when there is none, or Podman or the registry is at fault.
    pub async fn publish_run_image(&self) -> Result<Published, BuildError> {
        let _working = self.work.begin().await;
        self.publish_run_image_at_work().await
    }

    /// The same for who has told already that work is under way.
    pub(crate) async fn publish_run_image_at_work(&self) -> Result<Published, BuildError> {
        let _one_at_a_time = self.publishing.lock().await;
        let repository = repository()?;
        let present = present(&self.store, &repository).await?;
        let Some(image) = storage::find(&self.podman, RUN_IMAGE).await? else {
            // Podman's storage may be emptied at any time; what is published is whole without it.
            return present.map(|(digest, _)| Published { digest, changed: false }).ok_or_else(|| {
                BuildError::unavailable(
                    "there is no run image for apps: run `pvdifyd stack build` on the server, then push again",
                )
            });
        };
        if let Some((digest, _)) = present.filter(|(_, source)| *source == image.id) {
            return Ok(Published {
                digest,
                changed: false,
            });
        }
        let (username, password) = self.config.registry_credentials.clone();
        let auth = RegistryAuth { username, password };
        let destination = format!("{}/{RUN_REPOSITORY}:{INCOMING}", self.config.registry_address);
        self.podman
            .push_image(&image.id, &destination, Some(&auth), false)
            .await?;
        let digest = publish(&self.store, &repository, &image.id).await?;
        Ok(Published {
            digest,
            changed: true,
        })
    }
}

impl Builder {
    /// The published run image, for the export of an app's image and for its rebase.
    pub(crate) fn run_image(&self) -> Result<RunImage, BuildError> {
        Ok(RunImage {
            repository: repository()?,
            reference: tag(RUN_TAG)?,
            image: format!("{}/{RUN_REPOSITORY}:{RUN_TAG}", self.config.registry_address),
            mirrors: Vec::new(),
        })
    }

    /// Puts an app's image on the published run image, without a build; the same image when it stands on it already.
    ///
    /// # Errors
    /// [`BuildError::Refused`] when the app has to be deployed anew for that, [`BuildError::Unavailable`] when the
    /// run image or the registry is at fault.
    pub async fn rebase(&self, app: &AppName, image: &Digest) -> Result<Digest, BuildError> {
        let _working = self.work.begin().await;
        rebase(&self.store, &Repository::from(app), image, &self.run_image()?).await
    }
}

fn repository() -> Result<Repository, BuildError> {
    RUN_REPOSITORY.parse().map_err(BuildError::unavailable)
}

fn tag(name: &str) -> Result<Reference, BuildError> {
    Ok(Reference::Tag(
        name.parse::<Tag>().map_err(BuildError::unavailable)?,
    ))
}

/// What is published: its digest, and the id that it was made from. `None` also when it is not whole.
async fn present(store: &Store, repository: &Repository) -> Result<Option<(Digest, String)>, BuildError> {
    let Some(manifest) = store.manifest(repository, &tag(RUN_TAG)?).await? else {
        return Ok(None);
    };
    let Ok(document) = serde_json::from_slice::<Value>(&manifest.bytes) else {
        return Ok(None);
    };
    for blob in blobs(&document) {
        if !store.has_blob(repository, &blob).await? {
            return Ok(None);
        }
    }
    let Some(config) = config(store, repository, &document).await? else {
        return Ok(None);
    };
    let source = config
        .pointer("/config/Labels")
        .and_then(|labels| labels.get(SOURCE)?.as_str());
    Ok(Some((manifest.digest, source.unwrap_or_default().to_owned())))
}

/// Makes what Podman pushed the run image of apps.
async fn publish(store: &Store, repository: &Repository, source: &str) -> Result<Digest, BuildError> {
    let missing =
        || BuildError::unavailable("the run image was pushed but is not in the registry: push again");
    let incoming = tag(INCOMING)?;
    let manifest = store.manifest(repository, &incoming).await?.ok_or_else(missing)?;
    let mut document: Value = serde_json::from_slice(&manifest.bytes).map_err(BuildError::unavailable)?;
    let mut config = config(store, repository, &document).await?.ok_or_else(missing)?;
    let bytes = for_apps(&mut config, source);
    let size = bytes.len();
    let pieces = stream::iter([Ok(Bytes::from(bytes))]);
    let (digest, _) = store.write_blob(repository, None, pieces).await?;
    document["config"]["digest"] = json!(digest);
    document["config"]["size"] = json!(size);
    let published = store
        .put_manifest(
            repository,
            &tag(RUN_TAG)?,
            Some(&manifest.media_type),
            document.to_string().into_bytes(),
        )
        .await?;
    store.delete_manifest(repository, &incoming).await?;
    Ok(published)
}

/// The config with the user of apps and the label of where it came from.
fn for_apps(config: &mut Value, source: &str) -> Vec<u8> {
    if !config["config"].is_object() {
        config["config"] = json!({});
    }
    config["config"]["User"] = json!(format!("{CNB_ID}:{CNB_ID}"));
    if !config["config"]["Labels"].is_object() {
        config["config"]["Labels"] = json!({});
    }
    config["config"]["Labels"][SOURCE] = json!(source);
    config.to_string().into_bytes()
}

fn blobs(manifest: &Value) -> Vec<Digest> {
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let all = layers.chain([&manifest["config"]]);
    all.filter_map(|blob| blob["digest"].as_str()?.parse().ok())
        .collect()
}

async fn config(
    store: &Store,
    repository: &Repository,
    manifest: &Value,
) -> Result<Option<Value>, BuildError> {
    let digest = manifest.pointer("/config/digest").and_then(Value::as_str);
    let Some(digest) = digest.and_then(|digest| digest.parse::<Digest>().ok()) else {
        return Ok(None);
    };
    let (file, _) = store.open_blob(repository, &digest).await?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        file.take(MAX_CONFIG).read_to_end(&mut bytes).map(|_| bytes)
    });
    let bytes = read
        .await
        .map_err(BuildError::unavailable)?
        .map_err(pvdify_registry::StoreError::from)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_do_not_run_as_root_and_nothing_else_of_the_config_changes() {
        let mut config =
            json!({"os": "linux", "config": {"Env": ["A=b"], "Labels": {"x": "y"}}, "rootfs": {}});
        let bytes = for_apps(&mut config, "abc");
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(
            read,
            json!({"os": "linux", "rootfs": {}, "config":
                {"Env": ["A=b"], "Labels": {"x": "y", "pvdify.base.image": "abc"}, "User": "10001:10001"}})
        );
        let mut bare = json!({});
        for_apps(&mut bare, "abc");
        assert_eq!(bare["config"]["User"], "10001:10001");
    }
}

//! Images in Podman's storage: listed, named, removed.

use super::{
    Filters, Libpod, PodmanError, Query,
    error::found,
    full_body, percent_encode,
    transport::{limited, parse},
};
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use serde::{Deserialize, Deserializer};
use std::{collections::BTreeMap, time::Duration};

/// How often Podman is asked what others' removals disturb.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
/// Of removals, which wait for each other and for builds in Podman's storage.
const REMOVAL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// An image in Podman's storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LocalImage {
    /// The digest of its config, without `sha256:`.
    pub id: String,
    /// `name:tag` and `name@digest`; none for one that nothing names.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// Names it had.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<String>,
    /// Labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// When its last layer was made, in seconds since 1970.
    pub created: i64,
    /// Bytes, those shared with other images included.
    #[serde(default)]
    pub size: u64,
}

/// An image with its config.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageDetails {
    /// The digest of its config, without `sha256:`.
    pub id: String,
    /// What it says of containers.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ImageConfig,
    /// What it is made of.
    #[serde(default, rename = "RootFS", deserialize_with = "or_default")]
    pub root_fs: ImageLayers,
}

/// What an image says of containers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// Whom its processes run as: `user`, `user:group`, or nothing for root.
    #[serde(default)]
    pub user: String,
    /// Labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// What an image is made of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageLayers {
    /// The layers' diffIDs.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<String>,
}

/// Podman writes `null` for an empty list.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl Libpod {
    /// Whether an image is in Podman's storage.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn image_exists(&self, name: &str) -> Result<bool, PodmanError> {
        let path = format!("/libpod/images/{}/exists", percent_encode(name));
        let asked = self.call(Method::GET, &path, None::<&()>).await;
        Ok(found(asked)?.is_some())
    }

    /// The id of an image in Podman's storage.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Image {
            id: String,
        }
        let path = format!("/libpod/images/{}/json", percent_encode(name));
        Ok(found(self.get::<Image>(&path).await)?.map(|image| image.id))
    }

    /// An image in Podman's storage and its config.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn image(&self, name: &str) -> Result<Option<ImageDetails>, PodmanError> {
        let path = format!("/libpod/images/{}/json", percent_encode(name));
        found(patiently(|| self.get(&path)).await)
    }

    /// The images that something names or nothing is built on.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn images(&self) -> Result<Vec<LocalImage>, PodmanError> {
        patiently(|| self.get("/libpod/images/json")).await
    }

    /// Makes an image of one layer, which is this tar archive.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn import_image(&self, name: &str, tar: Vec<u8>) -> Result<(), PodmanError> {
        let path = Query::default()
            .with("reference", name)
            .on("/libpod/images/import");
        let import = async {
            let answer = self
                .request(Method::POST, &path, HeaderMap::new(), full_body(tar))
                .await?;
            // Done when the answer is, not when it begins.
            answer.into_body().collect().await?;
            Ok(())
        };
        limited(self.limit, &Method::POST, &path, import).await
    }

    /// Takes a name from an image, and the image with its last name.
    ///
    /// # Errors
    /// As [`Libpod::get`]; a name that does not exist is no error.
    pub async fn remove_image(&self, name: &str, force: bool) -> Result<(), PodmanError> {
        let path = format!("/libpod/images/{}", percent_encode(name));
        let path = Query::default().with("force", force).on(&path);
        self.within(REMOVAL_LIMIT).delete(&path).await
    }

    /// Removes the images that have this label, no name, and an age; gives the bytes that were freed.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn prune_images(&self, label: &str, age: Duration) -> Result<u64, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Pruned {
            size: u64,
        }
        let filters = Filters::default()
            .with("label", label)
            .with("until", format!("{}s", age.as_secs()))
            .with("dangling", "true");
        let path = Query::default()
            .with("filters", filters)
            .on("/libpod/images/prune");
        let podman = self.within(REMOVAL_LIMIT);
        let pruned: Vec<Pruned> = patiently(|| async { parse(&podman.post_empty(&path).await?) }).await?;
        Ok(pruned.iter().map(|image| image.size).sum())
    }

    /// Gives an image one more name, `repository:tag`.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<(), PodmanError> {
        let path = format!("/libpod/images/{}/tag", percent_encode(name));
        let path = Query::default()
            .with("repo", repository)
            .with("tag", tag)
            .on(&path);
        self.post_empty(&path).await.map(|_| ())
    }
}

/// Podman looks at its images one by one and gives up when one of its list is gone meanwhile.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, PodmanError>
where
    F: Future<Output = Result<T, PodmanError>>,
{
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if error.is_stumble() => tokio::time::sleep(BETWEEN_TRIES).await,
            answer => return answer,
        }
    }
    ask().await
}

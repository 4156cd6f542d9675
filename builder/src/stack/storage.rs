//! What is done to images in Podman's storage beside building them: looked at, imported, named anew.

use super::StackError;
use crate::podman::{ContainerSpec, Libpod, PodmanError, Query, full_body, percent_encode, stream_body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde::Deserialize;
use std::{collections::BTreeMap, io::Read, path::Path, time::Duration};
use tokio_util::io::ReaderStream;

/// Of an import of the largest image from this host's own disk.
const IMPORT_LIMIT: Duration = Duration::from_secs(15 * 60);
/// The largest file that is read out of an image.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// An image as Podman knows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Stored {
    /// The digest of its config, without `sha256:`.
    pub(super) id: String,
    /// Bytes, unpacked.
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl Stored {
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// An image by its name or id.
pub(super) async fn find(podman: &Libpod, name: &str) -> Result<Option<Stored>, PodmanError> {
    match podman
        .get(&format!("/libpod/images/{}/json", percent_encode(name)))
        .await
    {
        Ok(image) => Ok(Some(image)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes an image of one layer, a tar file, with a name and with a Dockerfile's instructions for its config.
pub(super) async fn import(
    podman: &Libpod,
    tar: &Path,
    name: &str,
    instructions: &[String],
) -> Result<(), StackError> {
    let mut query = Query::default()
        .with("reference", name)
        .with("message", "Debian packages, made by Pvdify");
    for instruction in instructions {
        query = query.with("changes", instruction);
    }
    let file = tokio::fs::File::open(tar)
        .await
        .map_err(|error| StackError::disk(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-tar"),
    );
    let body = stream_body(ReaderStream::with_capacity(file, 1024 * 1024));
    let path = query.on("/libpod/images/import");
    let imported = async {
        let answer = podman.request(Method::POST, &path, headers, body).await?;
        answer
            .into_body()
            .collect()
            .await
            .map(drop)
            .map_err(PodmanError::from)
    };
    match tokio::time::timeout(IMPORT_LIMIT, imported).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StackError::new(
            format!("Podman did not import {name} within {} s", IMPORT_LIMIT.as_secs()),
            "see whether its disk is overloaded, and run the command again",
        )),
    }
}

/// Gives `name` to the image of another name, which loses that one, and removes the one that had it unless a container or an app's image needs it.
pub(super) async fn replace(podman: &Libpod, name: &str, image: &str) -> Result<(), PodmanError> {
    let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let before = podman.image_id(name).await?;
    podman.tag(image, repository, tag).await?;
    podman.remove_image(image, false).await?;
    let now = podman.image_id(name).await?;
    if let Some(before) = before.filter(|before| now.as_ref() != Some(before)) {
        // Refused, rightly, while something uses it.
        podman.remove_image(&before, false).await.ok();
    }
    Ok(())
}

/// A file out of an image, as text; `None` when the image has none there. Nothing of the image is run.
pub(super) async fn read_file(
    podman: &Libpod,
    image: &str,
    path: &str,
) -> Result<Option<String>, PodmanError> {
    let spec = ContainerSpec {
        image: image.to_owned(),
        // An image need not have a command, and a container needs one.
        command: Some(vec!["true".to_owned()]),
        ..ContainerSpec::default()
    };
    let container = podman.create_container(&spec).await?;
    let read = read_of_container(podman, &container, path).await;
    podman.remove_container(&container).await?;
    read
}

async fn read_of_container(
    podman: &Libpod,
    container: &str,
    path: &str,
) -> Result<Option<String>, PodmanError> {
    let query = Query::default().with("path", path);
    let path = query.on(&format!("/libpod/containers/{container}/archive"));
    let answer = match podman
        .request(Method::GET, &path, HeaderMap::new(), full_body(Bytes::new()))
        .await
    {
        Err(error) if error.is_not_found() => return Ok(None),
        answer => answer?,
    };
    let archive = answer.into_body().collect().await?.to_bytes();
    first_file(&archive).map_err(|error| PodmanError::Answer(format!("{path}: {error}")))
}

fn first_file(archive: &[u8]) -> std::io::Result<Option<String>> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.take(MAX_FILE).read_to_end(&mut bytes)?;
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(None)
}

//! Makes a pinned image present in Podman's storage.
//!
//! A built image is in local storage already, but Podman does not know the digest that the registry gave it
//! on push: a manifest's digest and an image's id differ by compression. The manifest names the config, and
//! the config's digest is the id; so one small request to our own registry saves the pull.

use super::during;
use crate::engine::{EngineError, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use pvdify_builder::podman::{Libpod, RegistryAuth};
use pvdify_types::{Digest, ImageRef};
use serde::Deserialize;
use sha2::Digest as _;
use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpStream;

const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json";
/// A manifest of our registry is at most 4 MiB and comes from this host.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Our own registry, as Podman reaches it.
#[derive(Clone)]
pub struct RegistryAccess {
    /// `host:port`, as image references begin.
    pub address: String,
    /// Basic authentication.
    pub user: String,
    /// Basic authentication.
    pub password: String,
}

impl fmt::Debug for RegistryAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryAccess({})", self.address)
    }
}

/// Finds and pulls images, and remembers which digest is which image id: both are content, so what was
/// learnt once holds for ever.
pub(super) struct Images {
    libpod: Libpod,
    registry: Option<RegistryAccess>,
    known: Mutex<HashMap<Digest, String>>,
}

impl Images {
    pub(super) fn new(libpod: Libpod, registry: Option<RegistryAccess>) -> Self {
        Self {
            libpod,
            registry,
            known: Mutex::default(),
        }
    }

    /// The image's id, once it is in local storage.
    pub(super) async fn ensure(&self, image: &ImageRef) -> Result<String> {
        let known = self.lock().get(&image.digest).cloned();
        let id = match known {
            Some(id) => Some(id),
            None => self.config_digest(image).await?,
        };
        if let Some(id) = id
            && let Some(id) = self.local_id(&id).await?
        {
            self.lock().insert(image.digest.clone(), id.clone());
            return Ok(id);
        }
        let id = match self.local_id(&image.to_string()).await? {
            Some(id) => id,
            None => self.pull(image).await?,
        };
        self.lock().insert(image.digest.clone(), id.clone());
        Ok(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn local_id(&self, reference: &str) -> Result<Option<String>> {
        let id = self.libpod.image_id(reference).await;
        id.map_err(during("inspect image"))
    }

    /// Asks our registry for the manifest. `None` for another registry's image, an index, or a manifest that
    /// is not there: a pull then says why.
    async fn config_digest(&self, image: &ImageRef) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Manifest {
            config: Option<Descriptor>,
        }
        #[derive(Deserialize)]
        struct Descriptor {
            digest: Digest,
        }
        let Some(registry) = &self.registry else {
            return Ok(None);
        };
        let Some(repository) = image
            .repository
            .strip_prefix(&registry.address)
            .and_then(|rest| rest.strip_prefix('/'))
        else {
            return Ok(None);
        };
        let path = format!("/v2/{repository}/manifests/{}", image.digest);
        let answer = tokio::time::timeout(MANIFEST_TIMEOUT, registry_get(registry, &path))
            .await
            .map_err(|_| EngineError::Unavailable(format!("registry {}: no answer", registry.address)))??;
        let Some(manifest) = answer else {
            return Ok(None);
        };
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(&manifest)));
        if digest != image.digest.as_str() {
            return Err(EngineError::Refused(format!(
                "registry {}: the manifest of {image} has the digest {digest}",
                registry.address
            )));
        }
        let manifest: Option<Manifest> = serde_json::from_slice(&manifest).ok();
        Ok(manifest
            .and_then(|manifest| manifest.config)
            .map(|config| config.digest.to_string()))
    }

    async fn pull(&self, image: &ImageRef) -> Result<String> {
        let ours = self
            .registry
            .as_ref()
            .filter(|registry| image.repository.starts_with(&format!("{}/", registry.address)));
        let auth = ours.map(|registry| RegistryAuth {
            username: registry.user.clone(),
            password: registry.password.clone(),
        });
        let reference = image.to_string();
        // Our registry speaks plain HTTP on the loopback address.
        let pulled = self.libpod.pull_image(&reference, auth.as_ref(), ours.is_none());
        pulled.await.map_err(during(&format!("pull {image}")))
    }
}

/// The body of a successful answer; `None` for any other.
async fn registry_get(registry: &RegistryAccess, path: &str) -> Result<Option<Bytes>> {
    let failed = |error: &dyn fmt::Display| {
        EngineError::Unavailable(format!("registry {}: {error}", registry.address))
    };
    let credentials = BASE64_STANDARD.encode(format!("{}:{}", registry.user, registry.password));
    let request = Request::get(path)
        .header(header::HOST, &registry.address)
        .header(header::AUTHORIZATION, format!("Basic {credentials}"))
        .header(header::ACCEPT, MANIFEST_TYPES)
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let stream = TcpStream::connect(&registry.address)
        .await
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    // Ends with the answer; its error is the answer's too.
    tokio::spawn(connection);
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    if answer.status() != StatusCode::OK {
        return Ok(None);
    }
    let body = answer.into_body().collect().await;
    Ok(Some(body.map_err(|error| failed(&error))?.to_bytes()))
}

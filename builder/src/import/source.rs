//! An image's registry, asked by the builder's own client, as nobody: manifests, configs, blobs.

use super::{ACCEPTED, Purpose, reasons::explain, wrong_platform};
use crate::{BuildError, image_config};
use bytes::Bytes;
use futures_util::StreamExt;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use oci_spec::image::Descriptor;
use pvdify_registry::{Repository, Store};
use pvdify_types::Digest;
use sha2::Digest as _;
use std::{io, time::Duration};

/// The largest config read to learn the platform and port.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;

/// The image's registry.
pub(super) struct Source {
    client: Client,
    pub(super) image: Reference,
}

impl Source {
    pub(super) fn new(image: Reference) -> Self {
        let registry = image.resolve_registry();
        let protocol = if is_loopback(registry) {
            ClientProtocol::HttpsExcept(vec![registry.to_owned()])
        } else {
            ClientProtocol::Https
        };
        let client = Client::new(ClientConfig {
            protocol,
            connect_timeout: Some(Duration::from_secs(20)),
            read_timeout: Some(Duration::from_secs(60)),
            ..ClientConfig::default()
        });
        Self { client, image }
    }

    /// A manifest's bytes, and the digest that they have.
    pub(super) async fn manifest(&self, image: &Reference) -> Result<(Digest, Bytes), BuildError> {
        let (bytes, _) = self
            .client
            .pull_manifest_raw(image, &RegistryAuth::Anonymous, &ACCEPTED)
            .await
            .map_err(|error| explain(image, &error))?;
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(&bytes)))
            .parse()
            .map_err(BuildError::unavailable)?;
        Ok((digest, bytes))
    }

    /// The config; refuses an image that can't run here, before its layers are fetched.
    pub(super) async fn checked_config(
        &self,
        config: &Descriptor,
        purpose: Purpose,
    ) -> Result<Vec<u8>, BuildError> {
        let refused = |text: &str| BuildError::refused(format!("{}: {text}", self.image));
        if config.size() > MAX_CONFIG {
            return Err(refused("the image's config has more than 4 MiB"));
        }
        let mut stream = self.stream(config).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend(piece.map_err(|error| explain(&self.image, &error.into()))?);
        }
        let facts = image_config::read(&bytes).map_err(|error| refused(&error))?;
        if facts.platform != image_config::own_platform() {
            return Err(wrong_platform(&self.image, &facts.platform));
        }
        if purpose == Purpose::App && !facts.has_command {
            return Err(refused(
                "the image says nothing to run: build it with CMD or ENTRYPOINT",
            ));
        }
        Ok(bytes)
    }

    pub(super) async fn blob(
        &self,
        store: &Store,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<(), BuildError> {
        let digest: Digest = descriptor
            .digest()
            .to_string()
            .parse()
            .map_err(|error| BuildError::refused(format!("{}: {error}", self.image)))?;
        if store.has_blob(repository, &digest).await? {
            return Ok(());
        }
        let stream = self.stream(descriptor).await?;
        match store.write_blob(repository, Some(&digest), stream).await {
            Err(pvdify_registry::StoreError::Sender(error)) => Err(explain(&self.image, &error.into())),
            Err(error @ pvdify_registry::StoreError::DigestMismatch { .. }) => {
                Err(BuildError::refused(format!("{}: {error}", self.image)))
            }
            other => Ok(other.map(drop)?),
        }
    }

    /// A blob's bytes, not one more than announced.
    async fn stream(
        &self,
        descriptor: &Descriptor,
    ) -> Result<futures_util::stream::BoxStream<'static, io::Result<Bytes>>, BuildError> {
        let wanted = OciDescriptor {
            media_type: descriptor.media_type().to_string(),
            digest: descriptor.digest().to_string(),
            size: i64::try_from(descriptor.size()).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let stream = self
            .client
            .pull_blob_stream(&self.image, &wanted)
            .await
            .map_err(|error| explain(&self.image, &error))?;
        let mut left = descriptor.size();
        let limited = stream.stream.map(move |piece| {
            let piece = piece?;
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| io::Error::other("the registry sent more bytes than announced"))?;
            Ok(piece)
        });
        Ok(limited.boxed())
    }
}

/// Whether a registry is on this machine, where plain HTTP is fine.
fn is_loopback(registry: &str) -> bool {
    let host = host_of(registry);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Without port and brackets.
pub(super) fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_registries_on_this_machine_only() {
        for yes in [
            "127.0.0.1:5000",
            "localhost",
            "localhost:80",
            "[::1]:5000",
            "127.9.9.9:1",
        ] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "docker.io",
            "127.0.0.1.example.com",
            "10.0.0.1:5000",
            "localhost.example:5000",
            "[::2]:1",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }
}

//! A prebuilt image, copied once from its registry into ours.
//!
//! The tag is resolved once, here; from then on the app has a digest, and nothing it needs is outside. The
//! manifest is kept as it is, so the digest is the one that its maker published. Of an image for several
//! platforms only this server's is taken.

use crate::{BuildError, Resolver, address, image_config};
use bytes::Bytes;
use futures_util::StreamExt;
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    manifest::OciDescriptor,
    secrets::RegistryAuth,
};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use pvdify_registry::{Kind, MAX_MANIFEST_BYTES, Reference as Stored, References, Repository, Store};
use pvdify_types::{Digest, ImageName};
use sha2::Digest as _;
use std::{io, time::Duration};

/// Manifests asked for, in both dialects.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
/// The largest config read to learn the platform and port.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;

/// What an image is copied for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be run.
    App,
    /// For the buildpacks in it, or to be below an app's layers.
    Buildpacks,
}

/// Copies an image into `repository`; gives the digest of the one manifest that was kept.
pub(crate) async fn copy(
    store: &Store,
    repository: &Repository,
    image: &ImageName,
    purpose: Purpose,
    resolver: &Resolver,
    limit: u64,
) -> Result<Digest, BuildError> {
    let found = look(image, purpose, resolver, limit).await?;
    let name = Stored::Digest(found.digest.clone());
    found.copy(store, repository, &name).await?;
    Ok(found.digest)
}

/// Finds an image in its registry, and sees whether it is one for this server; its layers are not fetched.
pub(crate) async fn look(
    image: &ImageName,
    purpose: Purpose,
    resolver: &Resolver,
    limit: u64,
) -> Result<Found, BuildError> {
    check_registry(image, resolver).await?;
    let source = Source::new(reference(image));
    let (mut digest, mut bytes) = source.manifest(&source.image).await?;
    if read(&source.image, &bytes)?.kind == Kind::Index {
        let chosen = choose_platform(&source.image, &bytes)?;
        let child = source.image.clone_with_digest(chosen.to_string());
        (digest, bytes) = source.manifest(&child).await?;
        if digest != chosen {
            return Err(BuildError::refused(format!(
                "{} sent another manifest than asked for",
                source.image
            )));
        }
    }
    let references = read(&source.image, &bytes)?;
    let manifest: ImageManifest = serde_json::from_slice(&bytes)
        .map_err(|error| BuildError::refused(format!("{} is no image: {error}", source.image)))?;
    image_config::check_size(&bytes, limit)
        .map_err(|error| BuildError::refused(format!("{}: {error}", source.image)))?;
    let config = source.checked_config(manifest.config(), purpose).await?;
    Ok(Found {
        source,
        digest,
        media_type: references.media_type,
        bytes,
        manifest,
        config,
    })
}

/// An image in its registry.
pub(crate) struct Found {
    source: Source,
    /// Of its manifest for this server's platform.
    pub(crate) digest: Digest,
    media_type: String,
    bytes: Bytes,
    manifest: ImageManifest,
    /// Its config.
    pub(crate) config: Vec<u8>,
}

impl Found {
    /// The bytes of its layers.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.manifest.layers().iter().map(Descriptor::size);
        sizes.fold(0, u64::saturating_add)
    }

    /// Copies it into a repository, what is missing there, under this name or its digest alone.
    pub(crate) async fn copy(
        &self,
        store: &Store,
        repository: &Repository,
        name: &Stored,
    ) -> Result<(), BuildError> {
        for blob in std::iter::once(self.manifest.config()).chain(self.manifest.layers()) {
            self.source.blob(store, repository, blob).await?;
        }
        store
            .put_manifest(repository, name, Some(&self.media_type), self.bytes.to_vec())
            .await?;
        Ok(())
    }
}

/// A name of a registry must not lead to where a cloud gives this server's credentials out.
async fn check_registry(image: &ImageName, resolver: &Resolver) -> Result<(), BuildError> {
    let host = host_of(image.registry()).to_owned();
    let refused = address::first_refused(resolver, [host].into(), address::may_be_registry).await;
    match refused {
        None => Ok(()),
        Some((host, address)) => Err(BuildError::refused(format!(
            "{image} is not fetched: {host} is {address}, where no registry can be but a cloud's metadata service"
        ))),
    }
}

/// The client's own type, made of parts: its parser takes other texts than ours.
fn reference(image: &ImageName) -> Reference {
    let (registry, repository) = (image.registry().to_owned(), image.repository());
    let (tag, digest) = (image.tag().map(str::to_owned), image.digest());
    match (tag, digest.map(ToString::to_string)) {
        (Some(tag), Some(digest)) => Reference::with_tag_and_digest(registry, repository, tag, digest),
        (None, Some(digest)) => Reference::with_digest(registry, repository, digest),
        (tag, None) => Reference::with_tag(registry, repository, tag.unwrap_or_else(|| "latest".to_owned())),
    }
}

fn read(image: &Reference, bytes: &[u8]) -> Result<References, BuildError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(BuildError::refused(format!(
            "{image} has a manifest of more than 4 MiB"
        )));
    }
    // Without a media type in the body, the shape decides between the two that have none.
    References::parse(bytes, None)
        .or_else(|_| References::parse(bytes, Some(ACCEPTED[0])))
        .or_else(|_| References::parse(bytes, Some(ACCEPTED[1])))
        .map_err(|error| BuildError::refused(format!("{image}: {error}")))
}

/// The manifest for this server's platform.
fn choose_platform(image: &Reference, index: &[u8]) -> Result<Digest, BuildError> {
    let index: ImageIndex = serde_json::from_slice(index).map_err(|error| {
        BuildError::refused(format!("{image} has an index that is not understood: {error}"))
    })?;
    let own = image_config::own_platform();
    let mut others = Vec::new();
    for entry in index.manifests() {
        let Some(platform) = entry.platform() else {
            continue;
        };
        let name = image_config::platform(platform.os(), platform.architecture());
        if name == own {
            return entry
                .digest()
                .to_string()
                .parse()
                .map_err(|_| BuildError::refused(format!("{image} has no sha256 digest for {own}")));
        }
        if !name.starts_with("unknown") {
            others.push(name);
        }
    }
    Err(wrong_platform(image, &others.join(", ")))
}

fn wrong_platform(image: &Reference, platforms: &str) -> BuildError {
    let own = image_config::own_platform();
    BuildError::refused(format!(
        "{image} is made for {platforms}, this server runs {own}: build it with --platform {own}"
    ))
}

/// The image's registry.
struct Source {
    client: Client,
    image: Reference,
}

impl Source {
    fn new(image: Reference) -> Self {
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
    async fn manifest(&self, image: &Reference) -> Result<(Digest, Bytes), BuildError> {
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
    async fn checked_config(&self, config: &Descriptor, purpose: Purpose) -> Result<Vec<u8>, BuildError> {
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

    async fn blob(
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
fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(inner) => inner.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    }
}

/// One line for the person who named the image.
fn explain(image: &Reference, error: &OciDistributionError) -> BuildError {
    let is_missing = |code: &OciErrorCode| {
        matches!(
            code,
            OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
        )
    };
    match error {
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::ServerError { code: 404, .. } => {
            BuildError::refused(format!("{image} does not exist in its registry"))
        }
        OciDistributionError::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|error| is_missing(&error.code)) =>
        {
            BuildError::refused(format!("{image} does not exist in its registry"))
        }
        OciDistributionError::ServerError { code: 429, .. } => too_many(image),
        OciDistributionError::RegistryError { envelope, .. }
            if envelope
                .errors
                .iter()
                .any(|error| error.code == OciErrorCode::Toomanyrequests) =>
        {
            too_many(image)
        }
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::RegistryError { .. }
        | OciDistributionError::ServerError { code: 401 | 403, .. } => {
            BuildError::refused(format!("{image} is private or does not exist"))
        }
        OciDistributionError::RequestError(error) if error.is_connect() => BuildError::unavailable(format!(
            "the registry {} can't be reached",
            image.resolve_registry()
        )),
        other => BuildError::unavailable(format!("{image} can't be fetched: {other}")),
    }
}

/// Public registries count what an address asks for.
fn too_many(image: &Reference) -> BuildError {
    BuildError::unavailable(format!(
        "{image} can't be fetched now: its registry takes no more requests from this server for a while"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_has_enough_is_asked_again_later_and_one_that_says_no_is_not() {
        let image: Reference = "h.example/acme/builder:1".parse().unwrap();
        let told = |code: &str| {
            let json = format!(r#"{{"errors":[{{"code":"{code}","message":"m","detail":null}}]}}"#);
            let url = String::new();
            let envelope = serde_json::from_str(&json).unwrap();
            explain(&image, &OciDistributionError::RegistryError { envelope, url })
        };
        assert!(matches!(told("TOOMANYREQUESTS"), BuildError::Unavailable(_)));
        assert!(matches!(told("DENIED"), BuildError::Refused(_)));
        let plain = OciDistributionError::ServerError {
            code: 429,
            url: String::new(),
            message: String::new(),
        };
        insta::assert_snapshot!(explain(&image, &plain), @"h.example/acme/builder:1 can't be fetched now: its registry takes no more requests from this server for a while");
    }

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

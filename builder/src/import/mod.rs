//! A prebuilt image, copied once from its registry into ours.
//!
//! The tag is resolved once, here; from then on the app has a digest, and nothing it needs is outside. The
//! manifest is kept as it is, so the digest is the one that its maker published. Of an image for several
//! platforms only this server's is taken.

mod reasons;
mod source;

use crate::{BuildError, Resolver, address, image_config};
use bytes::Bytes;
use oci_client::Reference;
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use pvdify_registry::{Kind, MAX_MANIFEST_BYTES, Reference as Stored, References, Repository, Store};
use pvdify_types::{Digest, ImageName};
use source::{Source, host_of};

/// Manifests asked for, in both dialects.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
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

//! Images of others that apps' builds stand on, in our own registry: builders, and the run images that they name.
//!
//! Each app's own has the app's name for a tag, so that it stays as long as the app builds with it: nothing that a
//! build or a release needs is outside, and the next build goes on when its registry is out of reach.

use crate::{
    BuildError, Builder,
    export::StoredImage,
    import::{self, Found, Purpose},
};
use pvdify_registry::{Reference, Repository, StoreError};
use pvdify_types::{AppName, Digest, ImageName};

/// Where builders are.
pub(crate) const BUILDERS: &str = "pvdify/builders";
/// Where their run images are.
pub(crate) const RUN_IMAGES: &str = "pvdify/builder-run";

/// An app's image in one of these repositories.
pub(super) struct Kept<'a> {
    builder: &'a Builder,
    pub(super) repository: Repository,
    tag: Reference,
}

impl<'a> Kept<'a> {
    pub(super) fn new(builder: &'a Builder, repository: &str, app: &AppName) -> Result<Self, BuildError> {
        Ok(Self {
            builder,
            repository: repository.parse().map_err(BuildError::unavailable)?,
            tag: Reference::Tag(app.as_str().parse().map_err(BuildError::unavailable)?),
        })
    }

    /// Finds an image in its registry.
    pub(super) async fn look(&self, image: &ImageName) -> Result<Found, BuildError> {
        let limit = self.builder.config.limits.image_bytes;
        import::look(image, Purpose::Buildpacks, &self.builder.resolver, limit).await
    }

    /// Copies an image here, for now by its digest alone.
    pub(super) async fn copy(&self, image: &ImageName, found: &Found) -> Result<(), BuildError> {
        let name = Reference::Digest(found.digest.clone());
        let copying = found.copy(&self.builder.store, &self.repository, &name);
        tokio::time::timeout(self.builder.config.limits.timeout, copying)
            .await
            .unwrap_or_else(|_| Err(BuildError::unavailable(format!("fetching {image} took too long"))))
    }

    /// Whether an image is here, whosever it is.
    pub(super) async fn has(&self, digest: &Digest) -> Result<bool, BuildError> {
        let name = Reference::Digest(digest.clone());
        Ok(self
            .builder
            .store
            .manifest(&self.repository, &name)
            .await?
            .is_some())
    }

    /// The app's.
    pub(super) async fn current(&self) -> Result<Option<Digest>, BuildError> {
        let found = self.builder.store.manifest(&self.repository, &self.tag).await?;
        Ok(found.map(|manifest| manifest.digest))
    }

    pub(super) async fn read(&self, digest: &Digest) -> Result<StoredImage, BuildError> {
        let name = Reference::Digest(digest.clone());
        let image = StoredImage::read(&self.builder.store, &self.repository, &name).await?;
        image.ok_or_else(|| {
            BuildError::unavailable(format!("{digest} is not whole in the registry: push again"))
        })
    }

    /// Makes one that is here the app's.
    pub(super) async fn keep(&self, digest: &Digest) -> Result<(), BuildError> {
        let (store, name) = (&self.builder.store, Reference::Digest(digest.clone()));
        if let Some(manifest) = store.manifest(&self.repository, &name).await? {
            let media_type = Some(manifest.media_type.as_str());
            store
                .put_manifest(&self.repository, &self.tag, media_type, manifest.bytes)
                .await?;
        }
        Ok(())
    }

    /// Nothing here is the app's any more.
    pub(super) async fn let_go(&self) -> Result<(), BuildError> {
        match self
            .builder
            .store
            .delete_manifest(&self.repository, &self.tag)
            .await
        {
            Err(StoreError::ManifestUnknown) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

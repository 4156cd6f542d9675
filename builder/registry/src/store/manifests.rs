//! A repository's manifests, under their digests and tags.
//!
//! What always holds: a manifest is stored only when all that it needs is in its repository, and given out only with
//! the bytes that its digest names.

use super::{Manifest, Store, StoreError, disk};
use crate::{
    manifest::References,
    name::{Reference, Repository, Tag},
};
use pvdify_types::Digest;

impl Store {
    /// Stores a manifest under its digest, and under the tag when `reference` is one.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`] when `reference` is another digest, [`StoreError::ManifestInvalid`],
    /// [`StoreError::BlobUnknown`] for a config or layer that is not in the repository yet.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<Digest, StoreError> {
        let tags = match reference {
            Reference::Tag(tag) => vec![tag.clone()],
            Reference::Digest(_) => vec![],
        };
        let manifest = self
            .put_manifest_tagged(repository, reference, tags, media_type, bytes)
            .await?;
        Ok(manifest.0)
    }

    /// As [`Store::put_manifest`], with any number of tags; also says what the manifest names.
    pub(crate) async fn put_manifest_tagged(
        &self,
        repository: &Repository,
        reference: &Reference,
        tags: Vec<Tag>,
        media_type: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<(Digest, References), StoreError> {
        let references = References::parse(&bytes, media_type)?;
        let actual = disk::digest_of(&bytes);
        if let Reference::Digest(expected) = reference
            && *expected != actual
        {
            return Err(StoreError::DigestMismatch {
                expected: expected.clone(),
                actual,
            });
        }
        let manifest = Manifest {
            digest: actual.clone(),
            media_type: references.media_type.clone(),
            bytes,
        };
        let repository = repository.clone();
        self.run(move |disk| {
            disk.put_manifest(&repository, &tags, &manifest, &references)?;
            Ok((actual, references))
        })
        .await
    }

    /// A manifest of the repository, its bytes checked against its digest.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] rather than wrong bytes, or [`StoreError::Io`].
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Manifest>, StoreError> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.run(move |disk| disk.manifest(&repository, &reference)).await
    }

    /// Deletes a tag, or a manifest with every tag that stands for it.
    ///
    /// # Errors
    /// [`StoreError::ManifestUnknown`] or [`StoreError::Io`].
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<(), StoreError> {
        let (repository, reference) = (repository.clone(), reference.clone());
        self.run(move |disk| match &reference {
            Reference::Tag(tag) => disk.delete_tag(&repository, tag),
            Reference::Digest(digest) => disk.delete_manifest(&repository, digest),
        })
        .await
    }

    /// A repository's tags, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<String>, StoreError> {
        let repository = repository.clone();
        self.run(move |disk| Ok(disk.tags(&repository, None)?)).await
    }

    /// The manifests of a repository about `subject`.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<Manifest>, StoreError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.run(move |disk| disk.referrers(&repository, &subject)).await
    }
}

//! The content-addressed store: the async face over [`disk`], [`upload`] and [`gc`].
//!
//! One process works on a folder at a time; inside it, clones of a [`Store`] are one store.

mod disk;
mod durable;
mod gc;
mod upload;
mod writer;

pub use disk::Manifest;
pub use gc::{Collected, Damage, DamageKind};
pub use writer::{BlobWriter, WrittenBlob};

use crate::{
    manifest::{ManifestError, References},
    name::{Reference, Repository, Tag},
};
use bytes::Bytes;
use disk::Disk;
use futures_util::Stream;
use pvdify_types::Digest;
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use thiserror::Error;
use upload::{Sessions, Upload};
use uuid::Uuid;

/// Why the store could not do it.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum StoreError {
    #[error("the bytes have the digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error("the blob {0} is not in the repository")]
    BlobUnknown(Digest),
    #[error("the manifest is not in the repository")]
    ManifestUnknown,
    #[error(transparent)]
    ManifestInvalid(#[from] ManifestError),
    #[error("the upload is not known: it was finished, cancelled, or idle for too long")]
    UploadUnknown,
    #[error("the upload stands at {size} bytes; go on from there")]
    Range { size: u64 },
    #[error("{received} bytes came where {expected} were announced")]
    Size { expected: u64, received: u64 },
    #[error("the sender broke off: {0}")]
    Sender(io::Error),
    #[error("the stored {0} is damaged on disk: push it again")]
    Corrupt(Digest),
    #[error("the registry's disk is full")]
    DiskFull,
    #[error("the registry's disk: {0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Io(error),
        }
    }
}

/// The store in one folder.
#[derive(Clone)]
pub struct Store {
    disk: Arc<Disk>,
    sessions: Arc<Sessions>,
}

/// Runs file work where it may block; it runs to its end even when its caller is gone.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()))
}

impl Store {
    /// Opens the store in `folder`, made when it does not exist.
    ///
    /// # Errors
    /// When the folder can't be made, read or written.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            disk: Arc::new(Disk::open(folder)?),
            sessions: Arc::default(),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let disk = Arc::clone(&self.disk);
        blocking(move || work(&disk)).await
    }

    /// Whether `repository` has the blob. The blob counts as young again: whoever asks is about to rely on it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.run(move |disk| Ok(disk.touch_blob(&repository, &digest)?))
            .await
    }

    /// Where a blob's bytes are, if they are stored. It may be collected while it is used: hold what keeps it.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.disk.blob_path(digest)).filter(|path| path.exists())
    }

    /// Opens a blob for reading, with its size. Once open it stays readable.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] or [`StoreError::Io`].
    pub async fn open_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(fs::File, u64), StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.run(move |disk| disk.open_blob(&repository, &digest)).await
    }

    /// Stores a whole stream as a blob of `repository`; nothing is kept unless it has the `expected` digest.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], [`StoreError::Sender`] for the stream's own error, or the disk's.
    pub async fn write_blob<S>(
        &self,
        repository: &Repository,
        expected: Option<&Digest>,
        stream: S,
    ) -> Result<(Digest, u64), StoreError>
    where
        S: Stream<Item = io::Result<Bytes>> + Unpin,
    {
        let disk = Arc::clone(&self.disk);
        upload::write_whole(disk, repository.clone(), expected.cloned(), stream).await
    }

    /// Begins a blob that blocking code writes; [`Store::keep_blob`] ends it.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`].
    pub fn blob_writer(&self) -> Result<BlobWriter, StoreError> {
        BlobWriter::begin(&self.disk)
    }

    /// Gives a written blob its digest's name and lets `repository` read it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn keep_blob(&self, repository: &Repository, blob: WrittenBlob) -> Result<(), StoreError> {
        let (disk, repository) = (Arc::clone(&self.disk), repository.clone());
        blocking(move || blob.keep(&disk, &repository)).await
    }

    /// Lets `repository` read a blob that `from` has; false when `from` does not have it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn mount_blob(
        &self,
        from: &Repository,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let (from, repository, digest) = (from.clone(), repository.clone(), digest.clone());
        self.run(move |disk| Ok(disk.mount_blob(&from, &repository, &digest)?))
            .await
    }

    /// Takes a blob from a repository; its bytes go with the next collection.
    ///
    /// # Errors
    /// [`StoreError::BlobUnknown`] or [`StoreError::Io`].
    pub async fn delete_blob(&self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.run(move |disk| disk.unlink_blob(&repository, &digest)).await
    }

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

    /// Whether anything was ever pushed to the repository.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn has_repository(&self, repository: &Repository) -> Result<bool, StoreError> {
        let repository = repository.clone();
        self.run(move |disk| Ok(disk.has_repository(&repository)?)).await
    }

    /// Every repository, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn repositories(&self) -> Result<Vec<Repository>, StoreError> {
        self.run(|disk| Ok(disk.list_repositories()?)).await
    }

    /// Deletes a repository with its tags and manifests; bytes no one else has go with the next collection.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn delete_repository(&self, repository: &Repository) -> Result<(), StoreError> {
        let repository = repository.clone();
        self.run(move |disk| Ok(disk.delete_repository(&repository)?))
            .await
    }

    /// Removes every manifest that is neither in `keep`, nor named by one that is, nor younger than `grace`,
    /// and then every blob that no remaining manifest names and that is older than `grace`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a manifest that stays can't be read; then nothing was removed.
    pub async fn collect_garbage(
        &self,
        keep: &BTreeSet<Digest>,
        grace: Duration,
    ) -> Result<Collected, StoreError> {
        let keep = keep.clone();
        self.run(move |disk| gc::collect(disk, &keep, grace)).await
    }

    /// Reads every blob and says which are spoilt or missing, and whose they are.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn scrub(&self) -> Result<Vec<Damage>, StoreError> {
        self.run(gc::scrub).await
    }

    /// Removes uploads and temporary files that were idle for `age`; says how many.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub async fn sweep(&self, age: Duration) -> Result<usize, StoreError> {
        let sessions = Arc::clone(&self.sessions);
        self.run(move |disk| Ok(upload::sweep(disk, &sessions, age)?))
            .await
    }

    pub(crate) async fn start_upload(&self, repository: &Repository) -> Result<Uuid, StoreError> {
        let repository = repository.clone();
        self.run(move |disk| Ok(upload::start(disk, &repository)?)).await
    }

    async fn upload(&self, repository: &Repository, id: Uuid) -> Result<Upload, StoreError> {
        Upload::resume(&self.disk, &self.sessions, repository, id).await
    }

    pub(crate) async fn upload_size(&self, repository: &Repository, id: Uuid) -> Result<u64, StoreError> {
        Ok(self.upload(repository, id).await?.progress().await?.size)
    }

    pub(crate) async fn cancel_upload(&self, repository: &Repository, id: Uuid) -> Result<(), StoreError> {
        Ok(self.upload(repository, id).await?.cancel(&self.sessions)?)
    }

    /// Appends a request's body, in a task of its own (see [`upload`]).
    pub(crate) async fn append_upload<S>(
        &self,
        repository: &Repository,
        id: Uuid,
        range: Option<(u64, u64)>,
        body: S,
    ) -> Result<u64, StoreError>
    where
        S: Stream<Item = io::Result<Bytes>> + Unpin + Send + 'static,
    {
        let mut upload = self.upload(repository, id).await?;
        let sessions = Arc::clone(&self.sessions);
        let work = async move {
            let appended = upload.append(range, body).await;
            if matches!(appended, Err(StoreError::DiskFull)) {
                // Kept, it would keep the disk full; who sent it has nothing to go on from.
                upload.cancel(&sessions)?;
            }
            appended
        };
        tokio::spawn(work)
            .await
            .unwrap_or_else(|panicked| Err(io::Error::other(panicked).into()))
    }

    pub(crate) async fn finish_upload(
        &self,
        repository: &Repository,
        id: Uuid,
        digest: &Digest,
    ) -> Result<u64, StoreError> {
        let upload = self.upload(repository, id).await?;
        let disk = Arc::clone(&self.disk);
        upload
            .finish(disk, &self.sessions, repository.clone(), digest.clone())
            .await
    }
}

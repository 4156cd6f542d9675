//! The content-addressed store: the async face over [`disk`], [`upload`] and [`gc`].
//!
//! Blobs, repositories and the care of the whole folder are here; `manifests` and `uploads` are the other two parts.
//! One process works on a folder at a time; inside it, clones of a [`Store`] are one store.

mod disk;
mod durable;
mod error;
mod gc;
mod manifests;
mod upload;
mod uploads;
mod writer;

pub use disk::Manifest;
pub use error::StoreError;
pub use gc::{Collected, Damage, DamageKind};
pub use writer::{BlobWriter, WrittenBlob};

use crate::name::Repository;
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
use upload::Sessions;

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
}

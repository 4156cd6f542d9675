//! Blobs that clients send piece by piece.

use super::{
    Store, StoreError,
    upload::{self, Upload},
};
use crate::name::Repository;
use bytes::Bytes;
use futures_util::Stream;
use pvdify_types::Digest;
use std::{io, sync::Arc};
use uuid::Uuid;

impl Store {
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

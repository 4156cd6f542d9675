//! Uploads under way: bytes appended to a file, hashed as they come, kept over a restart.
//!
//! The hash so far is held in memory only, beside the count of bytes it covers. After a restart, or after a
//! write failed, it is made again from the file, whose content is always a prefix of what was sent. One
//! request at a time works on an upload, and it works to its end even when its client is gone: a write that
//! outlived its request could otherwise land after the next one's.

use super::{StoreError, disk, disk::Disk, durable};
use crate::name::Repository;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufWriter},
    sync::OwnedMutexGuard,
};
use uuid::Uuid;

/// Bytes gathered before each write, so that small frames don't become small writes.
const WRITE_BUFFER: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Progress {
    hasher: Sha256,
    pub(super) size: u64,
}

/// `None` means that it must be read from the file.
type Session = Arc<tokio::sync::Mutex<Option<Progress>>>;

#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Uuid, Session>>);

impl Sessions {
    /// Waits its turn on an upload.
    async fn turn(&self, id: Uuid) -> OwnedMutexGuard<Option<Progress>> {
        let session = Arc::clone(self.locked().entry(id).or_default());
        session.lock_owned().await
    }

    fn forget(&self, id: Uuid) {
        self.locked().remove(&id);
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One upload, with the exclusive right to work on it.
pub(super) struct Upload {
    id: Uuid,
    folder: PathBuf,
    turn: OwnedMutexGuard<Option<Progress>>,
}

/// Begins an upload in a repository.
pub(super) fn start(disk: &Disk, repository: &Repository) -> io::Result<Uuid> {
    let id = Uuid::now_v7();
    let folder = disk.uploads().join(id.to_string());
    fs::create_dir(&folder)?;
    let fill = || {
        fs::File::create_new(folder.join("data"))?;
        // Last: without it there is no upload, and `sweep` takes the folder that a crash left.
        let owner = folder.join("repository");
        durable::write(&disk.temporary(), &owner, repository.as_str().as_bytes())?;
        durable::sync_parent(&folder)
    };
    fill().inspect_err(|_| {
        // What is left behind is swept later; the error that matters is the first.
        fs::remove_dir_all(&folder).ok();
    })?;
    Ok(id)
}

impl Upload {
    /// Takes up an upload that was begun in this repository.
    pub(super) async fn resume(
        disk: &Disk,
        sessions: &Sessions,
        repository: &Repository,
        id: Uuid,
    ) -> Result<Self, StoreError> {
        let folder = disk.uploads().join(id.to_string());
        let is_ours =
            || fs::read(folder.join("repository")).is_ok_and(|owner| owner == repository.as_str().as_bytes());
        if !is_ours() {
            return Err(StoreError::UploadUnknown);
        }
        let turn = sessions.turn(id).await;
        // It may have been finished while this call waited its turn.
        if !is_ours() {
            sessions.forget(id);
            return Err(StoreError::UploadUnknown);
        }
        Ok(Self { id, folder, turn })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The hash and count so far.
    pub(super) async fn progress(&mut self) -> io::Result<&mut Progress> {
        if self.turn.is_none() {
            let mut progress = Progress::default();
            let mut file = tokio::fs::File::open(self.data()).await?;
            let mut buffer = vec![0; WRITE_BUFFER];
            loop {
                let count = file.read(&mut buffer).await?;
                if count == 0 {
                    break;
                }
                progress.hasher.update(&buffer[..count]);
                progress.size += count as u64;
            }
            *self.turn = Some(progress);
        }
        Ok(self.turn.get_or_insert_default())
    }

    /// Appends what the stream gives; what came before it broke off stays.
    ///
    /// With `range`, the bytes must begin where the upload stands and be as many as the range says.
    pub(super) async fn append<S>(&mut self, range: Option<(u64, u64)>, body: S) -> Result<u64, StoreError>
    where
        S: Stream<Item = io::Result<Bytes>> + Unpin,
    {
        let mut body = body.fuse();
        let before = self.progress().await?.size;
        if let Some((start, _)) = range
            && start != before
        {
            return Err(StoreError::Range { size: before });
        }
        let mut progress = self.turn.take().unwrap_or_default();
        let file = tokio::fs::OpenOptions::new()
            .append(true)
            .open(self.data())
            .await?;
        let received = write_hashed(file, &mut body, &mut progress).await;
        match received {
            // The disk's fault: what is in the file is not known, so the next call reads it again.
            Err(Broken::Disk(error)) => {
                // Clients read no answer before they have sent all: they would learn of a broken pipe only.
                while let Some(Ok(_)) = body.next().await {}
                return Err(error.into());
            }
            Err(Broken::Sender(error)) => {
                *self.turn = Some(progress);
                return Err(StoreError::Sender(error));
            }
            Ok(_) => {}
        }
        let size = progress.size;
        if let Some((start, end)) = range
            && size - start != end - start + 1
        {
            tokio::fs::OpenOptions::new()
                .write(true)
                .open(self.data())
                .await?
                .set_len(before)
                .await?;
            return Err(StoreError::Size {
                expected: end - start + 1,
                received: size - start,
            });
        }
        *self.turn = Some(progress);
        Ok(size)
    }

    /// Ends the upload: its bytes become the blob `digest`, or are thrown away when they have another digest.
    pub(super) async fn finish(
        mut self,
        disk: Arc<Disk>,
        sessions: &Sessions,
        repository: Repository,
        digest: Digest,
    ) -> Result<u64, StoreError> {
        self.progress().await?;
        let progress = self.turn.take().unwrap_or_default();
        let (size, actual) = (progress.size, disk::digest_from(progress.hasher));
        let id = self.id;
        let kept = super::blocking(move || {
            // The turn goes along: nobody else may write between the hash and the rename.
            let upload = self;
            if actual != digest {
                fs::remove_dir_all(&upload.folder)?;
                return Err(StoreError::DigestMismatch {
                    expected: digest,
                    actual,
                });
            }
            let data = upload.data();
            fs::File::open(&data)?.sync_all()?;
            disk.keep_blob(&repository, &digest, &data)?;
            Ok(fs::remove_dir_all(&upload.folder)?)
        })
        .await;
        sessions.forget(id);
        kept.map(|()| size)
    }

    /// Throws the upload away.
    pub(super) fn cancel(self, sessions: &Sessions) -> io::Result<()> {
        sessions.forget(self.id);
        fs::remove_dir_all(&self.folder)
    }
}

/// Why a copy ended early.
pub(super) enum Broken {
    Disk(io::Error),
    Sender(io::Error),
}

/// Copies a stream into a file and its hash; the file is flushed to the kernel, not yet to the disk.
pub(super) async fn write_hashed<S>(
    file: tokio::fs::File,
    mut body: S,
    progress: &mut Progress,
) -> Result<tokio::fs::File, Broken>
where
    S: Stream<Item = io::Result<Bytes>> + Unpin,
{
    let mut file = BufWriter::with_capacity(WRITE_BUFFER, file);
    let ended = loop {
        match body.next().await {
            None => break Ok(()),
            Some(Err(error)) => break Err(Broken::Sender(error)),
            Some(Ok(bytes)) => {
                file.write_all(&bytes).await.map_err(Broken::Disk)?;
                progress.hasher.update(&bytes);
                progress.size += bytes.len() as u64;
            }
        }
    };
    file.flush().await.map_err(Broken::Disk)?;
    ended.map(|()| file.into_inner())
}

/// Writes a whole stream as a blob, without an upload that could be resumed.
pub(super) async fn write_whole<S>(
    disk: Arc<Disk>,
    repository: Repository,
    expected: Option<Digest>,
    body: S,
) -> Result<(Digest, u64), StoreError>
where
    S: Stream<Item = io::Result<Bytes>> + Unpin,
{
    let temporary = Temporary(disk.temporary().join(Uuid::now_v7().to_string()));
    let file = tokio::fs::File::create_new(&temporary.0).await?;
    let mut progress = Progress::default();
    let file = write_hashed(file, body, &mut progress)
        .await
        .map_err(|broken| match broken {
            Broken::Disk(error) => StoreError::from(error),
            Broken::Sender(error) => StoreError::Sender(error),
        })?;
    let (size, actual) = (progress.size, disk::digest_from(progress.hasher));
    if let Some(expected) = expected
        && expected != actual
    {
        return Err(StoreError::DigestMismatch { expected, actual });
    }
    file.sync_all().await?;
    let digest = actual.clone();
    super::blocking(move || Ok(disk.keep_blob(&repository, &actual, &temporary.0)?)).await?;
    Ok((digest, size))
}

/// A file that goes when nobody wants it any more; after a rename there is none under this name.
pub(super) struct Temporary(pub(super) PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// Removes uploads and temporary files that nobody worked on for `age`; says how many.
pub(super) fn sweep(disk: &Disk, sessions: &Sessions, age: Duration) -> io::Result<usize> {
    let mut swept = 0;
    let now = SystemTime::now();
    let is_old = |path: &PathBuf| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| now.duration_since(modified).is_ok_and(|idle| idle >= age))
    };
    for name in durable::names(&disk.uploads())? {
        let folder = disk.uploads().join(&name);
        let data = folder.join("data");
        if is_old(if data.exists() { &data } else { &folder }) {
            fs::remove_dir_all(&folder)?;
            if let Ok(id) = name.parse() {
                sessions.forget(id);
            }
            swept += 1;
        }
    }
    for name in durable::names(&disk.temporary())? {
        let path = disk.temporary().join(name);
        if is_old(&path) {
            durable::remove_file(&path)?;
            swept += 1;
        }
    }
    Ok(swept)
}

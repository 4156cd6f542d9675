//! Why the store could not do something: its own rules, whoever sends, or the disk.

use crate::manifest::ManifestError;
use pvdify_types::Digest;
use std::io;
use thiserror::Error;

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

//! A blob that blocking code writes piece by piece, as the export of an image does: hashed while it is written,
//! flushed to the disk, and only then given to a repository. No repository sees it before, and one that is given
//! up, or whose process dies, is a temporary file that the sweep takes.

use super::{StoreError, disk, disk::Disk, upload::Temporary};
use crate::name::Repository;
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
};
use uuid::Uuid;

/// Bytes gathered before each write.
const WRITE_BUFFER: usize = 1024 * 1024;

/// A blob being written, by [`super::Store::blob_writer`].
pub struct BlobWriter {
    file: BufWriter<File>,
    hasher: Sha256,
    size: u64,
    temporary: Temporary,
}

/// A blob that is on the disk and in no repository yet; [`super::Store::keep_blob`] gives it to one.
pub struct WrittenBlob {
    digest: Digest,
    size: u64,
    temporary: Temporary,
}

impl BlobWriter {
    pub(super) fn begin(disk: &Disk) -> Result<Self, StoreError> {
        let path = disk.temporary().join(Uuid::now_v7().to_string());
        let file = File::create_new(&path)?;
        Ok(Self {
            file: BufWriter::with_capacity(WRITE_BUFFER, file),
            hasher: Sha256::new(),
            size: 0,
            temporary: Temporary(path),
        })
    }

    /// Ends the blob and flushes it to the disk.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] or [`StoreError::Io`]; then nothing is left of it.
    pub fn finish(self) -> Result<WrittenBlob, StoreError> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(WrittenBlob {
            digest: disk::digest_from(self.hasher),
            size: self.size,
            temporary: self.temporary,
        })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl WrittenBlob {
    /// Of the bytes.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn keep(self, disk: &Arc<Disk>, repository: &Repository) -> Result<(), StoreError> {
        Ok(disk.keep_blob(repository, &self.digest, &self.temporary.0)?)
    }
}

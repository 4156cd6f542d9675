//! One layer, from its files to a blob in the registry's store: archive, diffID, compression and digest in one
//! pass, with nothing on disk between.

use super::{
    archive::{Archive, Owner},
    compress::{Compression, Encoder},
    image::{LAUNCHER, PROCESSES},
    known::KnownBlob,
    plan::{Content, folders_of_the_launcher},
};
use pvdify_registry::{Store, StoreError, WrittenBlob};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::atomic::AtomicBool,
};

/// How layers are made.
pub(crate) struct Packer<'a> {
    pub(crate) store: &'a Store,
    pub(crate) compression: Compression,
    /// Who owns what the build made.
    pub(crate) owner: Owner,
    pub(crate) cancelled: &'a AtomicBool,
}

/// What became of a layer.
pub(crate) enum Packed {
    /// It is the blob that was expected, which is stored.
    Same(KnownBlob),
    /// It is written.
    New { diff_id: Digest, blob: WrittenBlob },
}

impl Packer<'_> {
    /// Makes the layer's blob with `workers` threads that compress. When it may well be `expected` still, it is
    /// read for its diffID alone first: that is a tenth of the work.
    pub(crate) fn pack(
        &self,
        content: &Content,
        expected: Option<&KnownBlob>,
        workers: usize,
    ) -> Result<Packed, StoreError> {
        if let Some(expected) = expected {
            let hashed = self.write(content, Hashed::new(io::sink()))?;
            if hashed.diff_id()? == expected.diff_id {
                return Ok(Packed::Same(expected.clone()));
            }
        }
        let encoder = Encoder::new(self.compression, workers, self.store.blob_writer()?)?;
        let hashed = self.write(content, Hashed::new(encoder))?;
        let diff_id = hashed.diff_id()?;
        let blob = hashed.out.finish()?.finish()?;
        Ok(Packed::New { diff_id, blob })
    }

    fn write<W: Write>(&self, content: &Content, out: Hashed<W>) -> Result<Hashed<W>, StoreError> {
        let mut archive = Archive::new(out, self.cancelled);
        match content {
            Content::Tree {
                tree,
                only,
                place,
                above,
            } => {
                for folder in above {
                    archive.folder(folder, 0o755, self.owner)?;
                }
                match only {
                    None => archive.entries(&tree.root, place, self.owner, &tree.entries)?,
                    Some(only) => {
                        let entries = only.iter().map(|at| &tree.entries[*at]);
                        archive.entries(&tree.root, place, self.owner, entries)?;
                    }
                }
            }
            Content::Launcher { program, size } => {
                for folder in folders_of_the_launcher(LAUNCHER) {
                    archive.folder(&folder, 0o755, Owner::ROOT)?;
                }
                let program = File::open(program)?;
                archive.file(Path::new(LAUNCHER), 0o755, Owner::ROOT, *size, program)?;
            }
            Content::ProcessTypes(names) => {
                for folder in folders_of_the_launcher(PROCESSES) {
                    archive.folder(&folder, 0o755, Owner::ROOT)?;
                }
                for name in names {
                    let path = Path::new(PROCESSES).join(name.as_str());
                    archive.link(&path, Path::new(LAUNCHER), Owner::ROOT)?;
                }
            }
            // It is in the store already.
            Content::Previous(_) => {}
        }
        Ok(archive.finish()?)
    }
}

/// Hashes what goes through it.
struct Hashed<W> {
    hasher: Sha256,
    out: W,
}

impl<W: Write> Hashed<W> {
    fn new(out: W) -> Self {
        Self {
            hasher: Sha256::new(),
            out,
        }
    }

    fn diff_id(&self) -> io::Result<Digest> {
        format!("sha256:{}", hex::encode(self.hasher.clone().finalize()))
            .parse()
            .map_err(io::Error::other)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

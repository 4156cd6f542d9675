//! Layers at rest: the layer folders of an app that nobody builds, as one compressed archive beside them.
//!
//! Apps are pushed in bursts and then rest for days. While they are pushed, folders that stay where they are make the
//! next build a matter of a moment; while they rest, they would take as much disk as they are large.
//!
//! What is on the disk, below the app's folder, says where the app is; nothing else does:
//!
//! ```text
//! layers   layers.packed
//!   yes        no        folders. Packing: -> layers.packing, written through, renamed to layers.packed
//!   yes        yes       whole twice: the archive goes. A packing or an unpacking was broken off at its very end
//!   no         yes       packed. Unpacking: -> layers.unpacking, known.json renewed, renamed to layers
//!   no         no        never built, or forgotten
//! ```
//!
//! `layers.packing` and `layers.unpacking` are never whole, and go when they are met. What always holds:
//!
//! - Folders are packed only where `known.json` vouches for them, file by file: what comes back is what an image was
//!   made of. Before the archive goes, `known.json` knows the new files by their own times and inodes, so that the next
//!   build finds nothing changed; and it says that a build is under way, so that the first build after a power cut
//!   compares what it finds.
//! - Everything comes back as it was: owner, mode, time, links of both kinds, names of any bytes. What holds anything
//!   else (`write.rs`), or would save little, stays as it is.
//! - Whoever holds the app's turn is alone with all of this. Packing ends at once when a build waits for it.

mod ahead;
mod archive;
mod idle;
mod read;
mod write;

pub(crate) use idle::LeftAlone;
pub use idle::Packed;

use super::folders::{AppFolder, put_away};
use crate::export::{Known, beneath::Beneath};
use ahead::Ahead;
use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufReader, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};
use thiserror::Error;

/// The archive.
pub(super) const PACKED: &str = "layers.packed";
const PACKING: &str = "layers.packing";
const UNPACKING: &str = "layers.unpacking";
/// Of 280 MB of libraries, programs and modules it leaves a quarter in 3 s; the next levels save a tenth of that
/// for twice the time.
const LEVEL: i32 = 6;
/// Repetitions are found this far back (64 MiB), which is memory that packing and unpacking take.
const WINDOW_LOG: u32 = 26;
/// What packing must save of the disk to be worth the next build's unpacking.
const WORTH: u64 = 1024 * 1024;
const BUFFER: usize = 256 * 1024;

/// Why layers stay as they are.
#[derive(Debug, Error)]
pub(super) enum NotPacked {
    /// A build waits, or the server stops.
    #[error("packing was broken off")]
    BrokenOff,
    #[error("the disk has no room for it")]
    NoRoom,
    /// They would not fit this time or the next.
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Disk(io::Error),
}

impl From<io::Error> for NotPacked {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidFilename => Self::Unfit("a path in them is too long".to_owned()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoRoom,
            _ => Self::Disk(error),
        }
    }
}

/// Asked again and again while layers are packed.
pub(super) type GoOn<'a> = &'a dyn Fn() -> Result<(), NotPacked>;

/// Bytes on the disk, before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) before: u64,
    pub(super) after: u64,
}

/// How an app's layers were found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing is packed.
    Folders,
    /// They are folders again.
    Unpacked { bytes: u64, took: Duration },
    /// There is no way to: the app starts anew.
    Lost(io::Error),
}

impl AppFolder {
    /// Packs the layers, if they are folders that the last build left. Blocking; needs the app's turn.
    pub(super) fn pack(&self, work_dir: &Path, go_on: GoOn<'_>) -> Result<Option<Saved>, NotPacked> {
        if self.settle(work_dir)? || !self.layers().exists() {
            return Ok(None);
        }
        let unfit = |text: &str| Err(NotPacked::Unfit(text.to_owned()));
        if !Known::read(self.folder()).are_as_left(&self.layers())? {
            return unfit("they are not those of a build that made an image");
        }
        let new = self.folder().join(PACKING);
        let saved = self.write_archive(&new, go_on);
        let is_worth = |saved: &Saved| saved.before.saturating_sub(saved.after) >= WORTH;
        let saved = match saved {
            Ok(saved) if is_worth(&saved) => saved,
            other => {
                remove_file(&new)?;
                other?;
                return unfit("packing them would save little");
            }
        };
        fs::rename(new, self.folder().join(PACKED))?;
        sync(self.folder())?;
        put_away(work_dir, &self.layers())?.remove()?;
        Ok(Some(saved))
    }

    fn write_archive(&self, to: &Path, go_on: GoOn<'_>) -> Result<Saved, NotPacked> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)?;
        let mut encoder = zstd::stream::write::Encoder::new(BufWriter::with_capacity(BUFFER, file), LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.long_distance_matching(true)?;
        encoder.window_log(WINDOW_LOG)?;
        let before = write::write(&Beneath::open(&self.layers())?, &mut encoder, go_on)?;
        let mut out = encoder.finish()?;
        out.flush()?;
        out.get_ref().sync_all()?;
        let after = out.get_ref().metadata()?.len();
        Ok(Saved { before, after })
    }

    /// Makes folders of packed layers again. Blocking; needs the app's turn.
    pub(super) fn unpack(&self, work_dir: &Path) -> io::Result<Found> {
        if !self.settle(work_dir)? {
            return Ok(Found::Folders);
        }
        let began = Instant::now();
        let (archive, new) = (self.folder().join(PACKED), self.folder().join(UNPACKING));
        // Closed to all but root until each file has its owner and mode.
        DirBuilder::new().mode(0o700).create(&new)?;
        let bytes = match read_archive(&archive, &new) {
            Ok(bytes) => bytes,
            Err(error) => return self.not_unpacked(work_dir, error),
        };
        Known::read(self.folder()).renew(&new)?;
        fs::rename(new, self.layers())?;
        sync(self.folder())?;
        fs::remove_file(archive)?;
        let took = began.elapsed();
        Ok(Found::Unpacked { bytes, took })
    }

    /// What could not be unpacked takes no disk. It is kept only for when there is room: nothing that can be had anew is
    /// worth refusing all builds of an app.
    fn not_unpacked(&self, work_dir: &Path, error: io::Error) -> io::Result<Found> {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let waits_for_room = matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem);
        if !waits_for_room {
            for name in ["image", "known.json", PACKED] {
                remove_file(&self.folder().join(name))?;
            }
        }
        self.settle(work_dir)?;
        if waits_for_room {
            return Err(error);
        }
        Ok(Found::Lost(error))
    }

    /// Ends what was broken off; whether the layers are packed then.
    fn settle(&self, work_dir: &Path) -> io::Result<bool> {
        remove_file(&self.folder().join(PACKING))?;
        put_away(work_dir, &self.folder().join(UNPACKING))?.remove()?;
        let archive = self.folder().join(PACKED);
        if self.layers().exists() {
            remove_file(&archive)?;
        }
        Ok(archive.exists())
    }
}

fn read_archive(archive: &Path, to: &Path) -> io::Result<u64> {
    let file = BufReader::with_capacity(BUFFER, File::open(archive)?);
    let decoder = zstd::stream::read::Decoder::with_buffer(file)?;
    thread::scope(|scope| read::read(Ahead::new(scope, decoder)?, to))
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;

//! An archive into a new folder, which nobody else can reach yet.
//!
//! Whatever the archive says, nothing outside is touched: each name is made anew, in a folder that the kernel finds
//! beneath the new one and through no link. A folder gets its owner, its mode and its time once all in it have theirs.

use super::archive::{Entry, Kind, MAGIC, Meta, bytes, damaged};
use crate::export::beneath::Beneath;
use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, chownat, fchmod, fchown, futimens, linkat,
    mkdirat, openat, symlinkat, utimensat,
};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::fs::FileExt as _},
    path::{Path, PathBuf},
};

const BUFFER: usize = 256 * 1024;

/// Lays out an archive; gives the size of all its files.
pub(super) fn read(mut input: impl Read, to: &Path) -> io::Result<u64> {
    if bytes(&mut input)? != *MAGIC {
        return Err(damaged("it is of another kind"));
    }
    let mut reader = Reader {
        input,
        root: Beneath::open(to)?,
        at: None,
        is_root: rustix::process::geteuid().is_root(),
        folders: Vec::new(),
        buffer: vec![0; BUFFER],
        size: 0,
    };
    while let Some(entry) = Entry::read(&mut reader.input)? {
        reader.entry(entry)?;
    }
    // Only the end of the stream says that its checksum is right.
    if reader.input.read(&mut [0])? != 0 {
        return Err(damaged("it goes on after its end"));
    }
    while let Some((path, meta)) = reader.folders.pop() {
        reader.finish(&reader.root.folder(&path)?, &meta)?;
    }
    Ok(reader.size)
}

struct Reader<R> {
    input: R,
    root: Beneath,
    /// The folder that the last file went into.
    at: Option<(PathBuf, Beneath)>,
    is_root: bool,
    /// Those that are not finished.
    folders: Vec<(PathBuf, Meta)>,
    buffer: Vec<u8>,
    size: u64,
}

impl<R: Read> Reader<R> {
    fn entry(&mut self, entry: Entry) -> io::Result<()> {
        let Entry { path, kind, meta } = entry;
        let Some(name) = path.file_name() else {
            return match kind {
                Kind::Folder if path.as_os_str().is_empty() => {
                    self.folders.push((path, meta));
                    Ok(())
                }
                _ => Err(damaged("a path has no name")),
            };
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = match self.at.take() {
            Some((at, folder)) if at == parent => folder,
            _ => self.root.folder(parent)?,
        };
        match kind {
            Kind::Folder => {
                mkdirat(&folder, name, Mode::RWXU)?;
                self.folders.push((path.clone(), meta));
            }
            Kind::File { size } => {
                let flags =
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = File::from(openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
                self.content(&file, size)?;
                self.finish(&file, &meta)?;
            }
            Kind::Link { target } => {
                symlinkat(&target, &folder, name)?;
                self.finish_link(&folder, name, &meta)?;
            }
            Kind::Same { file } => {
                let (Some(parent), Some(file)) = (file.parent(), file.file_name()) else {
                    return Err(damaged("a link leads to no file"));
                };
                linkat(self.root.folder(parent)?, file, &folder, name, AtFlags::empty())?;
            }
        }
        self.at = Some((parent.to_owned(), folder));
        Ok(())
    }

    fn content(&mut self, file: &File, size: u64) -> io::Result<()> {
        let mut at = 0;
        while at < size {
            let most = usize::try_from(size - at).map_or(BUFFER, |left| left.min(BUFFER));
            let piece = &mut self.buffer[..most];
            self.input.read_exact(piece)?;
            // What is all zeros becomes a hole again.
            if piece.iter().any(|byte| *byte != 0) {
                file.write_all_at(piece, at)?;
            }
            at += most as u64;
        }
        self.size += size;
        file.set_len(size)
    }

    /// The owner before the mode, since a change of it takes set-id bits away; the time last.
    fn finish(&self, file: &impl AsFd, meta: &Meta) -> io::Result<()> {
        if self.is_root {
            let (uid, gid) = owner(meta);
            fchown(file, Some(uid), Some(gid))?;
        }
        fchmod(file, Mode::from_raw_mode(meta.mode))?;
        Ok(futimens(file, &times(meta))?)
    }

    fn finish_link(&self, folder: &Beneath, name: &OsStr, meta: &Meta) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        if self.is_root {
            let (uid, gid) = owner(meta);
            chownat(folder, name, Some(uid), Some(gid), flags)?;
        }
        Ok(utimensat(folder, name, &times(meta), flags)?)
    }
}

fn owner(meta: &Meta) -> (Uid, Gid) {
    (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid))
}

/// Both times: that of the last reading is of no use to anyone.
fn times(meta: &Meta) -> Timestamps {
    let time = Timespec {
        tv_sec: meta.seconds,
        tv_nsec: meta.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

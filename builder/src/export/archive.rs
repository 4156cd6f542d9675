//! A layer as a tar archive in which nothing depends on when and where it was made: one time for all, one owner,
//! no names of users, files in the order they are given.

use super::{
    beneath::Beneath,
    walk::{Entry, Kind},
};
use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};
use tar::{EntryType, Header};

/// 1980-01-01T00:00:01Z, which the CNB tools give to whatever they put into an image.
pub(crate) const CREATED: u64 = 315_532_801;

const BLOCK: usize = 512;
/// Bytes read from a file at a time.
const READ_BUFFER: usize = 256 * 1024;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    pub(crate) const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// Writes one archive.
pub(crate) struct Archive<'a, W> {
    out: W,
    cancelled: &'a AtomicBool,
    buffer: Vec<u8>,
}

impl<'a, W: Write> Archive<'a, W> {
    pub(crate) fn new(out: W, cancelled: &'a AtomicBool) -> Self {
        Self {
            out,
            cancelled,
            buffer: vec![0; READ_BUFFER],
        }
    }

    /// A folder; `path` is absolute, as in the image.
    pub(crate) fn folder(&mut self, path: &Path, mode: u32, owner: Owner) -> io::Result<()> {
        self.header(path, EntryType::Directory, mode, owner, 0, OsStr::new(""))
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &Path, target: &Path, owner: Owner) -> io::Result<()> {
        self.header(path, EntryType::Symlink, 0o777, owner, 0, target.as_os_str())
    }

    /// A file, of exactly `size` bytes.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        mode: u32,
        owner: Owner,
        size: u64,
        mut content: impl Read,
    ) -> io::Result<()> {
        self.header(path, EntryType::Regular, mode, owner, size, OsStr::new(""))?;
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).map_or(READ_BUFFER, |left| left.min(READ_BUFFER));
            let count = content.read(&mut self.buffer[..most])?;
            if count == 0 || self.cancelled.load(Ordering::Relaxed) {
                let text = format!("{} could not be read to its end", path.display());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            self.out.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.pad(size)
    }

    /// Part of a tree, at the place that it has in the image.
    pub(crate) fn entries<'e>(
        &mut self,
        root: &Beneath,
        place: &Path,
        owner: Owner,
        entries: impl IntoIterator<Item = &'e Entry>,
    ) -> io::Result<()> {
        for Entry { path, kind, mode } in entries {
            let whole = if path.as_os_str().is_empty() {
                place.to_owned()
            } else {
                place.join(path)
            };
            match kind {
                Kind::Folder => self.folder(&whole, *mode, owner)?,
                Kind::Link { target } => self.link(&whole, target, owner)?,
                Kind::File { size } => {
                    let named = |error: io::Error| {
                        io::Error::new(error.kind(), format!("{}: {error}", whole.display()))
                    };
                    let content = root.file(path).map_err(named)?;
                    self.file(&whole, *mode, owner, *size, content)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn header(
        &mut self,
        path: &Path,
        kind: EntryType,
        mode: u32,
        owner: Owner,
        size: u64,
        target: &OsStr,
    ) -> io::Result<()> {
        let mut name = path.as_os_str().as_bytes().to_vec();
        // As podman, docker and tar write it: without the leading slash, folders with one at the end.
        name.drain(..name.iter().take_while(|byte| **byte == b'/').count());
        if kind == EntryType::Directory {
            name.push(b'/');
        }
        self.long(&name, EntryType::GNULongName)?;
        self.long(target.as_bytes(), EntryType::GNULongLink)?;
        let mut header = Header::new_gnu();
        put(&mut header.as_old_mut().name, &name);
        put(&mut header.as_old_mut().linkname, target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
        header.set_mtime(CREATED);
        header.set_size(size);
        header.set_cksum();
        self.out.write_all(header.as_bytes())
    }

    /// A name that is too long for a header goes before it, as an entry of its own.
    fn long(&mut self, text: &[u8], kind: EntryType) -> io::Result<()> {
        if text.len() <= 100 {
            return Ok(());
        }
        let mut header = Header::new_gnu();
        put(&mut header.as_old_mut().name, b"././@LongLink");
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(text.len() as u64 + 1);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(text)?;
        self.out.write_all(&[0])?;
        self.pad(text.len() as u64 + 1)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        if over > 0 {
            self.out.write_all(&[0; BLOCK][over..])?;
        }
        Ok(())
    }
}

fn put(field: &mut [u8; 100], text: &[u8]) {
    let count = text.len().min(field.len());
    field[..count].copy_from_slice(&text[..count]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const OWNER: Owner = Owner {
        uid: 10_001,
        gid: 10_002,
    };

    #[test]
    fn what_is_written_is_read_back_by_another_program_and_long_names_too() {
        let cancelled = AtomicBool::new(false);
        let mut archive = Archive::new(Vec::new(), &cancelled);
        let long = PathBuf::from(format!("/layers/{}/{}", "d".repeat(120), "f".repeat(200)));
        archive.folder(Path::new("/layers"), 0o755, OWNER).unwrap();
        archive
            .file(Path::new("/layers/a"), 0o4755, OWNER, 3, &b"abcdef"[..])
            .unwrap();
        archive.file(&long, 0o600, OWNER, 512, &[7; 512][..]).unwrap();
        archive.link(Path::new("/layers/l"), &long, Owner::ROOT).unwrap();
        let exactly = PathBuf::from(format!("/{}", "n".repeat(100)));
        archive.file(&exactly, 0o644, OWNER, 0, &b""[..]).unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut reader = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in reader.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), CREATED);
            assert_eq!(header.username().unwrap(), Some(""));
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            let (mode, kind) = (header.mode().unwrap(), header.entry_type());
            let target = entry.link_name().unwrap().map(std::borrow::Cow::into_owned);
            seen.push((
                entry.path().unwrap().into_owned(),
                kind,
                mode,
                owner,
                content.len(),
                target,
            ));
        }
        let strip = |path: &Path| path.strip_prefix("/").unwrap().to_owned();
        let (cnb, root) = ((10_001, 10_002), (0, 0));
        assert_eq!(
            seen,
            [
                ("layers/".into(), EntryType::Directory, 0o755, cnb, 0, None),
                ("layers/a".into(), EntryType::Regular, 0o4755, cnb, 3, None),
                (strip(&long), EntryType::Regular, 0o600, cnb, 512, None),
                ("layers/l".into(), EntryType::Symlink, 0o777, root, 0, Some(long)),
                (strip(&exactly), EntryType::Regular, 0o644, cnb, 0, None),
            ]
        );
    }

    #[test]
    fn a_file_that_shrank_and_an_export_that_was_cancelled_end_it() {
        let cancelled = AtomicBool::new(false);
        let mut archive = Archive::new(Vec::new(), &cancelled);
        let error = archive
            .file(Path::new("/a"), 0o644, OWNER, 4, &b"abc"[..])
            .unwrap_err();
        assert_eq!(error.to_string(), "/a could not be read to its end");
        cancelled.store(true, Ordering::Relaxed);
        let mut archive = Archive::new(Vec::new(), &cancelled);
        assert!(
            archive
                .file(Path::new("/a"), 0o644, OWNER, 3, &b"abc"[..])
                .is_err()
        );
    }
}

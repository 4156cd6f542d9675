//! What the archive is made of: a head and a path for each file, in an order in which a folder comes before what is in
//! it, each regular file followed by its bytes.
//!
//! It is no tar: tar has nanoseconds and times before 1970 only in extended headers, whose reader in the `tar` crate
//! ends a value at a line feed, which a hostile file name may hold; and the system's GNU tar would stand between what
//! is packed and what must not be packed with exit codes and words alone. Nobody but this server reads it.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

/// How an archive begins.
pub(super) const MAGIC: &[u8; 16] = b"pvdify layers 1\n";
/// The longest path that goes to the kernel as one; one byte is the end of the text.
pub(super) const MAX_PATH: usize = 4095;
/// What comes in place of a kind when all files are through.
const END: u8 = b'.';

/// A file, a folder or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// From the layers' folder, which is the empty path.
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) meta: Meta,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    /// Its bytes follow.
    File {
        size: u64,
    },
    /// A symbolic link.
    Link {
        target: PathBuf,
    },
    /// Another name of a file that came before.
    Same {
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl Entry {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let none = Path::new("");
        let (kind, size, other) = match &self.kind {
            Kind::Folder => (b'd', 0, none),
            Kind::File { size } => (b'f', *size, none),
            Kind::Link { target } => (b'l', 0, target.as_path()),
            Kind::Same { file } => (b'h', 0, file.as_path()),
        };
        let Meta {
            mode,
            uid,
            gid,
            seconds,
            nanoseconds,
        } = self.meta;
        out.write_all(&[kind])?;
        for number in [mode, uid, gid, nanoseconds] {
            out.write_all(&number.to_le_bytes())?;
        }
        out.write_all(&seconds.to_le_bytes())?;
        out.write_all(&size.to_le_bytes())?;
        for text in [&self.path, other] {
            let bytes = text.as_os_str().as_bytes();
            let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidFilename)?;
            out.write_all(&length.to_le_bytes())?;
            out.write_all(bytes)?;
        }
        Ok(())
    }

    /// The next one; none at the end.
    pub(super) fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let kind = u8::from_le_bytes(bytes(input)?);
        if kind == END {
            return Ok(None);
        }
        let mut number = || Ok::<_, io::Error>(u32::from_le_bytes(bytes(input)?));
        let (mode, uid, gid, nanoseconds) = (number()?, number()?, number()?, number()?);
        let seconds = i64::from_le_bytes(bytes(input)?);
        let size = u64::from_le_bytes(bytes(input)?);
        let mut text = || {
            let mut text = vec![0; u16::from_le_bytes(bytes(input)?).into()];
            input.read_exact(&mut text)?;
            Ok::<_, io::Error>(PathBuf::from(OsString::from_vec(text)))
        };
        let (path, other) = (text()?, text()?);
        let kind = match kind {
            b'd' => Kind::Folder,
            b'f' => Kind::File { size },
            b'l' => Kind::Link { target: other },
            b'h' => Kind::Same { file: other },
            _ => return Err(damaged("an entry is of no kind")),
        };
        let meta = Meta {
            mode,
            uid,
            gid,
            seconds,
            nanoseconds,
        };
        Ok(Some(Self { path, kind, meta }))
    }
}

pub(super) fn end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&[END])
}

pub(super) fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the archive is damaged: {what}"),
    )
}

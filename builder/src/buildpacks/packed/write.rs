//! Layers into an archive. The layers are hostile: nothing is followed out of them and no pipe is waited for.
//!
//! What an archive can't hold is no error but a reason to leave the app as it is: sockets, pipes and devices, extended
//! attributes and access lists, paths longer than the kernel takes, and, where this server is not root, files of others.

use super::{
    GoOn, NotPacked,
    archive::{Entry, Kind, MAGIC, MAX_PATH, Meta, end},
};
use crate::export::beneath::Beneath;
use rustix::{
    fs::{FileType, Stat, flistxattr},
    io::Errno,
    process::{getegid, geteuid},
};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{Read as _, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

/// Of all files together: one with holes can be larger than any disk.
const MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;
/// What each file has on a host with SELinux, and gets anew by where it is.
const LABEL: &[u8] = b"security.selinux";
const BUFFER: usize = 256 * 1024;

/// Writes all that is in the folder, and the folder itself; gives what it takes up on the disk.
pub(super) fn write(root: &Beneath, out: &mut impl Write, go_on: GoOn<'_>) -> Result<u64, NotPacked> {
    out.write_all(MAGIC)?;
    let mut writer = Writer {
        out,
        go_on,
        names: HashMap::new(),
        only: (!geteuid().is_root()).then(|| (geteuid().as_raw(), getegid().as_raw())),
        buffer: vec![0; BUFFER],
        left: MAX_BYTES,
        on_disk: 0,
    };
    let mut open = vec![(PathBuf::new(), root.stat_self()?)];
    while let Some((path, stat)) = open.pop() {
        let folder = root.folder(&path)?;
        writer.folder(path.clone(), &folder, &stat)?;
        for name in folder.names()? {
            let (stat, path) = (folder.stat(&name)?, path.join(&name));
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                open.push((path, stat));
            } else {
                writer.file(path, &folder, &name, &stat)?;
            }
        }
    }
    end(writer.out)?;
    Ok(writer.on_disk)
}

struct Writer<'a, W> {
    out: &'a mut W,
    go_on: GoOn<'a>,
    /// Files with several names, by device and inode.
    names: HashMap<(u64, u64), PathBuf>,
    /// The one owner whose files can be made again, where this server is not root.
    only: Option<(u32, u32)>,
    buffer: Vec<u8>,
    /// Bytes that may still come.
    left: u64,
    on_disk: u64,
}

impl<W: Write> Writer<'_, W> {
    fn folder(&mut self, path: PathBuf, folder: &Beneath, stat: &Stat) -> Result<(), NotPacked> {
        check_attributes(&path, folder)?;
        self.on_disk += on_disk(stat);
        self.entry(path, Kind::Folder, stat)
    }

    fn file(&mut self, path: PathBuf, folder: &Beneath, name: &OsStr, stat: &Stat) -> Result<(), NotPacked> {
        if stat.st_nlink > 1 {
            let number = (stat.st_dev, stat.st_ino);
            if let Some(file) = self.names.get(&number) {
                let file = file.clone();
                return self.entry(path, Kind::Same { file }, stat);
            }
            self.names.insert(number, path.clone());
        }
        self.on_disk += on_disk(stat);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = folder.link(name)?;
                self.entry(path, Kind::Link { target }, stat)
            }
            FileType::RegularFile => {
                let file = folder.file(Path::new(name))?;
                check_attributes(&path, &file)?;
                let size = stat.st_size.unsigned_abs();
                self.left = match self.left.checked_sub(size) {
                    Some(left) => left,
                    None => return Err(unfit(&path, "makes them too large")),
                };
                self.entry(path, Kind::File { size }, stat)?;
                self.content(file, size)
            }
            _ => Err(unfit(&path, "is neither a file, a folder nor a link")),
        }
    }

    fn entry(&mut self, path: PathBuf, kind: Kind, stat: &Stat) -> Result<(), NotPacked> {
        (self.go_on)()?;
        if path.as_os_str().len() > MAX_PATH {
            return Err(unfit(Path::new(""), "a path in them is too long"));
        }
        if self.only.is_some_and(|own| own != (stat.st_uid, stat.st_gid)) {
            return Err(unfit(&path, "is another user's"));
        }
        let meta = Meta {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or_default(),
        };
        Ok(Entry { path, kind, meta }.write(self.out)?)
    }

    fn content(&mut self, mut file: File, size: u64) -> Result<(), NotPacked> {
        let mut left = size;
        while left > 0 {
            (self.go_on)()?;
            let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
            file.read_exact(&mut self.buffer[..most])?;
            self.out.write_all(&self.buffer[..most])?;
            left -= most as u64;
        }
        Ok(())
    }
}

fn on_disk(stat: &Stat) -> u64 {
    stat.st_blocks.unsigned_abs() * 512
}

fn check_attributes(path: &Path, file: &impl AsFd) -> Result<(), NotPacked> {
    let mut names = [0_u8; 1024];
    let names = match flistxattr(file, &mut names[..]) {
        Ok(length) => &names[..length],
        Err(Errno::NOTSUP) => return Ok(()),
        Err(Errno::RANGE) => return Err(unfit(path, "has extended attributes")),
        Err(error) => return Err(NotPacked::Disk(error.into())),
    };
    let mut names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    if names.all(|name| name == LABEL) {
        Ok(())
    } else {
        Err(unfit(path, "has extended attributes"))
    }
}

fn unfit(path: &Path, what: &str) -> NotPacked {
    NotPacked::Unfit(format!("{} {what}", path.display()).trim_start().to_owned())
}

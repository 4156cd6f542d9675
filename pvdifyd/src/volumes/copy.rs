//! A folder copied as it is: owners, modes, times, extended attributes, hard links, symbolic links, pipes and holes. What can't
//! be kept is an error that names the file, not left out: but for sockets, which whoever listens makes anew.
//!
//! Where the file system shares blocks between files (btrfs, XFS) a copy takes neither time nor room. An app may go on
//! writing meanwhile: each file is then as it was at some moment, as after a crash; what goes away is left out.

use pvdify_builder::export::beneath::Beneath;
use rustix::{
    fs::{
        self, AtFlags, Dev, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid,
        XattrFlags, fgetxattr, flistxattr, fsetxattr, ioctl_ficlone,
    },
    io::Errno,
};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// The kernel's limit of a list of attribute names, and of a value.
const ATTRIBUTE_BYTES: usize = 64 * 1024;
/// What each file has on a host with SELinux, and gets anew by where it is.
const LABEL: &[u8] = b"security.selinux";

/// After so much of a file a copy looks whether it is to go on.
const PIECE: u64 = 16 << 20;

/// A copy under way: how far it is, and whether it is to go on. A server that stops does not wait for one.
#[derive(Debug, Default)]
pub struct Copied {
    bytes: AtomicU64,
    stopped: AtomicBool,
}

impl Copied {
    /// So many bytes are copied.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// It ends soon, without a whole copy.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn go_on(&self) -> io::Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(io::Error::other("the server is stopping"));
        }
        Ok(())
    }
}

/// Why a folder was not copied.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct CopyError {
    /// What of it.
    pub path: PathBuf,
    /// The system's word.
    pub source: io::Error,
}

impl CopyError {
    pub(super) fn new(path: &Path, source: impl Into<io::Error>) -> Self {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        Self {
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Copies a folder under a new name; all of it is on the disk then.
pub(super) fn copy(from: &Path, to: &Path, copied: &Copied) -> Result<(), CopyError> {
    let at = |error: io::Error| CopyError::new(from, error);
    let source = Beneath::open(from).map_err(at)?;
    let stat = source.stat_self().map_err(at)?;
    std::fs::create_dir(to).map_err(|error| CopyError::new(to, error))?;
    let mut copier = Copier {
        source,
        target: Beneath::open(to).map_err(at)?,
        names: HashMap::new(),
        clones: true,
        copied,
    };
    copier.folders(stat)?;
    fs::syncfs(&copier.target).map_err(|error| at(error.into()))
}

/// Whether the file system makes two files of one's blocks.
pub(super) fn shares_blocks(folder: &Path) -> io::Result<bool> {
    let paths = [(); 2].map(|()| folder.join(uuid::Uuid::now_v7().to_string()));
    let make = |path: &PathBuf| File::options().read(true).write(true).create_new(true).open(path);
    let files = (make(&paths[0]), make(&paths[1]));
    for path in &paths {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let (from, to) = (files.0?, files.1?);
    fs::ftruncate(&from, 4096)?;
    Ok(ioctl_ficlone(&to, &from).is_ok())
}

struct Copier<'a> {
    source: Beneath,
    target: Beneath,
    /// Files with several names, by device and inode, and the first of them.
    names: HashMap<(u64, u64), PathBuf>,
    /// Whether blocks can be shared, as far as is known.
    clones: bool,
    copied: &'a Copied,
}

impl Copier<'_> {
    /// A list of what is to be done, not recursion: an app decides how deep its folders are.
    fn folders(&mut self, root: Stat) -> Result<(), CopyError> {
        let mut open = vec![(PathBuf::new(), root)];
        let mut made = Vec::new();
        while let Some((path, stat)) = open.pop() {
            let at = |error: io::Error| CopyError::new(&path, error);
            let target = self.target.folder(&path).map_err(at)?;
            if let Some(folder) = self.source.folder_if_there(&path).map_err(at)? {
                for name in folder.names().map_err(at)? {
                    let inner = path.join(&name);
                    match self.entry(&folder, &target, &name, &inner) {
                        Ok(Some(stat)) => open.push((inner, stat)),
                        Ok(None) => {}
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(CopyError::new(&inner, error)),
                    }
                }
                attributes(&folder, &target).map_err(at)?;
            }
            made.push((path, stat));
        }
        // Last, and inner ones first: what is written into a folder changes its time, and may need its mode.
        for (path, stat) in made.iter().rev() {
            let folder = self.target.folder(path);
            let dressed = folder.and_then(|folder| dress(&folder, stat));
            dressed.map_err(|error| CopyError::new(path, error))?;
        }
        Ok(())
    }

    /// Copies one name; gives what it is when it is a folder, which is made and still empty.
    fn entry(
        &mut self,
        folder: &Beneath,
        target: &Beneath,
        name: &OsStr,
        path: &Path,
    ) -> io::Result<Option<Stat>> {
        self.copied.go_on()?;
        let stat = folder.stat(name)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let number = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.names.get(&number) {
            fs::linkat(&self.target, first, target, name, AtFlags::empty())?;
            return Ok(None);
        }
        match kind {
            FileType::Directory => {
                fs::mkdirat(target, name, Mode::RWXU)?;
                return Ok(Some(stat));
            }
            FileType::RegularFile => self.file(folder, target, name)?,
            FileType::Symlink => {
                fs::symlinkat(folder.link(name)?, target, name)?;
                dress_name(target, name, &stat)?;
            }
            FileType::Fifo => {
                fs::mknodat(
                    target,
                    name,
                    FileType::Fifo,
                    Mode::RUSR | Mode::WUSR,
                    Dev::from(0_u8),
                )?;
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                dress_name(target, name, &stat)?;
                fs::chmodat(target, name, mode, AtFlags::empty())?;
            }
            FileType::Socket => {}
            _ => {
                let text = "is neither a file, a folder, a link nor a pipe";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        }
        if stat.st_nlink > 1 && kind != FileType::Socket {
            self.names.insert(number, path.to_owned());
        }
        Ok(None)
    }

    fn file(&mut self, folder: &Beneath, target: &Beneath, name: &OsStr) -> io::Result<()> {
        let from = folder.file(Path::new(name))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = File::from(fs::openat(target, name, flags, Mode::RUSR | Mode::WUSR)?);
        let size = fs::fstat(&from)?.st_size.unsigned_abs();
        if size > 0 && self.clones {
            self.clones = ioctl_ficlone(&to, &from).is_ok();
        }
        if size > 0 && self.clones {
            self.copied.add(size);
        } else {
            self.content(&from, &to)?;
        }
        attributes(&from, &to)?;
        // Not as it was before its content was read: it may have grown since.
        dress(&to, &fs::fstat(&from)?)
    }

    /// Only what is written in a file is read: one with holes can be larger than any disk.
    fn content(&self, from: &File, to: &File) -> io::Result<()> {
        let size = fs::fstat(from)?.st_size.unsigned_abs();
        fs::ftruncate(to, size)?;
        let mut at = 0;
        while at < size {
            let begin = match fs::seek(from, SeekFrom::Data(at)) {
                // Nothing but a hole is left.
                Err(Errno::NXIO) => return Ok(()),
                begin => begin?,
            };
            let end = match fs::seek(from, SeekFrom::Hole(begin)) {
                // It became shorter meanwhile.
                Err(Errno::NXIO) => return Ok(()),
                // A piece has at least a byte, whatever becomes of the file meanwhile.
                end => end?.min(size).max(begin + 1),
            };
            fs::seek(from, SeekFrom::Start(begin))?;
            fs::seek(to, SeekFrom::Start(begin))?;
            let end = end.min(begin + PIECE);
            self.copied.add(io::copy(&mut from.take(end - begin), &mut &*to)?);
            self.copied.go_on()?;
            at = end;
        }
        Ok(())
    }
}

/// Owner, mode and times. The mode after the owner: a change of that one takes set-user-id bits away.
fn dress(to: &impl AsFd, stat: &Stat) -> io::Result<()> {
    fs::fchown(
        to,
        Some(Uid::from_raw(stat.st_uid)),
        Some(Gid::from_raw(stat.st_gid)),
    )?;
    fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    Ok(fs::futimens(to, &times(stat))?)
}

/// Owner and times of what is not opened.
fn dress_name(folder: &Beneath, name: &OsStr, stat: &Stat) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(fs::utimensat(
        folder,
        name,
        &times(stat),
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Extended attributes, access lists among them.
fn attributes(from: &impl AsFd, to: &impl AsFd) -> io::Result<()> {
    let mut names = vec![0_u8; ATTRIBUTE_BYTES];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    let names = names[..length].split(|byte| *byte == 0);
    for name in names.filter(|name| !name.is_empty() && *name != LABEL) {
        let name = OsStr::from_bytes(name);
        let mut value = vec![0_u8; ATTRIBUTE_BYTES];
        let length = match fgetxattr(from, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            length => length?,
        };
        fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

//! A folder that hostile code filled, read from outside.
//!
//! A build, and an app in its volumes, may leave anything there: links to the host's files, pipes that block whoever
//! opens them, a text file without end. What always holds:
//!
//! - No path leads out of the folder and none goes through a link, whatever lies there: the kernel resolves each
//!   one beneath the folder (openat2), not a check before it.
//! - What is opened as a file is a regular file, and reading a text ends at its limit.

use rustix::{
    fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

/// A folder, held open.
pub struct Beneath(OwnedFd);

impl Beneath {
    /// Opens a folder by a path that only this program's user can change; its last part may not be a link.
    ///
    /// # Errors
    /// Of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(fs::open(path, flags, Mode::empty())?))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(fs::openat2(&self.0, path, flags, Mode::empty(), resolve)?)
    }

    /// Opens a folder below.
    ///
    /// # Errors
    /// Of the system.
    pub fn folder(&self, path: &Path) -> io::Result<Self> {
        self.resolve(path, OFlags::DIRECTORY).map(Self)
    }

    /// Opens a folder below; none when nothing has that name.
    ///
    /// # Errors
    /// Of the system.
    pub fn folder_if_there(&self, path: &Path) -> io::Result<Option<Self>> {
        match self.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Opens a regular file below. A pipe is not waited for and a device not touched.
    ///
    /// # Errors
    /// Of the system.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        let file = self.resolve(path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file"));
        }
        Ok(File::from(file))
    }

    /// A whole small text; none when nothing has that name.
    ///
    /// # Errors
    /// Of the system.
    pub fn text_if_there(&self, path: &Path, limit: u64) -> io::Result<Option<String>> {
        let file = match self.file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let text = format!("is larger than {} KiB", limit / 1024);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is no UTF-8 text"))?;
        Ok(Some(text))
    }

    /// The names in the folder, in the order of their bytes.
    ///
    /// # Errors
    /// Of the system.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What a name in this very folder is; of a link, the link itself.
    ///
    /// # Errors
    /// Of the system.
    pub fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What the folder itself is.
    ///
    /// # Errors
    /// Of the system.
    pub fn stat_self(&self) -> io::Result<Stat> {
        Ok(fs::fstat(&self.0)?)
    }

    /// Whether a name in this very folder is a folder, not a link to one.
    pub fn has_folder(&self, name: &OsStr) -> bool {
        self.stat(name)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Where a link in this very folder points.
    ///
    /// # Errors
    /// Of the system.
    pub fn link(&self, name: &OsStr) -> io::Result<PathBuf> {
        let target = fs::readlinkat(&self.0, name, Vec::new())?;
        Ok(OsStr::from_bytes(target.to_bytes()).into())
    }

    /// Removes a name in this very folder, of a folder all that is in it, and follows no link. Folders are moved to
    /// `aside` (a folder of ours, on the same file system) before they are emptied, so that however deep they are,
    /// this is neither recursion nor many open files.
    ///
    /// # Errors
    /// Of the system.
    pub fn remove(&self, name: &OsStr, aside: &Beneath) -> io::Result<()> {
        if !self.has_folder(name) {
            return gone(fs::unlinkat(&self.0, name, AtFlags::empty()));
        }
        let move_aside = |from: &Beneath, name: &OsStr| {
            let to = unused_name();
            fs::renameat(&from.0, name, aside.0.as_fd(), &*to).map(|()| to)
        };
        let mut open = vec![move_aside(self, name)?];
        while let Some(folder) = open.pop() {
            let inner = aside.folder(Path::new(&folder))?;
            for name in inner.names()? {
                if inner.has_folder(&name) {
                    open.push(move_aside(&inner, &name)?);
                } else {
                    gone(fs::unlinkat(&inner.0, &name, AtFlags::empty()))?;
                }
            }
            gone(fs::unlinkat(&aside.0, &*folder, AtFlags::REMOVEDIR))?;
        }
        Ok(())
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A name that no process gave before: of this moment, of this process, and of its own number.
pub(crate) fn unused_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}-{:x}-{count:x}", now.as_nanos(), std::process::id())
}

fn gone(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::CWD;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_reached_and_nothing_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, inside) = (folder.path().join("outside"), folder.path().join("inside"));
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::create_dir_all(inside.join("real")).unwrap();
        std::fs::write(outside.join("secret"), "s").unwrap();
        std::fs::write(inside.join("real/text"), "fine").unwrap();
        std::fs::write(inside.join("bytes"), [0xff]).unwrap();
        symlink(&outside, inside.join("out")).unwrap();
        symlink("real", inside.join("in")).unwrap();
        symlink("real/text", inside.join("text")).unwrap();
        fs::mkfifoat(CWD, inside.join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let root = Beneath::open(&inside).unwrap();
        let text = |path: &str, limit| root.text_if_there(Path::new(path), limit);
        assert_eq!(text("real/text", 4).unwrap().as_deref(), Some("fine"));
        assert_eq!(text("real/none", 4).unwrap(), None);
        assert_eq!(text("none/none", 4).unwrap(), None);
        for bad in [
            "out/secret",
            "in/text",
            "text",
            "../outside/secret",
            "/etc/passwd",
            "pipe",
            "real",
            "bytes",
        ] {
            assert!(text(bad, 4).is_err(), "{bad}");
        }
        assert_eq!(
            text("real/text", 3).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        for bad in ["out", "in", "real/text", "..", "/"] {
            assert!(root.folder(Path::new(bad)).is_err(), "{bad}");
        }
        assert!(Beneath::open(&inside.join("in")).is_err());
        assert_eq!(root.link(OsStr::new("out")).unwrap(), outside);
    }

    #[test]
    fn removing_follows_no_link_and_takes_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, inside) = (folder.path().join("outside"), folder.path().join("inside"));
        for path in [&outside, &inside, &folder.path().join("aside")] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        let root = Beneath::open(&inside).unwrap();
        let mut deepest = Beneath::open(&inside).unwrap();
        // A path of 3000 times two bytes is longer than the kernel takes as one.
        for _ in 0..3000 {
            fs::mkdirat(&deepest.0, "d", Mode::RWXU).unwrap();
            fs::symlinkat(&outside, &deepest.0, "l").unwrap();
            deepest = deepest.folder(Path::new("d")).unwrap();
        }
        drop(deepest);
        let aside = Beneath::open(&folder.path().join("aside")).unwrap();
        for name in ["d", "l", "link", "none"] {
            root.remove(OsStr::new(name), &aside).unwrap();
        }
        assert_eq!(root.names().unwrap(), Vec::<OsString>::new());
        assert_eq!(aside.names().unwrap(), Vec::<OsString>::new());
        assert!(outside.join("kept").exists());
    }
}

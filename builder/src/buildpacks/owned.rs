//! Folders and files that a build container's user owns, made by root without following what that user left.

use crate::export::Owner;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use std::{
    fs,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::Path,
};

/// The user and the group of our build image: far from the numbers of a host's own people.
pub(crate) const CNB: Owner = Owner {
    uid: 10001,
    gid: 10001,
};

/// A folder that belongs to the build's user, made unless it is there.
pub(crate) fn folder(path: &Path, owner: Owner) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let opened: OwnedFd = rustix::fs::open(
        path,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if rustix::process::geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        rustix::fs::fchown(&opened, Some(uid), Some(gid))?;
    }
    Ok(())
}

/// Writes a file that is not there yet, or replaces one; never through a link.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let opened: OwnedFd = rustix::fs::open(
        path,
        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::from_raw_mode(mode),
    )?;
    fs::File::from(opened).write_all(bytes)
}

/// Lets the build's group read a file, and nobody else besides its owner.
pub(crate) fn readable(path: &Path, owner: Owner) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    if rustix::process::geteuid().is_root() {
        rustix::fs::fchown(&file, None, Some(Gid::from_raw(owner.gid)))?;
    }
    Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o640))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_a_build_left_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::write(&outside, "kept").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(folder(&link, CNB).is_err());
        write_new(&link, b"new", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        assert_eq!(fs::read_to_string(&link).unwrap(), "new");
    }
}

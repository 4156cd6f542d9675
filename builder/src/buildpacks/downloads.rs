//! The download cache that all apps share: what one build fetched, another need not.
//!
//! A build can read all of it and add to a folder of its app alone. After the build each file of that folder whose
//! name is the hash of its content becomes everyone's; the rest goes with the build. A build can so neither change what others
//! read nor slip a file in under a name that is not its own.

use crate::export::beneath::unused_name;
use rustix::fs::{Mode, OFlags};
use sha2::{Sha256, Sha512};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The most that is kept for all; beyond it what was not used for longest goes.
pub(crate) const MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// Moves what is good from `new` to `shared`; gives how many files and bytes that were. Blocking; for after the
/// build, when nothing writes to `new` any more.
///
/// What is not good stays: the folder goes with its build.
pub(crate) fn promote(new: &Path, shared: &Path) -> io::Result<(usize, u64)> {
    fs::create_dir_all(shared)?;
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(new)?.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if let Some(used) = name.to_str().and_then(|name| name.strip_prefix("used-")) {
            touch(&shared.join(used), used);
            continue;
        }
        let good = name.to_str().is_some_and(|name| is_what_it_says(&path, name));
        let to = shared.join(&name);
        if good && !to.exists() {
            // Its writer may still hold it open by a descriptor: everyone gets a copy that nobody else ever had.
            // Of this build alone: what another one writes meanwhile must not get this name.
            let copy = shared.join(format!(".{}.new", unused_name()));
            bytes += own_copy(&path, &copy)?;
            if name.to_str().is_some_and(|name| is_what_it_says(&copy, name)) {
                fs::rename(&copy, &to)?;
                count += 1;
            } else {
                fs::remove_file(&copy)?;
            }
        }
    }
    Ok((count, bytes))
}

/// Removes what was not used for longest until at most `limit` bytes are left. Blocking.
pub(crate) fn trim(shared: &Path, limit: u64) -> io::Result<u64> {
    let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(shared).into_iter().flatten().flatten() {
        let meta = entry.metadata()?;
        let used = meta.accessed().unwrap_or(SystemTime::UNIX_EPOCH);
        files.push((used.max(meta.modified()?), meta.len(), entry.path()));
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    let mut freed = 0;
    for (_, size, path) in files {
        if total <= limit {
            break;
        }
        fs::remove_file(path)?;
        (total, freed) = (total - size, freed + size);
    }
    Ok(freed)
}

/// Says that a file is of use: reading it through a read-only mount leaves no trace.
fn touch(path: &Path, name: &str) {
    if name.starts_with("sha256-") || name.starts_with("sha512-") {
        let touched = open(path).and_then(|file| file.set_modified(SystemTime::now()));
        // Of one that is not there any more.
        drop(touched);
    }
}

fn own_copy(from: &Path, to: &Path) -> io::Result<u64> {
    fs::remove_file(to).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let mut source = open(from)?;
    let mut target = File::create_new(to)?;
    let bytes = io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(0o644))?;
    Ok(bytes)
}

/// Whether a file's content has the hash that is its name.
fn is_what_it_says(path: &Path, name: &str) -> bool {
    let hash = |expected: &str, hash: fn(File) -> io::Result<String>| {
        open(path).and_then(hash).is_ok_and(|found| found == expected)
    };
    match name.split_once('-') {
        Some(("sha256", hex)) => hash(hex, hashed::<Sha256>),
        Some(("sha512", hex)) => hash(hex, hashed::<Sha512>),
        _ => false,
    }
}

fn hashed<H: sha2::Digest>(mut file: File) -> io::Result<String> {
    let mut hash = H::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Opens a regular file, and nothing else by that name: a pipe would never end.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let meta = file.metadata()?;
    if meta.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("no regular file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest as _;

    fn name(content: &[u8]) -> String {
        format!("sha256-{}", hex::encode(Sha256::digest(content)))
    }

    #[test]
    fn only_what_has_its_contents_name_becomes_everyones() {
        let dir = tempfile::tempdir().unwrap();
        let (new, shared) = (dir.path().join("new"), dir.path().join("shared"));
        fs::create_dir(&new).unwrap();
        fs::write(new.join(name(b"good")), "good").unwrap();
        fs::write(new.join(name(b"other")), "forged").unwrap();
        fs::write(new.join("sha512-"), "").unwrap();
        fs::create_dir(&shared).unwrap();
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let file = File::create(shared.join("sha256-used")).unwrap();
        file.set_modified(old).unwrap();
        for used in ["used-sha256-used", "used-sha256-none", "used-..", "used-"] {
            fs::write(new.join(used), "").unwrap();
        }
        fs::create_dir(new.join(name(b"folder"))).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", new.join("sha256-link")).unwrap();
        assert_eq!(promote(&new, &shared).unwrap(), (1, 4));
        assert!(
            fs::metadata(shared.join("sha256-used"))
                .unwrap()
                .modified()
                .unwrap()
                > old
        );
        fs::remove_file(shared.join("sha256-used")).unwrap();
        let kept: Vec<_> = fs::read_dir(&shared)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(kept, [name(b"good").as_str()]);
        assert_eq!(
            fs::metadata(shared.join(name(b"good")))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o644
        );
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        for (file, age) in [("old", 100), ("new", 0)] {
            let path = dir.path().join(file);
            fs::write(&path, [0; 10]).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            let times = fs::FileTimes::new().set_accessed(time).set_modified(time);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_times(times)
                .unwrap();
        }
        assert_eq!(trim(dir.path(), 15).unwrap(), 10);
        assert!(dir.path().join("new").exists() && !dir.path().join("old").exists());
    }
}

//! Files of apps and layers: what is missing is a value; what can't be read or written is a failure that names the
//! file.

use crate::{Failure, Result};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

// Manifests and lockfiles: the largest public lockfiles are about 10 MB; six times that.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The text of `name` in `dir`, if it is there. Bytes that are no UTF-8 are replaced; a byte order mark goes.
pub fn read(dir: &Path, name: &str) -> Result<Option<String>> {
    let path = dir.join(name);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(Failure::io("read", &path, &error)),
    };
    let metadata = file
        .metadata()
        .map_err(|error| Failure::io("read", &path, &error))?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io("read", &path, &error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Failure::new(
            format!("{name} is too large to read"),
            format!("It has more than {}.", crate::output::size(LIMIT)),
            format!("Is the right file committed as {name}?"),
        ));
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()))
}

/// Whether `name` is a regular file in `dir`.
#[must_use]
pub fn exists(dir: &Path, name: &str) -> bool {
    dir.join(name).is_file()
}

/// The first of `names` that is a regular file in `dir`.
#[must_use]
pub fn first<'a>(dir: &Path, names: &[&'a str]) -> Option<&'a str> {
    names.iter().copied().find(|name| exists(dir, name))
}

/// What is in a folder, in the order of names; nothing if it is not there or can't be read.
#[must_use]
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Whether a file was written less than `age` ago.
#[must_use]
pub fn is_younger(path: &Path, age: Duration) -> bool {
    fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed < age))
}

/// Writes a file, making its folder.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::io("make", folder, &error))?;
    }
    fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

/// Makes a folder and those above it.
pub fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make", path, &error))
}

/// A folder of its own among temporary files; gone when dropped.
pub fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))
}

/// Removes a file, link or folder, if it is there.
pub fn remove(path: &Path) -> Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", path, &error)),
        _ => Ok(()),
    }
}

/// A short name for all that `parts` hold (SHA-256): for the keys of layers.
#[must_use]
pub fn fingerprint<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length first: "ab", "c" is not "a", "bc".
        hasher.update((part.as_ref().len() as u64).to_le_bytes());
        hasher.update(part.as_ref());
    }
    hex::encode(hasher.finalize())
}

/// Bytes of all regular files below `path`; what can't be read counts nothing.
#[must_use]
pub fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| size(&entry.path()))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_none_and_a_folder_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("Gemfile")).unwrap();
        assert_eq!(read(dir.path(), "Gemfile").unwrap(), None);
        assert_eq!(read(dir.path(), "nothing").unwrap(), None);
        assert_eq!(first(dir.path(), &["Gemfile"]), None);
    }

    #[test]
    fn a_folder_is_listed_in_order_and_one_that_is_not_there_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a/x"] {
            write(&dir.path().join(name), "").unwrap();
        }
        assert_eq!(list(dir.path()), ["a", "b"].map(|name| dir.path().join(name)));
        assert!(list(&dir.path().join("nothing")).is_empty());
    }

    #[test]
    fn a_file_is_young_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let hour = Duration::from_secs(60 * 60);
        assert!(!is_younger(&path, hour));
        write(&path, "").unwrap();
        assert!(is_younger(&path, hour));
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * hour)
            .unwrap();
        assert!(!is_younger(&path, hour));
    }

    #[test]
    fn a_fingerprint_knows_where_its_parts_end() {
        assert_eq!(fingerprint(["ab", "c"]), fingerprint(["ab", "c"]));
        assert_ne!(fingerprint(["ab", "c"]), fingerprint(["a", "bc"]));
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), b"\xef\xbb\xbf{}").unwrap();
        assert_eq!(read(dir.path(), "a").unwrap().unwrap(), "{}");
        assert_eq!(size(dir.path()), 5);
        remove(&dir.path().join("a")).unwrap();
        remove(&dir.path().join("a")).unwrap();
        assert!(!exists(dir.path(), "a"));
    }
}

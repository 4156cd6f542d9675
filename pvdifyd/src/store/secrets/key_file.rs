//! The key file: one key a line, `ID BASE64`, for its owner alone.
//!
//! It is replaced whole, through a file beside it that is written through first: whatever moment a kill hits, it is the
//! one of before or the one of after.

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};
use thiserror::Error;

/// A key and its name, which rows bear.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct FileKey {
    pub(super) id: String,
    pub(super) bytes: [u8; 32],
}

/// Why the key file can't be used. Each text says what to do.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum KeyFileError {
    #[error("can't read the key file {path}: {reason}")]
    Io { path: String, reason: String },
    #[error("can't write the key file {path}: {reason}; it is as it was")]
    Write { path: String, reason: String },
    #[error(
        "the key file {path} is missing, but the database holds sealed values: put it back from a backup; a new key can't open them"
    )]
    Missing { path: String },
    #[error("the key file {path} has mode {mode:03o}: others could read it; run chmod 600 {path}")]
    Mode { path: String, mode: u32 },
    #[error("the key file {path} has no key in line {line}: a line reads \"ID BASE64\"")]
    Line { path: String, line: usize },
}

/// Its keys, at least one; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<FileKey>>, KeyFileError> {
    let name = || path.display().to_string();
    let failed = |error: io::Error| KeyFileError::Io {
        path: name(),
        reason: error.to_string(),
    };
    let meta = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        meta => meta.map_err(failed)?,
    };
    if meta.mode() & 0o077 != 0 {
        return Err(KeyFileError::Mode {
            path: name(),
            mode: meta.mode() & 0o777,
        });
    }
    let keys = parse(&fs::read_to_string(path).map_err(failed)?);
    keys.map(Some)
        .map_err(|line| KeyFileError::Line { path: name(), line })
}

/// Whole or not at all, and on disk before it says so.
pub(super) fn write(path: &Path, keys: &[FileKey]) -> Result<(), KeyFileError> {
    let line = |key: &FileKey| format!("{} {}\n", key.id, BASE64_STANDARD_NO_PAD.encode(key.bytes));
    let text: String = keys.iter().map(line).collect();
    replace(path, &text).map_err(|error| KeyFileError::Write {
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // What a kill left there may be anyone's to read.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    if let Err(error) = written() {
        // A key that nothing is sealed with; the next write removes it too.
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

/// A key that never was.
pub(super) fn fresh() -> io::Result<FileKey> {
    let (mut id, mut bytes) = ([0; 4], [0; 32]);
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let id = hex::encode(id);
    Ok(FileKey { id, bytes })
}

/// Fails with the number of the line that is none.
fn parse(text: &str) -> Result<Vec<FileKey>, usize> {
    let key = |(index, line): (usize, &str)| {
        let (id, encoded) = line.split_once(' ').ok_or(index + 1)?;
        let bytes = BASE64_STANDARD_NO_PAD
            .decode(encoded.trim())
            .map_err(|_| index + 1)?;
        let bytes = bytes.try_into().map_err(|_| index + 1)?;
        if id.is_empty() {
            return Err(index + 1);
        }
        let id = id.to_owned();
        Ok(FileKey { id, bytes })
    };
    let keys: Vec<_> = text.lines().enumerate().map(key).collect::<Result<_, usize>>()?;
    if keys.is_empty() { Err(1) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_replaced_whole_for_its_owner_alone_whatever_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read(&path).unwrap().is_none());
        let keys = [fresh().unwrap(), fresh().unwrap()];
        let beside = path.with_extension("new");
        fs::write(&beside, "half of a li").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, &keys).unwrap();
        assert!(read(&path).unwrap().unwrap() == keys && !beside.exists());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        write(&path, &keys[..1]).unwrap();
        assert!(read(&path).unwrap().unwrap() == keys[..1]);
        assert_ne!(keys[0].id, keys[1].id);
    }

    #[test]
    fn one_that_can_not_be_replaced_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = [fresh().unwrap()];
        write(&path, &key).unwrap();
        fs::create_dir(path.with_extension("new")).unwrap();
        let error = write(&path, &[fresh().unwrap()]).unwrap_err().to_string();
        assert!(
            error.starts_with("can't write the key file") && error.ends_with("it is as it was"),
            "{error}"
        );
        assert!(read(&path).unwrap().unwrap() == key);
    }
}

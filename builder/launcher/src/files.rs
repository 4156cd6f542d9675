//! Folders of the image, listed.

use crate::error::LaunchError;
use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

/// What is in a folder, in the order of the names' bytes; nothing when there is no such folder.
fn list(folder: &Path, wanted: impl Fn(&fs::DirEntry) -> bool) -> Result<Vec<PathBuf>, LaunchError> {
    let failed = |error: io::Error| LaunchError::Environment(folder.to_owned(), error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if wanted(&entry) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The folders in a folder; links to folders are none.
pub(crate) fn folders(folder: &Path) -> Result<Vec<PathBuf>, LaunchError> {
    list(folder, |entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

/// The files in a folder, and links to files.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, LaunchError> {
    list(folder, |entry| !entry.path().is_dir())
}

/// The names and contents of the files in a folder.
pub(crate) fn contents(folder: &Path) -> Result<Vec<(OsString, OsString)>, LaunchError> {
    use std::os::unix::ffi::OsStringExt;
    let mut contents = Vec::new();
    for path in files(folder)? {
        let content = fs::read(&path).map_err(|error| LaunchError::Environment(path.clone(), error))?;
        let name = path.file_name().unwrap_or_default().to_owned();
        contents.push((name, OsString::from_vec(content)));
    }
    Ok(contents)
}

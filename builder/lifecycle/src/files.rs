//! Files that buildpacks may have written. They are this program's equals (same user), so nothing here keeps a secret;
//! but a pipe, a link or an endless file must not hang or fool the build.

use pvdify_cnb::id::LayerName;
use rustix::fs::{Mode, OFlags};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// The largest file that is read: far above any TOML or variable.
const LARGEST: u64 = 4 << 20;

/// Opens a regular file for reading.
pub(crate) fn open(path: &Path, follow_links: bool) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let flags = if follow_links {
        flags
    } else {
        flags | OFlags::NOFOLLOW
    };
    let file = File::from(
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP => io::Error::other("it is a link"),
            error => error.into(),
        })?,
    );
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

fn read(path: &Path, follow_links: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, follow_links)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!(
            "it is larger than {} MiB",
            LARGEST >> 20
        )));
    }
    Ok(bytes)
}

/// A text; nothing if there is no such file. The error tells of the path.
pub(crate) fn text(path: &Path) -> Result<Option<String>, String> {
    let text = match read(path, false) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(error.to_string()),
    };
    text.map(Some)
        .map_err(|error| format!("{} can't be read: {error}", path.display()))
}

/// A TOML file; nothing if there is none.
pub(crate) fn toml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let value = text(path)?.map(|it| toml::from_str(&it)).transpose();
    value.map_err(|error| format!("{} can't be read: {error}", path.display()))
}

/// Writes a file as a whole, whatever is in its place.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let replace = || {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        remove_tree(&new)?;
        File::create_new(&new)?.write_all(text.as_bytes())?;
        if fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) {
            remove_tree(path)?;
        }
        fs::rename(&new, path)
    };
    replace().map_err(|error| format!("{} can't be written: {error}", path.display()))
}

/// Writes a TOML file as a whole.
pub(crate) fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), String> {
    let text =
        toml::to_string(value).map_err(|error| format!("{} can't be written: {error}", path.display()));
    write(path, &text?)
}

/// The files of a folder of variables, by name and content; links to files count.
pub(crate) fn env_dir(folder: &Path) -> Result<Vec<(OsString, OsString)>, String> {
    let wrong = |path: &Path, error: io::Error| format!("{} can't be read: {error}", path.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(wrong(folder, error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| wrong(folder, error))?;
        let path = entry.path();
        if fs::metadata(&path).map_err(|error| wrong(&path, error))?.is_dir() {
            continue;
        }
        let value = read(&path, true).map_err(|error| wrong(&path, error))?;
        if value.contains(&0) {
            return Err(wrong(&path, io::Error::other("a variable can't hold a NUL byte")));
        }
        files.push((entry.file_name(), OsString::from_vec(value)));
    }
    Ok(files)
}

/// The names in a folder, sorted; none if there is no such folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<OsString>, String> {
    let wrong = |error: io::Error| format!("{} can't be read: {error}", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(wrong(error)),
    };
    let names: io::Result<Vec<OsString>> = entries.map(|it| it.map(|it| it.file_name())).collect();
    let mut names = names.map_err(wrong)?;
    names.sort_unstable();
    Ok(names)
}

/// The layer that a file of this name describes; nothing if it is another file.
pub(crate) fn layer_of_toml(name: &OsStr) -> Option<LayerName> {
    name.to_str()?.strip_suffix(".toml")?.parse().ok()
}

/// Removes whatever is there, folders without the right to write in them (as Go's module cache has) included.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

fn open_up(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// A folder of our own for files of one run, gone with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let base = std::env::temp_dir();
        for number in 0..1000 {
            let folder = base.join(format!("pvdify-lifecycle-{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created.map(|()| Self(folder)),
            }
        }
        Err(io::Error::other(format!(
            "{} is full of leftovers",
            base.display()
        )))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // In a container that goes away next; what stays is a handful of small files.
        drop(fs::remove_dir_all(&self.0));
    }
}

//! Where a build's files are on the host.
//!
//! Below `work_dir/_cnb/apps/APP` (no build is called `_cnb`) is what stays of an app from one build to the next, below the build's own folder what
//! goes with it. The folders that a build writes to belong to its user; all above them belong to root and are
//! closed to others, so that nobody on the host reads a source or plants a link.

use super::{container::Mounts, owned};
use crate::BuildError;
use pvdify_types::{AppName, Digest};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// What stays of an app.
#[derive(Debug)]
pub(crate) struct AppFolder(PathBuf);

impl AppFolder {
    /// The folder of an app, made unless it is there.
    pub(crate) fn open(work_dir: &Path, app: &AppName) -> Result<Self, BuildError> {
        let apps = work_dir.join("_cnb/apps");
        let folder = Self(apps.join(app.as_str()));
        let make = || {
            fs::create_dir_all(&folder.0)?;
            fs::set_permissions(&apps, fs::Permissions::from_mode(0o700))?;
            owned::folder(&folder.layers())
        };
        make().map_err(BuildError::disk)?;
        Ok(folder)
    }

    /// Removes all that stays of an app.
    pub(crate) fn remove(work_dir: &Path, app: &AppName) -> io::Result<()> {
        match fs::remove_dir_all(work_dir.join("_cnb/apps").join(app.as_str())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The layers, as the last build left them.
    pub(crate) fn layers(&self) -> PathBuf {
        self.0.join("layers")
    }

    /// The folder itself, root's.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// The image that the last build made, which the next one reuses layers of.
    pub(crate) fn image(&self) -> Option<Digest> {
        fs::read_to_string(self.0.join("image")).ok()?.trim().parse().ok()
    }

    /// Keeps the name of an image that was made.
    pub(crate) fn remember(&self, image: &Digest) -> io::Result<()> {
        let new = self.0.join("image.new");
        fs::write(&new, image.to_string())?;
        fs::rename(new, self.0.join("image"))
    }
}

/// Makes the folders of one build that its container writes to.
pub(crate) fn prepare(mounts: &Mounts) -> io::Result<()> {
    for folder in [
        &mounts.workspace,
        &mounts.downloads_new,
        &mounts.tmp,
        &mounts.home,
    ] {
        owned::folder(folder)?;
    }
    fs::create_dir_all(&mounts.downloads_shared)
}

/// The cache that all apps share.
pub(crate) fn downloads(work_dir: &Path) -> PathBuf {
    work_dir.join("_cnb/downloads")
}

//! Where a build's files are on the host.
//!
//! Below `work_dir/_cnb/apps/APP` (no build is called `_cnb`) is what stays of an app from one build to the next: its
//! layers, as folders or packed (`packed`), and what is known of them. Below the build's own folder is what goes with it.
//! The folders that a build writes to belong to its user; all above them belong to root and are closed to others, so
//! that nobody on the host reads a source or plants a link.

use super::{
    container::Mounts,
    owned,
    packed::{Found, PACKED, remove_file},
};
use crate::{
    BuildError,
    export::{
        Owner,
        beneath::{Beneath, unused_name},
        human,
    },
};
use pvdify_types::{AppName, Digest};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// What became of an app's layers before a build.
#[derive(Debug)]
pub(crate) enum Stood {
    /// They are where they were, if there were any.
    AsBefore,
    Unpacked {
        bytes: u64,
        took: Duration,
    },
    /// They went: they were of another ground.
    OnAnother,
    /// They went: there was no way to unpack them.
    Lost(io::Error),
}

impl Stood {
    /// The line for the build log.
    pub(crate) fn line(&self) -> Option<String> {
        match self {
            Self::AsBefore => None,
            Self::Unpacked { bytes, took } => Some(format!(
                "       Unpacked layers of the last build ({} in {:.1}s)",
                human(*bytes),
                took.as_secs_f64()
            )),
            Self::OnAnother => {
                Some("       Starting with fresh layers: those of before are of another builder".to_owned())
            }
            Self::Lost(_) => {
                Some("       Starting with fresh layers: those of before could not be unpacked".to_owned())
            }
        }
    }
}

/// What stays of an app.
#[derive(Clone, Debug)]
pub(crate) struct AppFolder(PathBuf);

impl AppFolder {
    /// The folder of an app, which need not be there.
    pub(crate) fn of(work_dir: &Path, app: &AppName) -> Self {
        Self(work_dir.join("_cnb/apps").join(app.as_str()))
    }

    /// The folder of an app, made unless it is there.
    pub(crate) fn open(work_dir: &Path, app: &AppName) -> Result<Self, BuildError> {
        let apps = work_dir.join("_cnb/apps");
        let folder = Self::of(work_dir, app);
        let make = || {
            fs::create_dir_all(&folder.0)?;
            fs::set_permissions(&apps, fs::Permissions::from_mode(0o700))
        };
        make().map_err(BuildError::disk)?;
        Ok(folder)
    }

    /// Removes all that stays of an app.
    pub(crate) fn remove(work_dir: &Path, app: &AppName) -> io::Result<()> {
        put_away(work_dir, Self::of(work_dir, app).folder())?.remove()
    }

    /// The apps of which something stays.
    pub(crate) fn all(work_dir: &Path) -> Vec<AppName> {
        let entries = fs::read_dir(work_dir.join("_cnb/apps"));
        let names = entries.into_iter().flatten().flatten();
        names
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Where the files of a whole builder are that the host goes by.
    pub(crate) fn builder(&self) -> PathBuf {
        self.0.join("builder")
    }

    /// What the layers stand on; the empty text for the server's own stack.
    pub(crate) fn ground(&self) -> String {
        fs::read_to_string(self.0.join("ground")).unwrap_or_default()
    }

    /// The folder of the layers, for a build that runs as `owner` on this ground: the layers of a build on another
    /// one go first, with all that is known of them, and packed ones are unpacked. Says what became of them.
    pub(crate) fn stand_on(&self, work_dir: &Path, ground: &str, owner: Owner) -> io::Result<Stood> {
        let stood = if self.ground() == ground {
            match self.unpack(work_dir)? {
                Found::Folders => Stood::AsBefore,
                Found::Unpacked { bytes, took } => Stood::Unpacked { bytes, took },
                Found::Lost(error) => Stood::Lost(error),
            }
        } else {
            let had_layers = self.layers().exists() || self.0.join(PACKED).exists();
            // The note last: what is broken off before begins anew.
            for name in ["image", "known.json", PACKED] {
                remove_file(&self.0.join(name))?;
            }
            put_away(work_dir, &self.layers())?.remove()?;
            if ground.is_empty() {
                put_away(work_dir, &self.builder())?.remove()?;
            }
            let new = self.0.join("ground.new");
            fs::write(&new, ground)?;
            fs::rename(new, self.0.join("ground"))?;
            if had_layers {
                Stood::OnAnother
            } else {
                Stood::AsBefore
            }
        };
        owned::folder(&self.layers(), owner)?;
        Ok(stood)
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

/// What is to be removed and is out of everyone's way already.
#[derive(Debug)]
#[must_use]
pub(crate) struct PutAway {
    gone: PathBuf,
    name: Option<String>,
}

/// Takes a folder out of its place at once, whoever filled it and however deep; one that is not there is no error.
pub(crate) fn put_away(work_dir: &Path, folder: &Path) -> io::Result<PutAway> {
    let gone = gone(work_dir)?;
    let name = unused_name();
    let name = match fs::rename(folder, gone.join(&name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        moved => moved.map(|()| Some(name))?,
    };
    Ok(PutAway { gone, name })
}

impl PutAway {
    /// Removes it: without recursion and without following a link, since a build may have made it. Blocking.
    pub(crate) fn remove(self) -> io::Result<()> {
        let Some(name) = self.name else { return Ok(()) };
        let gone = Beneath::open(&self.gone)?;
        gone.remove(name.as_ref(), &gone)
    }
}

/// Removes what a server that was killed had only put away. For when nothing is built. Blocking.
pub(crate) fn empty_gone(work_dir: &Path) -> io::Result<()> {
    let gone = Beneath::open(&gone(work_dir)?)?;
    for name in gone.names()? {
        gone.remove(&name, &gone)?;
    }
    Ok(())
}

fn gone(work_dir: &Path) -> io::Result<PathBuf> {
    let gone = work_dir.join("_cnb/gone");
    fs::create_dir_all(&gone)?;
    fs::set_permissions(&gone, fs::Permissions::from_mode(0o700))?;
    Ok(gone)
}

/// Makes the folders of one build that its container writes to.
pub(crate) fn prepare(mounts: &Mounts, owner: Owner) -> io::Result<()> {
    for folder in [
        &mounts.workspace,
        &mounts.downloads_new,
        &mounts.tmp,
        &mounts.home,
    ] {
        owned::folder(folder, owner)?;
    }
    fs::create_dir_all(&mounts.downloads_shared)
}

/// The bytes that are free on a folder's disk.
pub(crate) fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The cache that all apps share.
pub(crate) fn downloads(work_dir: &Path) -> PathBuf {
    work_dir.join("_cnb/downloads")
}

#[cfg(test)]
pub(in crate::buildpacks) mod tests {
    use super::*;

    /// A chain of folders whose path no call takes as a whole.
    pub(in crate::buildpacks) fn deep(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        let mut at =
            rustix::fs::open(folder, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty())
                .unwrap();
        }
    }

    #[test]
    fn what_a_build_nested_too_deep_is_removed_and_an_app_that_was_never_built_needs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let work_dir = dir.path();
        let app: AppName = "deep".parse().unwrap();
        AppFolder::remove(work_dir, &app).unwrap();
        let folder = AppFolder::open(work_dir, &app).unwrap();
        folder.stand_on(work_dir, "", owned::CNB).unwrap();
        deep(&folder.layers().join("x/y"));
        assert_eq!(AppFolder::all(work_dir), std::slice::from_ref(&app));
        AppFolder::remove(work_dir, &app).unwrap();
        assert!(AppFolder::all(work_dir).is_empty());
        deep(&work_dir.join("other"));
        let _killed_before_it_removed = put_away(work_dir, &work_dir.join("other")).unwrap();
        assert!(!work_dir.join("other").exists());
        empty_gone(work_dir).unwrap();
        assert_eq!(fs::read_dir(work_dir.join("_cnb/gone")).unwrap().count(), 0);
    }
    #[test]
    fn on_another_ground_an_apps_layers_start_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = AppFolder::open(dir.path(), &"demo".parse().unwrap()).unwrap();
        let stand_on = |ground: &str| {
            let stood = folder.stand_on(dir.path(), ground, owned::CNB).unwrap();
            matches!(stood, Stood::OnAnother)
        };
        let leave = || {
            fs::create_dir_all(folder.layers().join("a_b/layer")).unwrap();
            fs::write(folder.folder().join("known.json"), "{}").unwrap();
            folder
                .remember(&format!("sha256:{}", "0".repeat(64)).parse().unwrap())
                .unwrap();
        };
        fs::create_dir(folder.builder()).unwrap();
        let is_empty = || fs::read_dir(folder.layers()).unwrap().count() == 0;
        assert!(!stand_on(""), "there was nothing before");
        leave();
        assert!(!stand_on("") && !is_empty());
        assert!(stand_on("a builder") && is_empty());
        assert!(folder.builder().exists());
        assert!(folder.image().is_none() && !folder.folder().join("known.json").exists());
        leave();
        assert!(!stand_on("a builder") && !is_empty());
        assert!(stand_on("") && is_empty() && !folder.builder().exists());
    }
}

//! The folders of volumes, on this host's disk.
//!
//! ```text
//! STATE_DIR/volumes/APP/VOLUME/data            what processes see
//!                              snapshots/ID    a whole copy
//!                              copying         a copy under way
//!                              next            a whole copy that is about to become data
//! STATE_DIR/volumes/destroyed                  what is on its way out
//! ```
//!
//! Plain folders that are bind-mounted, not Podman's own volumes: `podman system prune --volumes`, `podman volume rm` and a
//! reset of Podman's storage know nothing of them, backups see files, and a snapshot is a copy beside its original.
//! Everything above `data` is for this program's user alone, so what a process puts into its volume (a program that
//! bears the set-user-id bit, a link out of it) is in nobody's reach on the host.
//!
//! What always holds:
//!
//! - a name stands for something whole: copies are made under a name of their own and take theirs once they are on the disk;
//! - nothing is made where something should be: a volume whose folder is gone is an error, never an empty folder;
//! - nothing here removes anything but what [`Volumes::destroy`], [`Volumes::destroy_snapshot`] and a copy that was
//!   broken off left; each takes a name, and none looks for what it could remove;
//! - apps write into `data` meanwhile and are hostile: nothing is followed out of it ([`Beneath`]).
//!
//! How much a volume may hold is not limited: no means that a folder on every file system has would hold what it promises.

mod copy;
mod measure;

pub use copy::{Copied, CopyError};

use pvdify_builder::export::beneath::Beneath;
use pvdify_types::{AppId, SnapshotId, VolumeId};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

const DATA: &str = "data";
const SNAPSHOTS: &str = "snapshots";
const COPYING: &str = "copying";
const NEXT: &str = "next";
/// No app's id: those are hex digits and hyphens.
const DESTROYED: &str = "destroyed";

/// All volumes of an installation.
#[derive(Clone, Debug)]
pub struct Volumes {
    root: PathBuf,
}

/// What a restore that was broken off had come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The data is what it was.
    Not,
    /// The data is the snapshot's, and what was before is a snapshot.
    Whole,
}

impl Volumes {
    /// The volumes below this folder, which is made when it is not there.
    ///
    /// # Errors
    /// Of the system.
    pub fn open(root: &Path) -> io::Result<Self> {
        private(root)?;
        private(&root.join(DESTROYED))?;
        // Mounts are compared with it: it leads through no link itself.
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    /// Where all are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn folder(&self, app: &AppId, volume: &VolumeId) -> PathBuf {
        self.root.join(app.as_str()).join(volume.as_str())
    }

    fn snapshot_folder(&self, app: &AppId, volume: &VolumeId, snapshot: &SnapshotId) -> PathBuf {
        self.folder(app, volume).join(SNAPSHOTS).join(snapshot.as_str())
    }

    /// Makes the folders of a new volume.
    ///
    /// # Errors
    /// Of the system, and when they are there.
    pub fn create(&self, app: &AppId, volume: &VolumeId) -> io::Result<()> {
        private(&self.root.join(app.as_str()))?;
        let folder = self.folder(app, volume);
        DirBuilder::new().mode(0o700).create(&folder)?;
        private(&folder.join(SNAPSHOTS))?;
        let data = folder.join(DATA);
        DirBuilder::new().create(&data)?;
        // Whatever the umask: processes of several users may be in one container.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
        sync(&folder)?;
        sync(&self.root.join(app.as_str()))?;
        sync(&self.root)
    }

    /// Takes back a volume that was made a moment ago and never used.
    ///
    /// # Errors
    /// Of the system, and when something is in it.
    pub fn undo_create(&self, app: &AppId, volume: &VolumeId) -> io::Result<()> {
        let folder = self.folder(app, volume);
        for part in [&folder.join(DATA), &folder.join(SNAPSHOTS), &folder] {
            fs::remove_dir(part)?;
        }
        Ok(())
    }

    /// Where its data is, for a mount: a folder, reached through no link.
    ///
    /// # Errors
    /// When it is not there as it should be.
    pub fn data(&self, app: &AppId, volume: &VolumeId) -> io::Result<PathBuf> {
        let path = self.folder(app, volume).join(DATA);
        if path.canonicalize()? != path || !path.is_dir() {
            let text = format!("{} is no folder below {}", path.display(), self.root.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, text));
        }
        Ok(path)
    }

    /// Whose its data is: user and group.
    ///
    /// # Errors
    /// Of the system.
    pub fn owner(&self, app: &AppId, volume: &VolumeId) -> io::Result<(u32, u32)> {
        let data = self.data(app, volume)?.metadata()?;
        Ok((data.uid(), data.gid()))
    }

    /// Gives a volume that nobody has used to the user of the image that is about to; any other stays as it is.
    ///
    /// # Errors
    /// Of the system.
    pub fn claim(&self, app: &AppId, volume: &VolumeId, owner: (u32, u32)) -> io::Result<()> {
        let data = self.data(app, volume)?;
        let used = fs::read_dir(&data)?.next().is_some();
        let own = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        if used || self.owner(app, volume)? != own || owner == own {
            return Ok(());
        }
        std::os::unix::fs::chown(&data, Some(owner.0), Some(owner.1))?;
        sync(&data)
    }

    /// How much of the disk its data takes; `None` when that is not known within the limit.
    ///
    /// # Errors
    /// Of the system.
    pub fn measure(&self, app: &AppId, volume: &VolumeId, limit: Duration) -> io::Result<Option<u64>> {
        measure::on_disk(&self.folder(app, volume).join(DATA), Some(limit))
    }

    /// What copying the data, or a snapshot, needs of the disk, and what is free; nothing is needed where the file system
    /// shares blocks.
    ///
    /// # Errors
    /// Of the system.
    pub fn room(
        &self,
        app: &AppId,
        volume: &VolumeId,
        snapshot: Option<&SnapshotId>,
    ) -> io::Result<(u64, u64)> {
        let folder = self.folder(app, volume);
        let disk = rustix::fs::statvfs(&folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if copy::shares_blocks(&folder)? {
            return Ok((0, free));
        }
        let from = snapshot.map_or_else(|| folder.join(DATA), |id| self.snapshot_folder(app, volume, id));
        Ok((measure::on_disk(&from, None)?.unwrap_or_default(), free))
    }

    /// Copies the data; [`Self::keep`] makes a snapshot of the copy.
    ///
    /// # Errors
    /// Of the system, naming the file.
    pub fn copy_data(&self, app: &AppId, volume: &VolumeId, copied: &Copied) -> Result<(), CopyError> {
        let folder = self.folder(app, volume);
        copy::copy(&folder.join(DATA), &folder.join(COPYING), copied)
    }

    /// The copy is a snapshot from now on; gives what it takes of the disk.
    ///
    /// # Errors
    /// Of the system.
    pub fn keep(&self, app: &AppId, volume: &VolumeId, snapshot: &SnapshotId) -> io::Result<u64> {
        let folder = self.folder(app, volume);
        let kept = self.snapshot_folder(app, volume, snapshot);
        fs::rename(folder.join(COPYING), &kept)?;
        sync(&folder.join(SNAPSHOTS))?;
        sync(&folder)?;
        self.snapshot_bytes(app, volume, snapshot)
    }

    /// How much of the disk a snapshot takes.
    ///
    /// # Errors
    /// Of the system, and when it is not there.
    pub fn snapshot_bytes(&self, app: &AppId, volume: &VolumeId, snapshot: &SnapshotId) -> io::Result<u64> {
        let kept = self.snapshot_folder(app, volume, snapshot);
        Ok(measure::on_disk(&kept, None)?.unwrap_or_default())
    }

    /// Copies a snapshot such that [`Self::swap`] can put it in the data's place.
    ///
    /// # Errors
    /// Of the system, naming the file.
    pub fn copy_snapshot(
        &self,
        app: &AppId,
        volume: &VolumeId,
        snapshot: &SnapshotId,
        copied: &Copied,
    ) -> Result<(), CopyError> {
        let folder = self.folder(app, volume);
        copy::copy(
            &self.snapshot_folder(app, volume, snapshot),
            &folder.join(COPYING),
            copied,
        )?;
        let named = || {
            fs::rename(folder.join(COPYING), folder.join(NEXT))?;
            sync(&folder)
        };
        named().map_err(|source| CopyError::new(Path::new(NEXT), source))
    }

    /// The data becomes this snapshot, and the copy the data. Nothing that has it may run. Broken off between both,
    /// [`Self::settle`] finishes it.
    ///
    /// # Errors
    /// Of the system.
    pub fn swap(&self, app: &AppId, volume: &VolumeId, before: &SnapshotId) -> io::Result<()> {
        self.put_aside(app, volume, before)?;
        self.put_in_place(app, volume)
    }

    /// The first half of [`Self::swap`]: a test breaks it off here.
    pub(crate) fn put_aside(&self, app: &AppId, volume: &VolumeId, before: &SnapshotId) -> io::Result<()> {
        let folder = self.folder(app, volume);
        // Without it there would be nothing to put in the data's place.
        folder.join(NEXT).metadata()?;
        fs::rename(folder.join(DATA), self.snapshot_folder(app, volume, before))?;
        sync(&folder.join(SNAPSHOTS))?;
        sync(&folder)
    }

    fn put_in_place(&self, app: &AppId, volume: &VolumeId) -> io::Result<()> {
        let folder = self.folder(app, volume);
        fs::rename(folder.join(NEXT), folder.join(DATA))?;
        sync(&folder)
    }

    /// Brings what a snapshot or a restore left, that was broken off anywhere, to an end: the data is there whole, and
    /// copies that nothing waits for are gone. `before` is the snapshot that a restore makes of the data.
    ///
    /// # Errors
    /// Of the system.
    pub fn settle(
        &self,
        app: &AppId,
        volume: &VolumeId,
        before: Option<&SnapshotId>,
    ) -> io::Result<Restored> {
        let folder = self.folder(app, volume);
        self.remove(&folder, COPYING)?;
        let kept = before.is_some_and(|id| self.snapshot_folder(app, volume, id).is_dir());
        if !kept {
            self.remove(&folder, NEXT)?;
            return Ok(Restored::Not);
        }
        if folder.join(NEXT).is_dir() && !folder.join(DATA).exists() {
            self.put_in_place(app, volume)?;
        }
        Ok(Restored::Whole)
    }

    /// Takes a volume away with its snapshots; [`Self::sweep`] then frees the disk. One that is gone is no failure.
    ///
    /// # Errors
    /// Of the system.
    pub fn destroy(&self, app: &AppId, volume: &VolumeId) -> io::Result<()> {
        self.take_away(&self.folder(app, volume))
    }

    /// The same with a snapshot.
    ///
    /// # Errors
    /// Of the system.
    pub fn destroy_snapshot(&self, app: &AppId, volume: &VolumeId, snapshot: &SnapshotId) -> io::Result<()> {
        self.take_away(&self.snapshot_folder(app, volume, snapshot))
    }

    fn take_away(&self, folder: &Path) -> io::Result<()> {
        match fs::rename(
            folder,
            self.root.join(DESTROYED).join(uuid::Uuid::now_v7().to_string()),
        ) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved?,
        }
        folder.parent().map_or(Ok(()), sync)?;
        sync(&self.root.join(DESTROYED))
    }

    /// Frees what was taken away.
    ///
    /// # Errors
    /// Of the system.
    pub fn sweep(&self) -> io::Result<()> {
        let destroyed = Beneath::open(&self.root.join(DESTROYED))?;
        for name in destroyed.names()? {
            destroyed.remove(&name, &destroyed)?;
        }
        Ok(())
    }

    /// Removes a copy that nothing waits for.
    fn remove(&self, folder: &Path, name: &str) -> io::Result<()> {
        let aside = Beneath::open(&self.root.join(DESTROYED))?;
        Beneath::open(folder)?.remove(OsStr::new(name), &aside)
    }
}

fn private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

/// Names in a folder are on the disk.
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;

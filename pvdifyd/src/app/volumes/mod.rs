//! Volumes: make, see, mount, unmount, destroy; snapshots are in [`snapshots`], restores in [`restore`].
//!
//! A mount is part of how an app runs, so a change of it is a release with the cause `config`: a path that an image can't
//! do without, or a volume that an app can't write to, then fails as any release does, and what served goes on serving. A
//! release has the mounts of the moment at which it begins to deploy, a rollback too: what a volume holds is data, and
//! no release brings it back.
//!
//! Nothing that is in a volume goes with anything else: an app that has one is not deleted, garbage collection knows
//! nothing of them, and what destroys data takes its name twice.

mod error;
mod events;
mod hold;
mod mounts;
mod reap;
mod restore;
mod snapshots;

pub use error::VolumeError;
pub use mounts::VolumeChanged;
pub(super) use mounts::{check_count, most};

use super::{
    Acting, Action, App,
    authorise::{known_app, living_app},
    error::{Error, Result},
};
use crate::{
    reconcile::handle::Observation,
    store::{
        self, Changed, Reader, Tx, apps, as_date, releases,
        volumes::{self as rows, Operation, snapshots as snapshot_rows},
    },
    volumes::Volumes,
};
use pvdify_api::volumes as wire;
use pvdify_types::{
    AppId, AppName, ReleaseStatus, ReleaseVersion, VolumeId, VolumeMount, VolumeName, volume::MAX_VOLUMES,
};
use std::time::{Duration, Instant};

/// How long a list may count what volumes hold.
const COUNTING: Duration = Duration::from_secs(2);

/// A volume and what its face shows of other tables.
struct Shown {
    row: rows::Volume,
    mounts: Vec<VolumeMount>,
    snapshots: usize,
}

fn shown(reader: &Reader, row: rows::Volume) -> Result<Shown> {
    let mut mounts = rows::mounts::of_app(reader, &row.app)?;
    mounts.retain(|mount| mount.id == row.id);
    Ok(Shown {
        mounts,
        snapshots: snapshot_rows::list(reader, &row.id)?.len(),
        row,
    })
}

impl Acting {
    /// An app's volumes, by name.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn volumes(&self, name: &AppName) -> Result<Vec<wire::Volume>> {
        self.may(Action::ReadVolumes)?;
        let name = name.clone();
        let listed = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            let all = rows::list(reader, &app.id)?.into_iter();
            all.map(|row| shown(reader, row)).collect::<Result<Vec<_>>>()
        });
        self.app.faces(listed.await?).await
    }

    /// One of them.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn volume(&self, name: &AppName, typed: &str) -> Result<wire::Volume> {
        self.may(Action::ReadVolumes)?;
        self.app.volume_face(name.clone(), typed.to_owned()).await
    }

    /// Makes an empty one.
    ///
    /// # Errors
    /// When refused, unknown, the name is taken or none, or there are too many.
    pub async fn create_volume(&self, name: &AppName, body: wire::CreateVolume) -> Result<wire::Volume> {
        self.may(Action::ChangeVolumes)?;
        let volume: VolumeName = body.name.parse().map_err(Error::invalid)?;
        let wanted = name.clone();
        let app = self
            .app
            .store()
            .read(move |reader| living_app(reader, &wanted))
            .await?
            .id;
        // The folder first: a row always has one, and a folder that got no row is empty.
        let id: VolumeId = uuid::Uuid::now_v7().to_string().parse().map_err(Error::invalid)?;
        let made = (app.clone(), id.clone());
        let made = self.app.on_disk(move |volumes| volumes.create(&made.0, &made.1));
        made.await?.map_err(Error::io("make the volume's folder"))?;
        let (wanted, row) = (name.clone(), (id.clone(), volume.clone()));
        let added = self
            .app
            .store()
            .write(move |tx| add(tx, wanted, &row.0, row.1))
            .await;
        if let Err(error) = added {
            let undone = self.app.on_disk(move |volumes| volumes.undo_create(&app, &id));
            if let Err(error) = undone.await? {
                tracing::warn!(%error, "the empty folder of a volume that was not made is left");
            }
            return Err(error);
        }
        self.app.volume_face(name.clone(), volume.to_string()).await
    }

    /// Destroys a volume with its snapshots.
    ///
    /// # Errors
    /// When refused, unknown, not confirmed, or something has it or may yet have it.
    pub async fn destroy_volume(&self, name: &AppName, typed: &str, confirm: &str) -> Result<()> {
        self.may(Action::DestroyVolume)?;
        self.app.wait_until_unused(name, typed).await?;
        let (name, typed, confirm) = (name.clone(), typed.to_owned(), confirm.to_owned());
        let observed = self.app.inner.handle.observation();
        let row = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let row = known_volume(tx, &app, &typed)?;
                confirmed(row.name.as_str(), &confirm)?;
                let shown = shown(tx, row)?;
                if !shown.mounts.is_empty() || may_have(tx, &shown.row)? {
                    return Err(mounted(app.name, shown.row.name));
                }
                let had = rows::releases_with(tx, &app.id, &shown.row.id)?;
                if let Some(version) = still_runs(&observed, &app.id, &had) {
                    return Err(VolumeError::InUse {
                        app: app.name,
                        volume: shown.row.name,
                        version,
                    }
                    .into());
                }
                begin(tx, &shown.row, Operation::Destroy)?;
                Ok(shown.row)
            })
            .await?;
        self.app.finish_destroying(&row).await?;
        self.app.note(
            &row.app,
            format!("Volume {} destroyed by {}", row.name, self.user()),
        );
        Ok(())
    }
}

impl App {
    /// Runs what waits for the disk beside what does not.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Volumes) -> T + Send + 'static,
    ) -> Result<T> {
        let volumes = self.inner.volumes.clone();
        let done = tokio::task::spawn_blocking(move || work(&volumes)).await;
        done.map_err(|broken| Error::Io {
            doing: "work on a volume",
            source: std::io::Error::other(broken),
        })
    }

    /// Gives instances of releases that had a volume the time to finish their requests: a volume is unmounted once the
    /// release without it serves.
    async fn wait_until_unused(&self, name: &AppName, typed: &str) -> Result<()> {
        let (name, typed) = (name.clone(), typed.to_owned());
        let found = self.store().read(move |reader| {
            let app = living_app(reader, &name)?;
            let row = known_volume(reader, &app, &typed)?;
            let unmounted = shown(reader, row.clone())?.mounts.is_empty() && !may_have(reader, &row)?;
            let had = rows::releases_with(reader, &app.id, &row.id)?;
            Ok::<_, Error>((unmounted, app.id, had))
        });
        let (unmounted, app, had) = found.await?;
        if unmounted {
            let mut observed = self.inner.handle.observed();
            let gone = observed.wait_for(|observed| still_runs(observed, &app, &had).is_none());
            // Not gone in time is told by who asked for this.
            tokio::time::timeout(self.settings().limits.delete_time, gone)
                .await
                .ok();
        }
        Ok(())
    }

    async fn volume_face(&self, name: AppName, typed: String) -> Result<wire::Volume> {
        let one = self.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            shown(reader, known_volume(reader, &app, &typed)?)
        });
        let mut faces = self.faces(vec![one.await?]).await?;
        faces.pop().ok_or(Error::Store(store::Error::Stopped))
    }

    async fn faces(&self, all: Vec<Shown>) -> Result<Vec<wire::Volume>> {
        self.on_disk(move |volumes| {
            let end = Instant::now() + COUNTING;
            let left = || end.saturating_duration_since(Instant::now());
            all.into_iter().map(|one| face(volumes, one, left())).collect()
        })
        .await
    }

    /// Takes the folder of a volume that is being destroyed, then its row.
    async fn finish_destroying(&self, row: &rows::Volume) -> Result<()> {
        let (app, id) = (row.app.clone(), row.id.clone());
        let taken = self.on_disk(move |volumes| volumes.destroy(&app, &id)).await?;
        let id = row.id.clone();
        if let Err(error) = taken {
            self.store().write(move |tx| rows::end(tx, &id)).await?;
            return Err(Error::io("destroy the volume")(error));
        }
        self.store().write(move |tx| rows::remove(tx, &id)).await?;
        self.free_destroyed();
        Ok(())
    }

    /// In its own time: what is destroyed may be large.
    pub(super) fn free_destroyed(&self) {
        let app = self.clone();
        tokio::spawn(async move {
            if let Ok(Err(error)) = app.on_disk(Volumes::sweep).await {
                tracing::warn!(%error, "what was destroyed still takes room; the next start tries again");
            }
        });
    }
}

fn add(tx: &Tx<'_>, name: AppName, id: &VolumeId, volume: VolumeName) -> Result<()> {
    let app = living_app(tx, &name)?;
    if rows::list(tx, &app.id)?.len() >= MAX_VOLUMES {
        return Err(VolumeError::TooMany(MAX_VOLUMES).into());
    }
    let now = store::now();
    if !rows::insert(tx, id, &app.id, &volume, now)? {
        return Err(VolumeError::Taken { app: name, volume }.into());
    }
    apps::touch(tx, &app.id, now)?;
    Ok(())
}

/// One of these releases of which an instance is there.
fn still_runs(observed: &Observation, app: &AppId, releases: &[ReleaseVersion]) -> Option<ReleaseVersion> {
    let mut own = observed.instances.iter().filter(|instance| instance.app == *app);
    own.find(|instance| releases.contains(&instance.release))
        .map(|instance| instance.release)
}

/// Whether a release that serves, or is about to, has it.
fn may_have(reader: &Reader, row: &rows::Volume) -> Result<bool> {
    let deploying = releases::with_status(reader, &row.app, ReleaseStatus::Deploying)?;
    let live = releases::current(reader, &row.app)?.into_iter().chain(deploying);
    let mut mounts = live
        .filter_map(|release| release.fixed)
        .flat_map(|fixed| fixed.mounts);
    Ok(mounts.any(|mount| mount.id == row.id))
}

fn known_volume(reader: &Reader, app: &apps::App, typed: &str) -> Result<rows::Volume> {
    let found = match typed.parse() {
        Ok(volume) => rows::find(reader, &app.id, &volume)?,
        Err(_) => None,
    };
    found.ok_or_else(|| {
        VolumeError::None {
            app: app.name.clone(),
            volume: typed.chars().take(64).collect(),
        }
        .into()
    })
}

fn begin(tx: &Tx<'_>, row: &rows::Volume, operation: Operation) -> Result<()> {
    match rows::begin(tx, &row.id, operation)? {
        Changed::Updated => Ok(()),
        Changed::Refused(other) => Err(busy(row, other)),
        Changed::NotFound => Err(Error::Store(store::Error::Stopped)),
    }
}

fn busy(row: &rows::Volume, operation: Operation) -> Error {
    VolumeError::Busy {
        volume: row.name.clone(),
        operation: operation.as_str(),
    }
    .into()
}

fn mounted(app: AppName, volume: VolumeName) -> Error {
    VolumeError::Mounted { app, volume }.into()
}

fn confirmed(name: &str, confirm: &str) -> Result<()> {
    if name == confirm {
        Ok(())
    } else {
        Err(VolumeError::Unconfirmed(name.to_owned()).into())
    }
}

fn face(volumes: &Volumes, one: Shown, counting: Duration) -> wire::Volume {
    let Shown {
        row,
        mounts,
        snapshots,
    } = one;
    // What is not there, or can't be counted, is shown as that; a start says why.
    let owner = volumes.owner(&row.app, &row.id).ok();
    let mount = |mount: VolumeMount| wire::VolumeMount {
        process: mount.process,
        path: mount.path,
        read_only: mount.read_only,
        shared: mount.shared,
    };
    wire::Volume {
        bytes: volumes.measure(&row.app, &row.id, counting).ok().flatten(),
        owner: owner.map(|(user, group)| format!("{user}:{group}")),
        mounts: mounts.into_iter().map(mount).collect(),
        operation: row.operation.map(|operation| operation.as_str().to_owned()),
        snapshots: snapshots as u64,
        created_at: as_date(row.created_at),
        name: row.name,
    }
}

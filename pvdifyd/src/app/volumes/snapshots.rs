//! Snapshots: copies of a volume's data, beside it.
//!
//! Of processes that run meanwhile a copy sees each file as it was at some moment, as a crash would leave it: most
//! databases come back from that, but not all programs do. So a person may have them stopped meanwhile.

use super::{
    VolumeError, begin, busy, confirmed,
    events::Told,
    known_volume,
    rows::{self, Operation, snapshots},
};
use crate::{
    app::{
        Acting, Action, App,
        authorise::{known_app, living_app},
        error::{Error, Result},
    },
    store::{self, Reader, Tx, as_date},
    volumes::Copied,
};
use futures_util::Stream;
use pvdify_api::volumes::{self as wire, VolumeEvent};
use pvdify_types::{AppName, SnapshotId, SnapshotName, volume::MAX_SNAPSHOTS};
use std::sync::Arc;
use time::{OffsetDateTime, macros::format_description};

const MIB: u64 = 1 << 20;

impl Acting {
    /// A volume's, newest first.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn snapshots(&self, name: &AppName, volume: &str) -> Result<Vec<wire::Snapshot>> {
        self.may(Action::ReadVolumes)?;
        let (name, volume) = (name.clone(), volume.to_owned());
        self.app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                let row = known_volume(reader, &app, &volume)?;
                let all = snapshots::list(reader, &row.id)?;
                Ok(all.into_iter().map(face).collect())
            })
            .await
    }

    /// Makes one, by a task that outlives the caller; what comes of it, as it comes.
    ///
    /// # Errors
    /// When refused or unknown, the name is taken or none, there are too many, something else is done with the volume, or
    /// the disk has no room.
    pub async fn create_snapshot(
        &self,
        name: &AppName,
        volume: &str,
        body: wire::CreateSnapshot,
    ) -> Result<impl Stream<Item = VolumeEvent> + Send + use<>> {
        self.may(Action::ChangeVolumes)?;
        let given = body.name.map(|text| text.parse().map_err(Error::invalid));
        let given: Option<SnapshotName> = given.transpose()?;
        let row = self.app.living_volume(name, volume).await?;
        self.app.check_room(&row, None).await?;
        let (wanted, stop) = (row.clone(), body.stop);
        let snapshot = self
            .app
            .store()
            .write(move |tx| {
                begin(tx, &wanted, Operation::Snapshot)?;
                let name = given.map_or_else(|| of_now(tx, &wanted, "s"), Ok)?;
                add(tx, &wanted, &name, stop)
            })
            .await?;
        let told = Told::new();
        let (app, to, user) = (self.app.clone(), told.clone(), self.user().to_owned());
        tokio::spawn(async move { app.make_snapshot(row, snapshot, stop, &user, &to).await });
        Ok(told.stream())
    }

    /// Destroys one.
    ///
    /// # Errors
    /// When refused, unknown, not confirmed, or something is done with the volume.
    pub async fn destroy_snapshot(
        &self,
        name: &AppName,
        volume: &str,
        typed: &str,
        confirm: &str,
    ) -> Result<()> {
        self.may(Action::DestroyVolume)?;
        let row = self.app.living_volume(name, volume).await?;
        let (wanted, name) = (row.clone(), name.clone());
        let (typed, confirm) = (typed.to_owned(), confirm.to_owned());
        let snapshot = self
            .app
            .store()
            .write(move |tx| {
                let snapshot = known_snapshot(tx, &name, &wanted, &typed)?;
                confirmed(snapshot.name.as_str(), &confirm)?;
                if let Some(operation) =
                    rows::find(tx, &wanted.app, &wanted.name)?.and_then(|row| row.operation)
                {
                    return Err(busy(&wanted, operation));
                }
                // Killed from here on, it is there to be destroyed once more, and is not restored.
                snapshots::set_going(tx, &snapshot.id)?;
                Ok(snapshot)
            })
            .await?;
        let (app, volume, id) = (row.app.clone(), row.id.clone(), snapshot.id.clone());
        let taken = self
            .app
            .on_disk(move |volumes| volumes.destroy_snapshot(&app, &volume, &id));
        taken.await?.map_err(Error::io("destroy the snapshot"))?;
        self.app
            .store()
            .write(move |tx| snapshots::remove(tx, &snapshot.id))
            .await?;
        self.app.free_destroyed();
        let text = format!(
            "Snapshot {} of {} destroyed by {}",
            snapshot.name,
            row.name,
            self.user()
        );
        self.app.note(&row.app, text);
        Ok(())
    }
}

impl App {
    pub(super) async fn living_volume(&self, name: &AppName, typed: &str) -> Result<rows::Volume> {
        let (name, typed) = (name.clone(), typed.to_owned());
        self.store()
            .read(move |reader| {
                let app = living_app(reader, &name)?;
                known_volume(reader, &app, &typed)
            })
            .await
    }

    /// Whether a copy of the data, or of a snapshot, leaves the disk what builds need.
    pub(super) async fn check_room(&self, row: &rows::Volume, snapshot: Option<SnapshotId>) -> Result<()> {
        let (app, id) = (row.app.clone(), row.id.clone());
        let room = self.on_disk(move |volumes| {
            let room = volumes.room(&app, &id, snapshot.as_ref())?;
            Ok((room, volumes.root().display().to_string()))
        });
        let ((copy, free), dir) = room.await?.map_err(Error::io("look at the volume"))?;
        let need = copy.saturating_add(self.settings().limits.free_bytes);
        if copy == 0 || free >= need {
            return Ok(());
        }
        Err(Error::DiskFull {
            dir,
            need_mib: need / MIB,
            free_mib: free / MIB,
        })
    }

    async fn make_snapshot(
        &self,
        row: rows::Volume,
        snapshot: snapshots::Snapshot,
        stop: bool,
        user: &str,
        told: &Told,
    ) {
        let name = snapshot.name.clone();
        let made = self.copy_data(&row, &snapshot.id, stop, told).await;
        if let Err(error) = &made {
            tracing::warn!(%error, volume = %row.name, snapshot = %name, "a snapshot was not made");
        }
        let failure = made.as_ref().err().map(ToString::to_string);
        let ended = self
            .end_snapshot(&row, snapshot, made.ok(), failure.clone())
            .await;
        let last = match (ended, failure) {
            (Ok(ended), None) => {
                self.note(
                    &row.app,
                    format!("Snapshot {name} of {} made by {user}", row.name),
                );
                VolumeEvent::Done {
                    snapshot: face(ended),
                }
            }
            (Ok(_), Some(message)) => {
                self.note(
                    &row.app,
                    format!("Snapshot {name} of {} failed: {message}", row.name),
                );
                VolumeEvent::Failed { message }
            }
            // The reaper ends it at the next start.
            (Err(error), _) => {
                tracing::error!(%error, volume = %row.name, snapshot = %name, "can't record how a snapshot ended");
                let message = format!("how it ended could not be recorded: {error}");
                VolumeEvent::Failed { message }
            }
        };
        told.end(last);
    }

    async fn copy_data(
        &self,
        row: &rows::Volume,
        snapshot: &SnapshotId,
        stop: bool,
        told: &Told,
    ) -> Result<u64> {
        if stop {
            told.line("Stopping what has the volume");
            self.stop_users(row).await?;
        }
        told.line("Copying");
        let copied = Arc::new(Copied::default());
        let (app, id, kept, to) = (
            row.app.clone(),
            row.id.clone(),
            snapshot.clone(),
            Arc::clone(&copied),
        );
        let copy = self.on_disk(move |volumes| {
            volumes.copy_data(&app, &id, &to).map_err(Error::copy)?;
            volumes
                .keep(&app, &id, &kept)
                .map_err(Error::io("keep the snapshot"))
        });
        told.copying(&copied, &self.closing(), copy).await?
    }

    /// Writes down how it ended, and lets run what was stopped.
    async fn end_snapshot(
        &self,
        row: &rows::Volume,
        snapshot: snapshots::Snapshot,
        bytes: Option<u64>,
        failure: Option<String>,
    ) -> Result<snapshots::Snapshot> {
        if bytes.is_none() {
            let (app, id) = (row.app.clone(), row.id.clone());
            let settled = self.on_disk(move |volumes| volumes.settle(&app, &id, None));
            settled.await?.map_err(Error::io("remove a copy that failed"))?;
        }
        let (volume, name) = (row.id.clone(), snapshot.name.clone());
        let ended = self.store().write(move |tx| {
            match bytes {
                Some(bytes) => snapshots::set_ready(tx, &snapshot.id, bytes)?,
                None => snapshots::set_failed(tx, &snapshot.id, &failure.unwrap_or_default())?,
            }
            rows::end(tx, &volume)?;
            snapshots::find(tx, &volume, &name)?.ok_or(Error::Store(store::Error::Stopped))
        });
        let ended = ended.await;
        self.inner.handle.wake();
        ended
    }
}

/// Adds the row of one that is about to be made.
pub(super) fn add(
    tx: &Tx<'_>,
    row: &rows::Volume,
    name: &SnapshotName,
    stopped: bool,
) -> Result<snapshots::Snapshot> {
    if snapshots::list(tx, &row.id)?.len() >= MAX_SNAPSHOTS {
        return Err(VolumeError::TooManySnapshots(MAX_SNAPSHOTS).into());
    }
    let taken = || VolumeError::SnapshotTaken {
        volume: row.name.clone(),
        snapshot: name.clone(),
    };
    snapshots::insert(tx, &row.id, name, stopped, store::now())?.ok_or_else(taken)?;
    snapshots::find(tx, &row.id, name)?.ok_or(Error::Store(store::Error::Stopped))
}

pub(super) fn known_snapshot(
    reader: &Reader,
    app: &AppName,
    row: &rows::Volume,
    typed: &str,
) -> Result<snapshots::Snapshot> {
    let found = match typed.parse() {
        Ok(name) => snapshots::find(reader, &row.id, &name)?,
        Err(_) => None,
    };
    found.ok_or_else(|| {
        VolumeError::NoSnapshot {
            app: app.clone(),
            volume: row.name.clone(),
            snapshot: typed.chars().take(64).collect(),
        }
        .into()
    })
}

/// A name that no snapshot of the volume has, as `s-20260101t000000z`; a second one of the same second ends in `-2`.
pub(super) fn of_now(reader: &Reader, row: &rows::Volume, what: &str) -> Result<SnapshotName> {
    let form = format_description!("[year][month][day]t[hour][minute][second]z");
    let now = OffsetDateTime::now_utc().format(form).map_err(Error::invalid)?;
    let taken = snapshots::list(reader, &row.id)?;
    let first = std::iter::once(format!("{what}-{now}"));
    let others = (2..=MAX_SNAPSHOTS + 1).map(|number| format!("{what}-{now}-{number}"));
    let mut free = first
        .chain(others)
        .filter(|name| !taken.iter().any(|one| one.name.as_str() == name));
    let name = free.next().ok_or(VolumeError::TooManySnapshots(MAX_SNAPSHOTS))?;
    name.parse().map_err(Error::invalid)
}

pub(super) fn face(one: snapshots::Snapshot) -> wire::Snapshot {
    wire::Snapshot {
        name: one.name,
        status: one.status.as_str().to_owned(),
        stopped: one.stopped,
        bytes: one.bytes,
        failure: one.failure,
        created_at: as_date(one.created_at),
    }
}

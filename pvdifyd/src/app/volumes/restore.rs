//! A restore: the data becomes what it was, and what it is becomes a snapshot.
//!
//! The snapshot is copied first, while everything runs. Then what has the volume stops, two folders change their names,
//! and it starts again: so a restore of any size takes an app away for a moment, and a snapshot can be restored again.
//! Killed anywhere, the next start ([`super::reap`]) finds the old data or the new one whole, by the folders' names alone.

use super::{
    VolumeError, begin,
    events::Told,
    rows::{self, Operation, snapshots},
    snapshots::{add, face, known_snapshot, of_now},
};
use crate::{
    app::{
        Acting, Action, App,
        error::{Error, Result},
    },
    store,
    volumes::{Copied, Restored},
};
use futures_util::Stream;
use pvdify_api::volumes::{self as wire, VolumeEvent};
use pvdify_types::{AppName, SnapshotId};
use std::sync::Arc;

impl Acting {
    /// Does so, by a task that outlives the caller; what comes of it, as it comes.
    ///
    /// # Errors
    /// When refused or unknown, the snapshot is not ready, something else is done with the volume, or the disk has no room.
    pub async fn restore_volume(
        &self,
        name: &AppName,
        volume: &str,
        body: wire::RestoreVolume,
    ) -> Result<impl Stream<Item = VolumeEvent> + Send + use<>> {
        self.may(Action::ChangeVolumes)?;
        let row = self.app.living_volume(name, volume).await?;
        let (name, wanted, typed) = (name.clone(), row.clone(), body.snapshot.clone());
        let read = self
            .app
            .store()
            .read(move |reader| known_snapshot(reader, &name, &wanted, &typed));
        let snapshot = read.await?;
        ready(&snapshot)?;
        self.app.check_room(&row, Some(snapshot.id.clone())).await?;
        let (wanted, from) = (row.clone(), snapshot.name.clone());
        let before = self
            .app
            .store()
            .write(move |tx| {
                begin(tx, &wanted, Operation::Restore)?;
                // Once more: it may have been destroyed meanwhile.
                let there = snapshots::find(tx, &wanted.id, &from)?;
                ready(&there.ok_or(Error::Store(store::Error::Stopped))?)?;
                let name = of_now(tx, &wanted, "before-restore")?;
                add(tx, &wanted, &name, true)
            })
            .await?;
        let told = Told::new();
        let (app, to, user) = (self.app.clone(), told.clone(), self.user().to_owned());
        tokio::spawn(async move { app.restore(row, snapshot, before, &user, &to).await });
        Ok(told.stream())
    }
}

fn ready(snapshot: &snapshots::Snapshot) -> Result<()> {
    if snapshot.status == snapshots::Status::Ready {
        return Ok(());
    }
    Err(VolumeError::NotReady {
        snapshot: snapshot.name.clone(),
        status: snapshot.status.as_str(),
    }
    .into())
}

impl App {
    async fn restore(
        &self,
        row: rows::Volume,
        snapshot: snapshots::Snapshot,
        before: snapshots::Snapshot,
        user: &str,
        told: &Told,
    ) {
        let swapped = self.swap(&row, &snapshot.id, &before.id, told).await;
        if let Err(error) = &swapped {
            tracing::warn!(%error, volume = %row.name, snapshot = %snapshot.name, "a restore did not come to its end");
        }
        // Whatever went wrong: what the folders say is what happened.
        let settled = self.settle(&row, Some(before.id.clone())).await;
        self.inner.handle.wake();
        let failed = |error: Error, rest: &str| {
            let message = format!("{error}; {rest}");
            let text = format!(
                "Volume {} was not restored from {}: {message}",
                row.name, snapshot.name
            );
            self.note(&row.app, text);
            VolumeEvent::Failed { message }
        };
        let same = "the data is what it was";
        told.end(match (settled, swapped) {
            (Ok(Some(kept)), _) => {
                let text = format!(
                    "Volume {} restored from {} by {user}; what was there is the snapshot {}",
                    row.name, snapshot.name, kept.name
                );
                self.note(&row.app, text);
                VolumeEvent::Done { snapshot: face(kept) }
            }
            (Ok(None), Err(error)) => failed(error, same),
            (Ok(None), Ok(())) => failed(VolumeError::NotSwapped.into(), same),
            (Err(error), _) => failed(error, "what has the volume waits for the server's next start"),
        });
    }

    async fn swap(
        &self,
        row: &rows::Volume,
        snapshot: &SnapshotId,
        before: &SnapshotId,
        told: &Told,
    ) -> Result<()> {
        told.line("Copying the snapshot");
        let copied = Arc::new(Copied::default());
        let (app, id, from, to) = (
            row.app.clone(),
            row.id.clone(),
            snapshot.clone(),
            Arc::clone(&copied),
        );
        let copy = self.on_disk(move |volumes| volumes.copy_snapshot(&app, &id, &from, &to));
        told.copying(&copied, &self.closing(), copy)
            .await?
            .map_err(Error::copy)?;
        told.line("Stopping what has the volume");
        self.stop_users(row).await?;
        let (app, id, before) = (row.app.clone(), row.id.clone(), before.clone());
        let swapped = self.on_disk(move |volumes| volumes.swap(&app, &id, &before));
        swapped
            .await?
            .map_err(Error::io("put the snapshot in the data's place"))
    }

    /// Brings the folders and the rows of a restore to an end; gives the snapshot of what was there, when there is one.
    pub(super) async fn settle(
        &self,
        row: &rows::Volume,
        before: Option<SnapshotId>,
    ) -> Result<Option<snapshots::Snapshot>> {
        let (app, id, kept) = (row.app.clone(), row.id.clone(), before.clone());
        let settled = self.on_disk(move |volumes| {
            let settled = volumes.settle(&app, &id, kept.as_ref())?;
            let bytes = match (settled, &kept) {
                (Restored::Whole, Some(kept)) => Some(volumes.snapshot_bytes(&app, &id, kept)?),
                _ => None,
            };
            Ok(bytes)
        });
        let bytes = settled.await?.map_err(Error::io("bring a restore to its end"))?;
        let volume = row.id.clone();
        self.store()
            .write(move |tx| {
                let kept = match (&before, bytes) {
                    (Some(before), Some(bytes)) => {
                        snapshots::set_ready(tx, before, bytes)?;
                        let mut all = snapshots::list(tx, &volume)?.into_iter();
                        all.find(|one| one.id == *before)
                    }
                    (Some(before), None) => {
                        snapshots::remove(tx, before)?;
                        None
                    }
                    (None, _) => None,
                };
                rows::end(tx, &volume)?;
                Ok(kept)
            })
            .await
    }
}

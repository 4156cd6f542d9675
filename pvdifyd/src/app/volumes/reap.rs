//! What was under way with volumes when the process before this one ended is brought to an end before anything is served,
//! and so before the reconciler starts what has them.

use super::rows::{self, Operation, snapshots};
use crate::app::{
    App,
    error::{Error, Result},
};

const INTERRUPTED: &str = "interrupted: Pvdify was stopped meanwhile";

impl App {
    /// Does so. A volume with which that fails stays as it is, with the word of what is under way, and what has it does not run:
    /// that is said in the log, and no reason to serve nothing at all.
    ///
    /// # Errors
    /// When the database fails.
    pub(in crate::app) async fn reap_volumes(&self) -> Result<()> {
        let under_way = self
            .store()
            .read(|reader| Ok::<_, Error>(rows::under_way(reader)?))
            .await?;
        for row in under_way {
            let Some(operation) = row.operation else { continue };
            match self.reap_volume(&row, operation).await {
                Ok(end) => {
                    self.note(
                        &row.app,
                        format!(
                            "Volume {}: the interrupted {} {end}",
                            row.name,
                            operation.as_str()
                        ),
                    );
                    tracing::warn!(volume = %row.name, operation = operation.as_str(), end, "what was interrupted is at its end");
                }
                Err(error) => tracing::error!(
                    %error, volume = %row.name, app = %row.app, operation = operation.as_str(),
                    "what was interrupted can't be brought to an end: what has the volume waits for the next start"
                ),
            }
        }
        self.free_destroyed();
        Ok(())
    }

    async fn reap_volume(&self, row: &rows::Volume, operation: Operation) -> Result<&'static str> {
        let volume = row.id.clone();
        let making = self.store().read(move |reader| {
            let mut all = snapshots::list(reader, &volume)?.into_iter();
            Ok::<_, Error>(all.find(|one| one.status == snapshots::Status::Making))
        });
        let making = making.await?.map(|one| one.id);
        match operation {
            Operation::Destroy => {
                self.finish_destroying(row).await?;
                Ok("was finished")
            }
            Operation::Restore => match self.settle(row, making).await? {
                Some(_) => Ok("was finished"),
                None => Ok("changed nothing"),
            },
            Operation::Snapshot => {
                let (app, id, kept) = (row.app.clone(), row.id.clone(), making.clone());
                let bytes = self.on_disk(move |volumes| {
                    volumes.settle(&app, &id, None)?;
                    let Some(kept) = kept else { return Ok(None) };
                    match volumes.snapshot_bytes(&app, &id, &kept) {
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                        bytes => bytes.map(Some),
                    }
                });
                let bytes = bytes.await?.map_err(Error::io("bring a snapshot to its end"))?;
                let volume = row.id.clone();
                self.store()
                    .write(move |tx| {
                        match (&making, bytes) {
                            (Some(id), Some(bytes)) => snapshots::set_ready(tx, id, bytes)?,
                            (Some(id), None) => snapshots::set_failed(tx, id, INTERRUPTED)?,
                            (None, _) => {}
                        }
                        rows::end(tx, &volume)
                    })
                    .await?;
                Ok(if bytes.is_some() { "was finished" } else { "failed" })
            }
        }
    }
}

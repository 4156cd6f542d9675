//! Nothing that has a volume runs while its folders change hands.
//!
//! What says so is a row, so a server that is killed meanwhile starts nothing either before [`super::reap`] has brought the
//! folders to an end; the reconciler reads it like everything else, and says when all is at rest.

use super::{VolumeError, rows};
use crate::{
    app::{
        App,
        error::{Error, Result},
    },
    store::releases,
};
use futures_util::StreamExt;
use pvdify_api::releases::ReleaseEvent;
use pvdify_types::ReleaseStatus;
use std::{pin::pin, time::Duration};

/// Open requests have 30 s, then SIGTERM has, and a container takes a while to be removed.
const STOPPING: Duration = Duration::from_secs(120);

impl App {
    /// Waits until nothing has the volume. A release that is under way comes to its end first.
    ///
    /// # Errors
    /// When something goes on; then it is held all the same until [`rows::end`].
    pub(super) async fn stop_users(&self, row: &rows::Volume) -> Result<()> {
        while let Some(version) = self.hold(row).await? {
            let mut progress = pin!(self.release_progress(row.app.clone(), version));
            while let Some(event) = progress.next().await {
                if matches!(event, ReleaseEvent::Done { .. }) {
                    break;
                }
            }
        }
        let mut observed = self.inner.handle.observed();
        self.inner.handle.wake();
        let rests = observed.wait_for(|observed| observed.at_rest.contains(&row.app));
        match tokio::time::timeout(STOPPING, rests).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(VolumeError::NotStopped(STOPPING.as_secs()).into()),
        }
    }

    /// Holds it, unless a release is deploying: that one.
    async fn hold(&self, row: &rows::Volume) -> Result<Option<pvdify_types::ReleaseVersion>> {
        let (app, id) = (row.app.clone(), row.id.clone());
        self.store()
            .write(move |tx| {
                if let Some(release) = releases::with_status(tx, &app, ReleaseStatus::Deploying)? {
                    return Ok(Some(release.version));
                }
                rows::hold(tx, &id)?;
                Ok::<_, Error>(None)
            })
            .await
    }
}

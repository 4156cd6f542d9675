//! What lost its owner with the process before this one is brought to an end, before anything is served.
//!
//! A build or import lived in that process's memory: it failed. A release that was deploying is still the
//! reconciler's, which goes on by itself; its time starts anew, as nobody could work on it meanwhile.

use super::{
    App,
    error::{Error, Result},
    releases::fail,
};
use crate::store::{self, apps, builds, releases, volumes};
use pvdify_types::ReleaseStatus;

const INTERRUPTED: &str = "interrupted: Pvdify was stopped meanwhile; try again";

impl App {
    /// Does so.
    ///
    /// # Errors
    /// When the database or the build folder fails.
    pub async fn reap(&self) -> Result<()> {
        self.empty_build_dir()?;
        let start_time = self.settings().limits.start_time;
        let ended = self
            .store()
            .write(move |tx| {
                let now = store::now();
                let mut ended = builds::fail_pending(tx, INTERRUPTED, now)?;
                for (app, release) in releases::all_with_status(tx, ReleaseStatus::Building)? {
                    fail(tx, &app, release.version, INTERRUPTED, &[], now)?;
                    ended += 1;
                }
                for (id, release) in releases::all_with_status(tx, ReleaseStatus::Deploying)? {
                    if let (Some(app), Some(code)) = (apps::by_id(tx, &id)?, &release.code) {
                        let mounts = volumes::mounts::of_app(tx, &id)?;
                        let fixed = super::control_state::fix(&app, code, mounts, start_time, now);
                        let kept = release.fixed.map(|kept| releases::Fixed {
                            deadline: fixed.deadline,
                            ..kept
                        });
                        releases::set_fixed(tx, &id, release.version, &kept.unwrap_or(fixed))?;
                    }
                }
                Ok::<_, Error>(ended)
            })
            .await?;
        if ended > 0 {
            tracing::warn!(
                ended,
                "builds and imports of the process before this one were ended as interrupted"
            );
        }
        self.reap_volumes().await?;
        self.inner.handle.wake();
        Ok(())
    }

    fn empty_build_dir(&self) -> Result<()> {
        let dir = &self.settings().build_dir;
        std::fs::create_dir_all(dir).map_err(Error::io("make the build folder"))?;
        for entry in std::fs::read_dir(dir).map_err(Error::io("read the build folder"))? {
            let path = entry.map_err(Error::io("read the build folder"))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == super::push::EXTENSION)
            {
                std::fs::remove_file(path).map_err(Error::io("remove a left-over source"))?;
            }
        }
        Ok(())
    }
}

//! Which apps are at rest, and their packing: one after the other, and never in a build's way.

use super::{AppFolder, NotPacked, Saved};
use crate::{
    Builder,
    buildpacks::{folders, turns::is_awaited},
};
use pvdify_types::AppName;
use std::{
    collections::HashMap,
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};
use tokio_util::sync::CancellationToken;

/// What was packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Apps whose layers are packed now.
    pub apps: usize,
    /// What their layers took up on the disk.
    pub before: u64,
    /// What they take up now.
    pub after: u64,
}

/// Apps whose layers are to stay as they are, each until its next build.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftAlone(Arc<Mutex<HashMap<AppName, SystemTime>>>);

impl LeftAlone {
    fn has(&self, app: &AppName, built: SystemTime) -> bool {
        let apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.get(app) == Some(&built)
    }

    fn insert(&self, app: &AppName, built: SystemTime) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.insert(app.clone(), built);
    }

    fn retain(&self, all: &[AppName]) {
        let mut apps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        apps.retain(|app, _| all.contains(app));
    }
}

impl Builder {
    /// Packs the layers of apps that were not built for `age`, and begins with none after `time`. They are unpacked by
    /// their next build. An app that is being built is passed over, and a build that comes meanwhile hardly waits.
    ///
    /// Dropping the future ends the work soon after.
    pub async fn pack_idle(&self, age: Duration, time: Duration) -> Packed {
        let (began, all) = (Instant::now(), self.remembered());
        self.left_alone.retain(&all);
        let mut packed = Packed::default();
        for app in all {
            if began.elapsed() > time {
                break;
            }
            match self.pack_if_idle(&app, age).await {
                Ok(None) => {}
                Ok(Some(Saved { before, after })) => {
                    tracing::debug!(%app, before, after, "packed the layers of an app at rest");
                    packed.apps += 1;
                    packed.before += before;
                    packed.after += after;
                }
                Err(NotPacked::NoRoom) => {
                    tracing::debug!(%app, "there is no room to pack layers");
                    break;
                }
                Err(NotPacked::BrokenOff) => {}
                Err(NotPacked::Unfit(reason)) => {
                    tracing::debug!(%app, reason, "layers stay as they are");
                }
                Err(NotPacked::Disk(error)) => {
                    tracing::warn!(%app, %error, "an app's layers could not be packed");
                }
            }
        }
        packed
    }

    async fn pack_if_idle(&self, app: &AppName, age: Duration) -> Result<Option<Saved>, NotPacked> {
        let work_dir = self.config.work_dir.clone();
        let folder = AppFolder::of(&work_dir, app);
        // Looked at before the turn is taken, and again with it.
        let is_due = |built| is_idle(built, SystemTime::now(), age) && !self.left_alone.has(app, built);
        let due = || built(folder.folder()).filter(|built| folder.layers().exists() && is_due(*built));
        if due().is_none() {
            return Ok(None);
        }
        let Some(turn) = self.turns.try_wait(app) else {
            return Ok(None);
        };
        let Some(built) = due() else { return Ok(None) };
        let reserve = self.config.limits.free_bytes / 2;
        let ended = CancellationToken::new();
        let (is_ended, own) = (ended.clone(), folder.clone());
        let _ends_with_this = ended.drop_guard();
        // The turn goes with the work, not with whoever waits for it.
        let work = tokio::task::spawn_blocking(move || {
            let go_on = || {
                if is_awaited(&turn) || is_ended.is_cancelled() {
                    return Err(NotPacked::BrokenOff);
                }
                has_room(&work_dir, reserve)
            };
            own.pack(&work_dir, &go_on)
        });
        let packed = work
            .await
            .unwrap_or_else(|error| Err(NotPacked::Disk(io::Error::other(error))));
        if matches!(packed, Err(NotPacked::Unfit(_) | NotPacked::Disk(_))) {
            self.left_alone.insert(app, built);
        }
        packed
    }
}

/// When an app's last build ended.
fn built(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder.join("known.json")).ok()?.modified().ok()
}

/// A time in the future, as after the clock was set back, counts as just now.
fn is_idle(built: SystemTime, now: SystemTime, age: Duration) -> bool {
    now.duration_since(built).is_ok_and(|rest| rest >= age)
}

/// The disk keeps for everyone else what it keeps beside a build.
fn has_room(work_dir: &Path, reserve: u64) -> Result<(), NotPacked> {
    if folders::free(work_dir)? < reserve {
        return Err(NotPacked::NoRoom);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_at_rest_once_its_last_build_is_that_old() {
        const HOUR: Duration = Duration::from_secs(3600);
        let now = SystemTime::now();
        let is_idle = |built| is_idle(built, now, HOUR);
        assert!(is_idle(now - HOUR) && is_idle(SystemTime::UNIX_EPOCH));
        assert!(!is_idle(now - HOUR + Duration::from_nanos(1)));
        assert!(!is_idle(now) && !is_idle(now + 2 * HOUR));
    }
}

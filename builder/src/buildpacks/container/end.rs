//! A container's end, in whatever way its run ends.

use crate::{
    BuildError,
    buildpacks::turns::Held,
    cgroup::Cgroup,
    podman::{Libpod, PodmanError},
    sandbox::Entered,
};
use std::time::Duration;

/// How often a container's end is tried, and how long between.
const END_TRIES: u32 = 10;
const END_PAUSE: Duration = Duration::from_millis(200);

/// Ends the container and removes it when the run ends, in whatever way.
pub(super) struct Gone(pub(super) Option<End>);

/// All that is to be removed, and what stays until it is.
pub(super) struct End {
    pub(super) podman: Libpod,
    pub(super) name: String,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) sandbox: Option<Entered>,
    pub(super) held: Held,
}

impl End {
    async fn run(self) -> Result<(), PodmanError> {
        let mut removed = Ok(());
        for _ in 0..END_TRIES {
            removed = self.podman.remove_container(&self.name).await;
            if removed.is_ok() {
                break;
            }
            // What does not end for Podman ends by this.
            self.cgroup.as_ref().map(Cgroup::kill);
            tokio::time::sleep(END_PAUSE).await;
        }
        if let Some(cgroup) = &self.cgroup {
            for _ in 0..END_TRIES {
                if !cgroup.kill() {
                    break;
                }
                tokio::time::sleep(END_PAUSE).await;
            }
            cgroup.remove();
        }
        if let (Err(_), Some(sandbox)) = (&removed, self.sandbox) {
            sandbox.close();
        }
        drop(self.held);
        removed
    }
}

impl Gone {
    /// Lets the next container into the sandbox before this one is removed: for when none of its processes is left.
    pub(super) fn leave_sandbox(&mut self) {
        if let Some(end) = &mut self.0 {
            end.sandbox = None;
        }
    }

    /// Removes it while nobody waits for that.
    pub(super) fn at_leisure(self) {
        drop(self);
    }

    /// Goes on also when nobody waits for it any more.
    pub(super) async fn now(mut self) -> Result<(), BuildError> {
        let Some(end) = self.0.take() else { return Ok(()) };
        let ended = tokio::spawn(end.run()).await;
        Ok(ended.map_err(BuildError::unavailable)??)
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        let Some(end) = self.0.take() else { return };
        tokio::spawn(async move {
            if let Err(error) = end.run().await {
                tracing::warn!(%error, "a cancelled build's container could not be removed");
            }
        });
    }
}

//! Sandboxes: the networks that builds' containers run in, one at a time, each kept open by a container that is
//! prepared and never started.
//!
//! A network of its own for each container is a third of what it costs to start one, so a sandbox stays for the next
//! build. What always holds:
//!
//! - Nobody is in a sandbox with another build: it is free again when no process of its container is left. Nothing else
//!   of a build can stay there, as none has the right to change a network.
//! - A sandbox is cut off from other networks like those of apps. One whose rules are gone is not used any more: whoever
//!   flushed the firewall took Podman's own rules for it as well.
//! - As long as there is one, Podman has a layer mounted. A command of Podman 4.3 that ends while none is (any
//!   container's clean-up is one) unmounts the storage's own folder, also under another command that is about to mount a
//!   layer there: that layer can't be removed any more, and Podman fails from then on. So a server has one from its start.
//! - The sandboxes of a server that was killed go when the next one [sweeps](crate::sweep), and so does what a failed
//!   attempt to make one left.

mod make;

use crate::{BuildError, Config, podman::Libpod};
use make::Making;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// As many wait for builds; those of a rush that are more go.
const MOST_FREE: usize = 4;

/// What its containers and networks bear as `pvdify.kind`.
pub(crate) const KIND: &str = "sandbox";

/// A network and the container that keeps it open.
#[derive(Debug)]
struct Sandbox {
    /// Of both.
    name: String,
    /// The network namespace's file.
    namespace: PathBuf,
    /// Whether there were rules for it once it was made; not every host takes them.
    has_rules: bool,
}

impl Sandbox {
    /// Whether it still is what it was.
    async fn is_whole(&self, podman: &Libpod) -> bool {
        let has_rules = podman.is_isolated(&self.name).await.unwrap_or_default();
        self.namespace.exists() && has_rules == self.has_rules
    }
}

/// The sandboxes of a builder. Clones share all.
#[derive(Clone)]
pub(crate) struct Sandboxes {
    podman: Libpod,
    config: Arc<Config>,
    free: Arc<Mutex<Vec<Sandbox>>>,
}

impl Sandboxes {
    /// None is made yet.
    pub(crate) fn new(podman: Libpod, config: Arc<Config>) -> Self {
        let free = Arc::default();
        Self { podman, config, free }
    }

    /// A sandbox for a container: a free one, or a new one.
    pub(crate) async fn enter(&self) -> Result<Entered, BuildError> {
        while let Some(sandbox) = self.next() {
            if sandbox.is_whole(&self.podman).await {
                return Ok(self.entered(sandbox));
            }
            self.remove(sandbox);
        }
        let own = self.clone();
        // To its end, also when nobody waits for it any more: then it is free.
        let made = tokio::spawn(async move {
            let made = Making::new(&own.podman, &own.config).run().await;
            made.map(|sandbox| own.entered(sandbox))
        });
        made.await.map_err(BuildError::unavailable)?.map_err(Into::into)
    }

    fn entered(&self, sandbox: Sandbox) -> Entered {
        Entered {
            sandbox: Some(sandbox),
            of: self.clone(),
        }
    }

    fn next(&self) -> Option<Sandbox> {
        self.list().pop()
    }

    fn give_back(&self, sandbox: Sandbox) {
        let mut free = self.list();
        if free.len() < MOST_FREE {
            free.push(sandbox);
        } else {
            drop(free);
            self.remove(sandbox);
        }
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Sandbox>> {
        // What is behind it is whole after every line.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, sandbox: Sandbox) {
        // Without a runtime the server is ending: the next one removes it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let podman = self.podman.clone();
        runtime.spawn(async move {
            if let Err(error) = make::remove(&podman, &sandbox.name).await {
                tracing::warn!(%error, sandbox = sandbox.name, "a network that builds ran in could not be removed");
            }
        });
    }
}

/// A sandbox that one container may run in; free for the next one when it is dropped, so only once all its processes
/// are gone.
pub(crate) struct Entered {
    /// Some, until it is dropped.
    sandbox: Option<Sandbox>,
    of: Sandboxes,
}

impl Entered {
    /// The network namespace's file, which a container joins.
    pub(crate) fn namespace(&self) -> String {
        let sandbox = self.sandbox.as_ref();
        sandbox.map_or_else(String::new, |sandbox| sandbox.namespace.display().to_string())
    }

    /// Nobody is to enter it any more: what its container left may still run.
    pub(crate) fn close(mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.of.remove(sandbox);
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.of.give_back(sandbox);
        }
    }
}

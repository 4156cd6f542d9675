//! Containers, from their making to their removal.
//!
//! The whole output of a container is had live by [`Libpod::attach`] before [`Libpod::start_container`], and
//! its exit status by [`Libpod::wait_container`]. A reader that is slow then slows the container, and loses
//! nothing; whoever drops the stream leaves it running.

mod attached;
mod exec;
mod files;
mod inspect;
mod limits;
mod lines;
mod output;
mod spec;

pub use attached::{Attached, AttachedInput, AttachedOutput};
pub use exec::{ExecOutput, ExecSpec, ExecState};
pub use inspect::{Container, ContainerState, HostPort, ListedContainer, Process};
pub use limits::{CpuLimit, MemoryLimit, PidsLimit, ResourceLimits, Rlimit};
pub use lines::{OutputLine, output_lines};
pub use spec::{ContainerSpec, LogConfiguration, Mount, Namespace, NetworkAttachment, PortMapping};

use super::{Filters, Libpod, PodmanError, Query, error::found, percent_encode, transport::parse};
use rustix::process::Signal;
use serde::Deserialize;
use std::time::Duration;

/// On top of a grace: Podman's own work.
const SLACK: Duration = Duration::from_secs(30);

/// A call on one container.
fn path(container: &str, call: &str) -> String {
    format!("/libpod/containers/{}{call}", percent_encode(container))
}

impl Libpod {
    /// Makes a container and gives its id; it does not run yet. One of this name that is there already is
    /// refused.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn create_container(&self, spec: &ContainerSpec) -> Result<String, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Created {
            id: String,
        }
        let created = self.post("/libpod/containers/create", spec).await?;
        Ok(parse::<Created>(&created)?.id)
    }

    /// Makes all that it needs to run, its namespaces and mounts among them, and does not start it.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn prepare_container(&self, container: &str) -> Result<(), PodmanError> {
        self.post_empty(&path(container, "/init")).await.map(|_| ())
    }

    /// Starts it; that it runs already is no error.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn start_container(&self, container: &str) -> Result<(), PodmanError> {
        self.post_empty(&path(container, "/start")).await.map(|_| ())
    }

    /// Its stop signal to its first process, SIGKILL after `grace`, and waits for its end. `false`: there is none.
    ///
    /// # Errors
    /// As [`Libpod::get`]; the time limit is the grace and half a minute.
    pub async fn stop_container(&self, container: &str, grace: Duration) -> Result<bool, PodmanError> {
        let query = Query::default().with("timeout", grace.as_secs());
        let path = query.on(&path(container, "/stop"));
        let stopped = self.within(grace + SLACK).post_empty(&path).await;
        Ok(found(stopped)?.is_some())
    }

    /// A signal to its first process. `false`: there is none, or it does not run.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn kill_container(&self, container: &str, signal: Signal) -> Result<bool, PodmanError> {
        let query = Query::default().with("signal", signal.as_raw());
        match self.post_empty(&query.on(&path(container, "/kill"))).await {
            Err(error) if error.is_conflict() => Ok(false),
            answer => Ok(found(answer)?.is_some()),
        }
    }

    /// Waits until it ended, also when it has not been started yet, and gives its exit status. There is no
    /// time limit.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn wait_container(&self, container: &str) -> Result<i64, PodmanError> {
        let query = Query::default()
            .with("condition", "stopped")
            .with("condition", "exited");
        parse(&self.post_unlimited(&query.on(&path(container, "/wait"))).await?)
    }

    /// Kills it and removes it with its own volumes and all that it wrote; one that is gone is no error.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn remove_container(&self, container: &str) -> Result<(), PodmanError> {
        let query = Query::default()
            .with("force", true)
            .with("timeout", 0)
            .with("v", true);
        self.delete(&query.on(&path(container, ""))).await
    }

    /// All containers that pass the filters, running or not.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn containers(&self, filters: &Filters) -> Result<Vec<ListedContainer>, PodmanError> {
        let query = Query::default().with("all", true).with("filters", filters);
        self.get(&query.on("/libpod/containers/json")).await
    }

    /// One of them; `None` when there is none.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn inspect_container(&self, container: &str) -> Result<Option<Container>, PodmanError> {
        found(self.get(&path(container, "/json")).await)
    }

    /// The processes inside a running container.
    ///
    /// # Errors
    /// As [`Libpod::get`]; Podman refuses where it does not run.
    pub async fn processes(&self, container: &str) -> Result<Vec<Process>, PodmanError> {
        let query = Query::default()
            .with("stream", false)
            .with("ps_args", Process::COLUMNS);
        let top = self.get(&query.on(&path(container, "/top"))).await?;
        Ok(Process::read(top))
    }
}

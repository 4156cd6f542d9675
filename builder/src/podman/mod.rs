//! The only client of Podman's API: HTTP over its Unix socket, for builds and for running containers alike.
//!
//! One connection a call: Podman is local, a kept connection would have to be watched for its restart, and
//! dropping a streamed answer closes it, which is how Podman learns that nobody listens any more. So every
//! future and stream here may be dropped at any point. It speaks `libpod`, Podman's own half of the API: the
//! Docker-compatible half can neither choose the OCI runtime, nor tell a container's monitor, nor pull over
//! plain HTTP.
//!
//! What always holds: a call whose answer is read whole has a time limit ([`Libpod::within`]); what waits for
//! others by its nature (a build, a container's end, output, events) has none, and its caller sets one. What
//! is gone already is no failure of stopping or removing it.

mod body;
mod containers;
mod error;
mod events;
mod frames;
mod images;
mod info;
mod isolation;
mod lines;
mod networks;
mod query;
mod transfer;
mod transport;

pub use body::{Body, empty_body, full_body, stream_body};
pub use containers::{
    Attached, AttachedInput, AttachedOutput, Container, ContainerSpec, ContainerState, CpuLimit, ExecOutput,
    ExecSpec, ExecState, HostPort, ListedContainer, LogConfiguration, MemoryLimit, Mount, Namespace,
    NetworkAttachment, OutputLine, PidsLimit, PortMapping, Process, ResourceLimits, Rlimit, output_lines,
};
pub use error::PodmanError;
pub use events::{Event, EventActor};
pub use frames::{Frame, OutputStream};
pub use images::{ImageConfig, ImageDetails, ImageLayers, LocalImage};
pub use info::{Info, InfoHost, InfoRuntime, InfoSecurity, InfoStore, InfoVersion};
pub use isolation::forget_bridge;
pub use lines::{json_lines, lines};
pub use networks::{Network, NetworkSpec};
pub use query::{Filters, Query, percent_encode};
pub use transfer::RegistryAuth;

use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

/// Of calls that wait for nothing outside Podman.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// A client of one Podman service.
#[derive(Clone, Debug)]
pub struct Libpod {
    socket: Arc<Path>,
    limit: Duration,
}

impl Libpod {
    /// A client of the service that listens on `socket`; nothing is connected yet.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket: socket.into(),
            limit: CALL_LIMIT,
        }
    }

    /// The same client, whose calls may take this long instead of a minute.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }
}

//! What Podman says of itself and of its host, as far as it is used.

use super::{Libpod, PodmanError};
use serde::Deserialize;
use std::path::PathBuf;

/// Podman's own description.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    /// The host, as Podman uses it.
    pub host: InfoHost,
    /// Where Podman keeps images and containers.
    pub store: InfoStore,
    /// Podman itself.
    pub version: InfoVersion,
}

/// The host, as Podman uses it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfoHost {
    /// `v1` or `v2`.
    pub cgroup_version: String,
    /// `netavark` or `cni`; Podman before 4.0 does not say.
    pub network_backend: Option<String>,
    /// What starts containers.
    pub oci_runtime: InfoRuntime,
    /// What confines them.
    pub security: InfoSecurity,
}

/// What starts containers.
#[derive(Clone, Debug, Deserialize)]
pub struct InfoRuntime {
    /// `crun`, `runc`, ...
    pub name: String,
}

/// What confines containers.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfoSecurity {
    /// Whether Podman runs without root.
    pub rootless: bool,
    /// Whether system calls are filtered.
    #[serde(default)]
    pub seccomp_enabled: bool,
}

/// Podman's storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfoStore {
    /// The folder.
    pub graph_root: PathBuf,
    /// `overlay`, `vfs`, ...
    pub graph_driver_name: String,
}

/// Podman itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InfoVersion {
    /// As in `4.3.1`.
    pub version: String,
}

impl Libpod {
    /// Podman's own description.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn info(&self) -> Result<Info, PodmanError> {
        self.get("/libpod/info").await
    }

    /// Whether anything answers at all.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn ping(&self) -> Result<(), PodmanError> {
        self.call(http::Method::GET, "/libpod/_ping", None::<&()>)
            .await
            .map(|_| ())
    }
}

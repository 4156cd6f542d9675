//! What makes a container: the part of libpod's create body that is used.
//!
//! Environment values travel in this body alone, never in an argument list, and `Debug` does not show them.

use super::{ResourceLimits, Rlimit};
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// What makes a container. What is left out is Podman's default, or the image's own.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct ContainerSpec {
    /// Its name; empty: Podman gives one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// An image in Podman's storage, by id or name.
    pub image: String,
    /// What it is found again by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its environment, on top of the image's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// `user`, `uid` or `uid:gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where its process starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work_dir: Option<String>,
    /// In place of the image's entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Whether its standard input can be attached to; without, it is empty.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin: bool,
    /// Whether its standard streams are a terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub terminal: bool,
    /// Its host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// What of the host, or of memory, it sees in its own tree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Whether it can write to its mounts alone.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_filesystem: bool,
    /// Capabilities that it loses; `ALL` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Capabilities that it has all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Whether set-user-id programs give it nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// Whether an init process reaps zombies and passes signals on.
    #[serde(skip_serializing_if = "is_false")]
    pub init: bool,
    /// Its System V and POSIX IPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipcns: Option<Namespace>,
    /// Its network stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<Namespace>,
    /// Its user ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns: Option<Namespace>,
    /// The networks that it is on, by name; needs [`Namespace::bridge`].
    #[serde(rename = "Networks", skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkAttachment>,
    /// The ports that the host publishes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub portmappings: Vec<PortMapping>,
    /// Limits per process and user. Give `nofile` and `nproc` both, always: with one given, Podman takes its
    /// own default for the other, which the host may refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub r_limits: Vec<Rlimit>,
    /// What becomes of the volumes that the image declares: `ignore`; Podman makes some, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_volume_mode: Option<String>,
    /// Limits of the whole container.
    #[serde(skip_serializing_if = "ResourceLimits::is_none")]
    pub resource_limits: ResourceLimits,
    /// The control group in which its own is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_parent: Option<String>,
    /// `always`, `on-failure`; never, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<String>,
    /// Seconds between the stop signal and SIGKILL, where the stop does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// Seconds after which its monitor kills it, whatever becomes of its maker. Its exit status is then -1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// Where its output is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_configuration: Option<LogConfiguration>,
    /// What starts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci_runtime: Option<String>,
}

impl fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContainerSpec({} of {})", self.name, self.image)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Something mounted into the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// Where, inside.
    pub destination: String,
    /// `bind`, `tmpfs`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What.
    pub source: String,
    /// As mount(8) takes them.
    pub options: Vec<String>,
}

impl Mount {
    /// A file or folder of the host.
    #[must_use]
    pub fn bind(source: impl Into<String>, destination: impl Into<String>, read_only: bool) -> Self {
        let access = if read_only { "ro" } else { "rw" };
        Self {
            destination: destination.into(),
            kind: "bind".to_owned(),
            source: source.into(),
            options: ["rbind", "nosuid", "nodev", access].map(str::to_owned).to_vec(),
        }
    }

    /// Memory of its own, at most this much.
    #[must_use]
    pub fn tmpfs(destination: impl Into<String>, bytes: u64) -> Self {
        let size = format!("size={bytes}");
        Self {
            destination: destination.into(),
            kind: "tmpfs".to_owned(),
            source: "tmpfs".to_owned(),
            options: ["nosuid", "nodev", &size].map(str::to_owned).to_vec(),
        }
    }
}

/// Where one of a container's namespaces comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// As in `private`.
    pub nsmode: String,
    /// Its file, where it is one that is there already.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

impl Namespace {
    /// One of its own.
    #[must_use]
    pub fn private() -> Self {
        Self::named("private")
    }

    /// Of the network: its own, on the networks given.
    #[must_use]
    pub fn bridge() -> Self {
        Self::named("bridge")
    }

    /// Of the network: loopback alone.
    #[must_use]
    pub fn none() -> Self {
        Self::named("none")
    }

    /// One that is there already, by its file.
    #[must_use]
    pub fn path(file: impl Into<String>) -> Self {
        Self {
            value: file.into(),
            ..Self::named("path")
        }
    }

    fn named(mode: &str) -> Self {
        Self {
            nsmode: mode.to_owned(),
            value: String::new(),
        }
    }
}

/// How a container is on a network: as Podman likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NetworkAttachment {
    /// Names by which the network's other containers find it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// A published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortMapping {
    /// The port inside.
    pub container_port: u16,
    /// The host's; left out, Podman picks a free one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_port: Option<u16>,
    /// The host's address.
    pub host_ip: String,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// Where a container's output is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogConfiguration {
    /// `k8s-file`, `none`, ...
    pub driver: String,
    /// Bytes, after which what was written before goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_not_sent() {
        let spec = ContainerSpec {
            image: "i".into(),
            ..ContainerSpec::default()
        };
        assert_eq!(serde_json::to_string(&spec).unwrap(), r#"{"image":"i"}"#);
    }

    #[test]
    fn values_of_the_environment_are_not_shown() {
        let spec = ContainerSpec {
            env: [("KEY".to_owned(), "secret".to_owned())].into(),
            ..ContainerSpec::default()
        };
        assert!(!format!("{spec:?}").contains("secret"));
    }
}

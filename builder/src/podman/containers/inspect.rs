//! What Podman tells of containers: rows of the list, one of them whole, the processes inside.

use crate::podman::images::or_default;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One row of the list: equal to an earlier one when nothing happened to the container since.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedContainer {
    /// Its id.
    pub id: String,
    /// Its labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Its first process, as the host numbers it; 0: none.
    pub pid: i64,
    /// As in `running`.
    pub state: String,
    /// In seconds since 1970.
    pub started_at: i64,
    /// Of its last end.
    pub exit_code: i64,
}

/// A container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// How it is.
    pub state: ContainerState,
    /// How often Podman restarted it.
    pub restarts: u32,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The file that holds its output; empty when its log driver has none.
    pub log_path: String,
    /// Where its published ports are.
    pub ports: Vec<HostPort>,
    /// The file of its own network namespace; empty when it has none.
    pub network_namespace: String,
}

/// How a container is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerState {
    /// As in `running`.
    pub status: String,
    /// Its first process, as the host numbers it; 0: none.
    #[serde(default)]
    pub pid: u32,
    /// Podman's monitor of it; 0: none.
    #[serde(default)]
    pub conmon_pid: u32,
    /// Of its last end.
    #[serde(default)]
    pub exit_code: i64,
    /// When it was last started, in RFC 3339; the year 1: never.
    pub started_at: String,
    /// When it last ended, in the same way.
    pub finished_at: String,
}

/// Where a published port is on the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostPort {
    /// The address; empty for any.
    #[serde(default)]
    pub host_ip: String,
    /// The port.
    pub host_port: String,
}

/// The answer as Podman nests it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    state: ContainerState,
    restart_count: Option<u32>,
    config: Config,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default, deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    log_config: LogConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    ports: BTreeMap<String, Option<Vec<HostPort>>>,
    #[serde(default)]
    sandbox_key: String,
}

impl From<Inspected> for Container {
    fn from(inspected: Inspected) -> Self {
        Self {
            id: inspected.id,
            state: inspected.state,
            restarts: inspected.restart_count.unwrap_or(0),
            labels: inspected.config.labels,
            log_path: inspected.host_config.log_config.path,
            network_namespace: inspected.network_settings.sandbox_key,
            ports: inspected
                .network_settings
                .ports
                .into_values()
                .flatten()
                .flatten()
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Container {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Inspected::deserialize(from).map(Self::from)
    }
}

/// A process inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// As the host numbers it.
    pub host_pid: i32,
    /// As the container numbers it.
    pub pid: i32,
    /// Its parent, as the container numbers it.
    pub parent: i32,
    /// Its command line.
    pub command: String,
}

/// What `top` answers: rows of the columns asked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Top {
    processes: Vec<Vec<String>>,
}

impl Process {
    pub(super) const COLUMNS: &str = "hpid,pid,ppid,args";

    pub(super) fn read(top: Top) -> Vec<Self> {
        let rows = top.processes.into_iter();
        rows.filter_map(|row| match row.as_slice() {
            [host_pid, pid, parent, command, ..] => Some(Self {
                host_pid: host_pid.parse().ok()?,
                pid: pid.parse().ok()?,
                parent: parent.parse().ok()?,
                command: command.clone(),
            }),
            _ => None,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_from_podmans_nesting() {
        let answer = r#"{"Id":"a","RestartCount":2,"Name":"x",
            "State":{"Status":"running","Pid":7,"ConmonPid":6,"StartedAt":"t","FinishedAt":"0001-01-01T00:00:00Z"},
            "Config":{"Labels":null},"HostConfig":{"LogConfig":{"Path":"/log"}},
            "NetworkSettings":{"Ports":{"80/tcp":null,"8080/tcp":[{"HostIp":"","HostPort":"3000"}]}}}"#;
        let container: Container = serde_json::from_str(answer).unwrap();
        assert_eq!((container.restarts, container.state.conmon_pid), (2, 6));
        assert_eq!((container.labels.len(), &*container.log_path), (0, "/log"));
        assert_eq!(container.ports[0].host_port, "3000");
    }
}

//! Reads libpod's list and inspect answers into [`EngineInstance`].

use super::{Libpod, percent_encode};
use crate::engine::{EngineInstance, EngineState, INSTALLATION, InstanceKey, Result};
use pvdify_types::InstanceId;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::SystemTime,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// One row of the list: enough to see whether anything changed since the last inspect.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: InstanceId,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    pid: i64,
    state: String,
    started_at: i64,
    exit_code: i64,
}

impl Listed {
    pub(super) fn installation(&self) -> Option<&str> {
        self.labels.as_ref()?.get(INSTALLATION).map(String::as_str)
    }
}

/// The fields of an inspect answer that are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    id: InstanceId,
    state: State,
    restart_count: Option<u32>,
    config: Config,
    host_config: HostConfig,
    network_settings: NetworkSettings,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    conmon_pid: u32,
    #[serde(default)]
    exit_code: i64,
    started_at: String,
    finished_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    log_config: LogConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LogConfig {
    #[serde(default)]
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    host_port: String,
}

impl Container {
    pub(super) fn installation(&self) -> Option<&str> {
        self.config.labels.as_ref()?.get(INSTALLATION).map(String::as_str)
    }

    /// `None` when its labels do not make it an app's.
    pub(super) fn into_instance(self) -> Option<EngineInstance> {
        let key = InstanceKey::from_labels(&self.config.labels?)?;
        let state = match self.state.status.as_str() {
            "running" | "paused" => EngineState::Running,
            "created" | "configured" | "initialized" => EngineState::Created,
            "exited" | "stopped" => EngineState::Exited(self.state.exit_code),
            _ => EngineState::Changing,
        };
        let path = self.host_config.log_config.path;
        let mut instance = EngineInstance {
            id: self.id,
            key,
            state,
            pid: Some(self.state.pid).filter(|pid| *pid > 0),
            conmon_pid: Some(self.state.conmon_pid).filter(|pid| *pid > 0),
            lost: false,
            restarts: self.restart_count.unwrap_or(0),
            started_at: instant(&self.state.started_at),
            finished_at: instant(&self.state.finished_at),
            endpoint: self.network_settings.ports.and_then(endpoint),
            log_path: Some(PathBuf::from(path)).filter(|path| path.is_absolute()),
        };
        instance.lost = is_lost(&instance);
        Some(instance)
    }
}

fn endpoint(ports: BTreeMap<String, Option<Vec<Binding>>>) -> Option<SocketAddr> {
    let binding = ports.into_values().flatten().flatten().next()?;
    let address: IpAddr = binding.host_ip.parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
    Some(SocketAddr::new(address, binding.host_port.parse().ok()?))
}

/// Podman's zero time is the year 1.
fn instant(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (time.year() > 1970).then(|| time.into())
}

/// Whether a container that is said to run, or to be on its way, has lost its monitor. Podman itself never finds out: it goes on
/// saying "Up", and neither `stop` nor the restart policy works any more.
pub(super) fn is_lost(instance: &EngineInstance) -> bool {
    if !matches!(instance.state, EngineState::Running | EngineState::Changing) {
        return false;
    }
    match instance.conmon_pid {
        // The name guards against a process id that was given again.
        Some(pid) => {
            !fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "conmon")
        }
        None => true,
    }
}

/// The status of a container that ended; `None` when it is gone or runs.
pub(super) async fn exit_status(libpod: &Libpod, instance: &InstanceId) -> Result<Option<i64>> {
    let reply = libpod.get(&format!("/containers/{instance}/json")).await?;
    let Some(reply) = reply.found("inspect container")? else {
        return Ok(None);
    };
    let container: Container = reply.json("inspect container")?;
    let ended = matches!(container.state.status.as_str(), "exited" | "stopped");
    Ok(ended.then_some(container.state.exit_code))
}

/// A restart wipes the exit status from the container itself; Podman's event log keeps it.
pub(super) async fn last_exit(libpod: &Libpod, instance: &InstanceId) -> Result<Option<i64>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "Actor")]
        actor: Actor,
    }
    #[derive(Deserialize)]
    struct Actor {
        #[serde(rename = "Attributes")]
        attributes: BTreeMap<String, String>,
    }
    let filters = percent_encode(&format!(r#"{{"container":["{instance}"],"event":["died"]}}"#));
    let path = format!("/events?stream=false&since=0&filters={filters}");
    let reply = libpod.get(&path).await?.done("read events")?;
    let last = reply
        .body
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Event>(line).ok())
        .filter_map(|event| event.actor.attributes.get("containerExitCode")?.parse().ok())
        .next_back();
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_never_was_is_none() {
        assert_eq!(instant("0001-01-01T00:00:00Z"), None);
        assert!(instant("2026-11-23T12:47:34.239173709+01:00").is_some());
    }

    #[test]
    fn a_published_port_without_address_is_on_loopback() {
        let ports =
            serde_json::from_str(r#"{"80/tcp":null,"8080/tcp":[{"HostIp":"","HostPort":"3000"}]}"#).unwrap();
        assert_eq!(endpoint(ports), Some("127.0.0.1:3000".parse().unwrap()));
    }
}

//! Reads what Podman tells of containers into [`EngineInstance`].

use super::{during, process};
use crate::engine::{EngineInstance, EngineSession, EngineState, InstanceKey, Result, labels};
use pvdify_builder::podman::{Container, ContainerState, Filters, HostPort, Libpod};
use pvdify_types::InstanceId;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::SystemTime,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `None` when its labels do not make it an instance of an app.
pub(super) fn instance(container: Container) -> Option<EngineInstance> {
    let key = InstanceKey::from_labels(&container.labels)?;
    let ContainerState {
        status,
        pid,
        conmon_pid,
        exit_code,
        started_at,
        finished_at,
    } = container.state;
    let state = match status.as_str() {
        "running" | "paused" => EngineState::Running,
        "created" | "configured" | "initialized" => EngineState::Created,
        "exited" | "stopped" => EngineState::Exited(exit_code),
        _ => EngineState::Changing,
    };
    let mut instance = EngineInstance {
        id: container.id.parse().ok()?,
        key,
        state,
        pid: Some(pid).filter(|pid| *pid > 0),
        conmon_pid: Some(conmon_pid).filter(|pid| *pid > 0),
        lost: false,
        restarts: container.restarts,
        started_at: instant(&started_at),
        finished_at: instant(&finished_at),
        endpoint: container.ports.first().and_then(endpoint),
        log_path: Some(PathBuf::from(container.log_path)).filter(|path| path.is_absolute()),
    };
    instance.lost = is_lost(&instance);
    Some(instance)
}

/// `None` when its labels do not make it a session.
pub(super) fn session(container: Container) -> Option<EngineSession> {
    let holder = labels::holder(&container.labels)?;
    Some(EngineSession {
        instance: instance(container)?,
        holder,
    })
}

fn endpoint(port: &HostPort) -> Option<SocketAddr> {
    let address: IpAddr = port.host_ip.parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
    Some(SocketAddr::new(address, port.host_port.parse().ok()?))
}

/// Podman's zero time is the year 1.
fn instant(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    (time.year() > 1970).then(|| time.into())
}

/// Whether a container that is said to run, or to be on its way, has lost its monitor. Podman itself never
/// finds out: it goes on saying "Up", and neither `stop` nor the restart policy works any more.
pub(super) fn is_lost(instance: &EngineInstance) -> bool {
    if !matches!(instance.state, EngineState::Running | EngineState::Changing) {
        return false;
    }
    !instance.conmon_pid.is_some_and(process::is_conmon)
}

/// The status of a container that ended; `None` when it is gone or runs.
pub(super) async fn exit_status(libpod: &Libpod, instance: &InstanceId) -> Result<Option<i64>> {
    let container = libpod.inspect_container(instance.as_str()).await;
    let container = container.map_err(during("inspect container"))?;
    Ok(container
        .map(|container| container.state)
        .filter(|state| matches!(state.status.as_str(), "exited" | "stopped"))
        .map(|state| state.exit_code))
}

/// A restart wipes the exit status from the container itself; Podman's event log keeps it.
pub(super) async fn last_exit(libpod: &Libpod, instance: &InstanceId) -> Result<Option<i64>> {
    let filters = Filters::default()
        .with("container", instance.as_str())
        .with("event", "died");
    let events = libpod.past_events(&filters).await;
    let events = events.map_err(during("read events"))?;
    let last = events
        .iter()
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
        let port = HostPort {
            host_ip: String::new(),
            host_port: "3000".into(),
        };
        assert_eq!(endpoint(&port), Some("127.0.0.1:3000".parse().unwrap()));
    }
}

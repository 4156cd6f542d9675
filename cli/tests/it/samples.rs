//! Values of the API as a server would give them, at fixed times.

use crate::server::{Answer, Event, event, json};
use pvdify_api::{
    apps::{App, Healthcheck},
    domains::Domain,
    keys::SshKey,
    logs::LogLine,
    ps::{Instance, Process},
    releases::{Release, ReleaseEvent},
};
use pvdify_types::{
    AppStatus, DomainStatus, Environment, ReleaseCause, ReleaseStatus, ReleaseVersion, Resources,
};
use time::{Duration, OffsetDateTime, macros::datetime};

pub(crate) const TIME: OffsetDateTime = datetime!(2026-01-01 00:00:00 UTC);
pub(crate) const IMAGE: &str =
    "registry.example.com/demo@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

pub(crate) fn app(name: &str) -> App {
    App {
        name: name.parse().unwrap(),
        environment: Environment::Production,
        status: AppStatus::Running,
        image: Some(IMAGE.into()),
        release: Some(3),
        bind_port: None,
        resources: Resources::default(),
        healthcheck: Healthcheck::default(),
        web_url: format!("http://{name}.localhost:8080"),
        git_url: format!("ssh://git@127.0.0.1:2222/{name}.git"),
        created_at: TIME,
        updated_at: TIME + Duration::HOUR,
    }
}

pub(crate) fn release(version: u64, status: ReleaseStatus) -> Release {
    Release {
        version: ReleaseVersion(version),
        image: IMAGE.into(),
        status,
        cause: ReleaseCause::Deploy,
        description: format!("Deploy 1a2b3c4{version}"),
        commit: None,
        processes: [("web".to_owned(), "node app.js".to_owned())].into(),
        config_version: version,
        user: "ada".into(),
        failure: (status == ReleaseStatus::Failed)
            .then(|| "web did not listen on its port within 60 s".into()),
        created_at: TIME + Duration::minutes(i64::try_from(version).unwrap()),
    }
}

/// An event stream of lines that ends as the release does.
pub(crate) fn events<const N: usize>(lines: [&str; N], end: ReleaseStatus) -> Answer {
    let mut events: Vec<Event> = lines.iter().map(|text| line(text)).collect();
    events.push(done(end));
    Answer::Events(events)
}

pub(crate) fn line(text: &str) -> Event {
    event(&ReleaseEvent::Line { text: text.into() })
}

pub(crate) fn done(status: ReleaseStatus) -> Event {
    let failure = release(3, status).failure;
    event(&ReleaseEvent::Done { status, failure })
}

/// What a server answers to a new release: pending, at once.
pub(crate) fn created(version: u64) -> Answer {
    json(201, &release(version, ReleaseStatus::Pending))
}

pub(crate) fn domain(name: &str, status: DomainStatus) -> Domain {
    Domain {
        domain: name.parse().unwrap(),
        status,
        certificate: (status == DomainStatus::Active).then(|| "valid".into()),
        created_at: TIME,
    }
}

pub(crate) fn processes() -> Vec<Process> {
    let instance = |name: &str, state: &str, restarts| Instance {
        name: name.into(),
        state: state.into(),
        release: 3,
        restarts,
        started_at: (state == "up").then_some(TIME),
        command: None,
    };
    vec![
        Process {
            process_type: "web".parse().unwrap(),
            count: 2,
            command: "node app.js".into(),
            status: "running".into(),
            instances: vec![instance("web.1", "up", 0), instance("web.2", "crashed", 4)],
        },
        Process {
            process_type: "worker".parse().unwrap(),
            count: 0,
            command: String::new(),
            status: "stopped".into(),
            instances: vec![],
        },
    ]
}

pub(crate) fn log_line(second: i64, source: &str, process: &str, message: &str) -> LogLine {
    LogLine {
        time: TIME + Duration::seconds(second),
        source: source.into(),
        process: process.into(),
        message: message.into(),
    }
}

pub(crate) const FINGERPRINT: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

pub(crate) fn key(name: &str) -> SshKey {
    SshKey {
        fingerprint: FINGERPRINT.into(),
        name: name.into(),
        public_key: "ssh-ed25519 AAAAC3Nz".into(),
        created_at: TIME,
    }
}

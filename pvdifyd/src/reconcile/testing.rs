//! Small values for the tests of the pure parts: one app `demo` with the id `a1`.

use super::{
    desired::{About, DesiredApp, Readiness, ReleaseSpec},
    observe::{Instance, Observed},
    spec,
};
use crate::engine::{EngineInstance, EngineState, InstanceKey};
use pvdify_types::{ConfigVars, Formation, ReleaseVersion, Resources};
use std::time::{Duration, SystemTime};

/// So many seconds after the start of the test's own time.
pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

/// `web=1 worker=2`.
pub(super) fn formation(text: &str) -> Formation {
    text.split_whitespace()
        .map(|part| {
            let (process, count) = part.split_once('=').unwrap();
            (process.parse().unwrap(), count.parse().unwrap())
        })
        .collect()
}

/// An app that never had a release.
pub(super) fn app(scaled: &str) -> DesiredApp {
    DesiredApp {
        id: "a1".parse().unwrap(),
        name: "demo".parse().unwrap(),
        deleting: false,
        formation: formation(scaled),
        current: None,
        candidate: None,
        orders: Vec::new(),
        held: false,
        hosts: vec!["demo.localhost".into()],
        one_offs: Vec::new(),
    }
}

/// A release with a `web` and a `worker`.
pub(super) fn release(version: u64, _app: &DesiredApp) -> ReleaseSpec {
    ReleaseSpec {
        version: ReleaseVersion(version),
        image: format!("127.0.0.1:5000/demo@sha256:{}", "a".repeat(64))
            .parse()
            .unwrap(),
        processes: ["web", "worker"]
            .map(|process| (process.parse().unwrap(), format!("run-{process}")))
            .into(),
        launcher: false,
        config: ConfigVars::new(),
        port: 8080,
        readiness: Readiness::Tcp,
        start_timeout: Duration::from_secs(60),
        resources: Resources::default(),
        commit: None,
        about: About::default(),
        mounts: Vec::new(),
    }
}

/// The key that an instance of [`release`] has.
pub(super) fn key(process: &str, ordinal: u32, version: u64) -> InstanceKey {
    let app = app("");
    let all = formation("web=9 worker=9");
    spec::wanted(&app, &release(version, &app), &all)
        .into_iter()
        .find(|key| key.process.as_str() == process && key.ordinal == ordinal)
        .unwrap()
}

/// A ready instance, started at 0.
pub(super) fn instance(id: &str, key: InstanceKey) -> Instance {
    let publishes = key.process.is_web();
    Instance {
        engine: EngineInstance {
            id: id.parse().unwrap(),
            key,
            state: EngineState::Running,
            pid: Some(1),
            conmon_pid: Some(2),
            lost: false,
            restarts: 0,
            started_at: Some(at(0)),
            finished_at: None,
            endpoint: publishes.then(|| "127.0.0.1:3000".parse().unwrap()),
            log_path: None,
        },
        ready: true,
        last_exit: None,
    }
}

/// A look that saw these and no networks.
pub(super) fn observed(instances: Vec<Instance>) -> Observed {
    Observed {
        instances,
        one_offs: Vec::new(),
        networks: Some(Vec::new()),
    }
}

//! The engine on a real Podman: one container at a time.

use crate::{
    harness::until,
    sandbox::{Sandbox, service_options, service_pids},
};
use futures_util::StreamExt;
use pvdify_types::{AppId, Binding, ConfigValue, ProcessType, ReleaseVersion, Resources};
use pvdifyd::engine::{
    Command, EngineState, InstanceEngine, InstanceKey, InstanceKind, InstanceSpec, podman::PodmanEngine,
    probe, service::PodmanService,
};
use std::{sync::Arc, time::Duration};

const GRACE: Duration = Duration::from_secs(10);

pub(crate) fn spec(sandbox: &Sandbox, process: &str, command: &str) -> InstanceSpec {
    let process: ProcessType = process.parse().unwrap();
    InstanceSpec {
        publish: process.is_web().then_some(8080),
        command: Command::Process(process.clone(), command.into()),
        launcher: false,
        key: InstanceKey {
            kind: InstanceKind::Process,
            app: "a1".parse().unwrap(),
            app_name: "demo".parse().unwrap(),
            process,
            ordinal: 1,
            release: ReleaseVersion(3),
            restart_generation: 0,
            spec_hash: "cafe".into(),
            exclusive: false,
        },
        image: sandbox.image.clone(),
        config: [(
            "GREETING".parse().unwrap(),
            ConfigValue::new("s3cret word".into()).unwrap(),
        )]
        .into(),
        own_env: [("PORT", "8080".to_owned()), ("DYNO", "web.1".to_owned())].into(),
        resources: Resources {
            memory_bytes: 32 * 1024 * 1024,
            pids: 50,
            cpu_millis: Some(500),
        },
        bindings: Vec::new(),
        mounts: Vec::new(),
    }
}

async fn inside(engine: &PodmanEngine, id: &pvdify_types::InstanceId, command: &[&str]) -> String {
    let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
    let output = engine.exec(id, &command).await.unwrap();
    assert_eq!(
        output.status,
        0,
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_an_app_is_bound_to_is_there_from_its_first_moment_and_after_a_restart() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";
    let bound = |name: &str, kind: &str, entry: &str, text: &str| {
        let entries = [(entry.parse().unwrap(), text.as_bytes().to_vec())].into();
        Binding::new(name.parse().unwrap(), kind.parse().unwrap(), None, entries).unwrap()
    };
    // It ends the first time, and is started again.
    let command = "cat /bindings/db/password; test -e /again && exec sleep 600; touch /again";
    let mut spec = spec(&sandbox, "worker", command);
    spec.bindings = vec![
        bound("ca", "ca-certificates", "own.pem", pem),
        bound("db", "postgresql", "password", "s3cret"),
    ];
    let id = engine.start(&spec).await.unwrap();
    let instance = engine.inspect(&id).await.unwrap().unwrap();
    let log = instance.log_path.unwrap();
    until("it runs again, and finds them", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.matches("s3cret").count() == 2)
    })
    .await;
    let files = "cd $SERVICE_BINDING_ROOT && stat -c '%n %a %u:%g' . * */* $SSL_CERT_FILE && cat */type";
    let expected = ". 555 0:0\nca 555 0:0\ndb 555 0:0\nca/own.pem 444 0:0\nca/type 444 0:0\n\
                    db/password 444 0:0\ndb/type 444 0:0\n/.pvdify/ca.crt 444 0:0\nca-certificatespostgresql";
    assert_eq!(inside(&engine, &id, &["sh", "-c", files]).await, expected);
    let trusted = inside(&engine, &id, &["sh", "-c", "cat $CURL_CA_BUNDLE"]).await;
    // The image trusts nobody of its own.
    let host = pvdify_builder::trust::of_host();
    assert!(trusted.starts_with(&*String::from_utf8_lossy(&host)));
    assert!(trusted.ends_with(&format!("{pem}\n")));
    engine.remove(&id).await.unwrap();
}

#[tokio::test]
async fn a_container_from_start_to_removal() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let spec = spec(
        &sandbox,
        "web",
        "echo \"$GREETING on $PORT\"; exec httpd -f -p $PORT",
    );
    let id = engine.start(&spec).await.unwrap();
    assert_eq!(
        engine.start(&spec).await.unwrap(),
        id,
        "a second start takes the first's"
    );

    let list = engine.list().await.unwrap();
    let [instance] = &list[..] else {
        panic!("one container: {list:?}");
    };
    assert_eq!(
        (&instance.id, &instance.key, instance.state),
        (&id, &spec.key, EngineState::Running)
    );
    assert!(!instance.lost && instance.restarts == 0 && instance.started_at.is_some());
    let endpoint = instance.endpoint.unwrap();
    assert!(endpoint.ip().is_loopback());
    assert_ne!(
        endpoint.ip().to_string(),
        "127.0.0.1",
        "other programs listen there"
    );
    assert_eq!(engine.inspect(&id).await.unwrap().as_ref(), Some(instance));

    let status = inside(&engine, &id, &["cat", "/proc/1/status"]).await;
    // The eight capabilities that are left, as a mask: see capability.h.
    assert!(status.contains("CapBnd:\t00000000000004fb"), "{status}");
    assert!(
        status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"),
        "{status}"
    );
    let limits = inside(&engine, &id, &["cat", "/proc/1/limits"]).await;
    let host = probe::probe(sandbox.service.socket()).await.unwrap().limits;
    let limit = |name: &str| {
        limits
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        limit("Max open files").contains(&host.nofile.to_string()),
        "{limits}"
    );
    assert!(
        limit("Max processes").contains(&host.nproc.to_string()),
        "{limits}"
    );

    let env = inside(&engine, &id, &["env"]).await;
    assert!(
        env.contains("GREETING=s3cret word\n") && env.contains("PORT=8080\n"),
        "{env}"
    );
    let conmon = std::fs::read(format!("/proc/{}/cmdline", instance.conmon_pid.unwrap())).unwrap();
    assert!(
        !String::from_utf8_lossy(&conmon).contains("s3cret"),
        "config vars are in no argument list"
    );
    let failed = engine
        .exec(
            &id,
            &["sh".into(), "-c".into(), "echo out; echo err >&2; exit 3".into()],
        )
        .await;
    let failed = failed.unwrap();
    assert_eq!(
        (failed.status, &failed.stdout[..], &failed.stderr[..]),
        (3, &b"out\n"[..], &b"err\n"[..])
    );

    let log = instance.log_path.clone().unwrap();
    until("its output is in the log", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("stdout F s3cret word on 8080"))
    })
    .await;
    until("it answers", || std::net::TcpStream::connect(endpoint).is_ok()).await;

    let stopped = engine.stop(&id, GRACE).await.unwrap();
    assert_eq!((stopped.status, stopped.killed), (Some(143), false));
    assert!(matches!(
        engine.list().await.unwrap()[0].state,
        EngineState::Exited(143)
    ));
    engine.remove(&id).await.unwrap();
    engine.remove(&id).await.unwrap();
    assert_eq!(engine.stop(&id, GRACE).await.unwrap().status, None);
    assert_eq!(engine.inspect(&id).await.unwrap(), None);
    assert!(engine.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn limits_hold_inside() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let id = engine.start(&spec(&sandbox, "worker", "")).await.unwrap();
    let pid = engine.inspect(&id).await.unwrap().unwrap().pid.unwrap();
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let read = |controller: &str, v1: &str, v2: &str| {
        let path = |prefix: &str, line: &str| format!("{prefix}{}", line.rsplit(':').next().unwrap());
        let of_v1 = cgroups
            .lines()
            .find(|line| line.split(':').nth(1) == Some(controller));
        let file = match of_v1 {
            Some(line) => format!("{}/{v1}", path(&format!("/sys/fs/cgroup/{controller}"), line)),
            None => format!(
                "{}/{v2}",
                path("/sys/fs/cgroup", cgroups.lines().next_back().unwrap())
            ),
        };
        std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{file}: {error}"))
            .trim()
            .to_owned()
    };
    assert_eq!(
        read("memory", "memory.limit_in_bytes", "memory.max"),
        (32 * 1024 * 1024).to_string()
    );
    assert_eq!(read("pids", "pids.max", "pids.max"), "50");
    let command = inside(&engine, &id, &["cat", "/proc/1/cmdline"]).await;
    assert!(
        command.contains("sleep"),
        "an empty command is the image's own: {command}"
    );
}

#[tokio::test]
async fn a_shells_children_get_their_grace() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let inner = "trap 'echo bye; exit 5' TERM; echo ready; while true; do sleep 0.1; done";
    let spec = spec(
        &sandbox,
        "worker",
        &format!("sh -c \"{inner}\"; code=$?; echo after; exit $code"),
    );
    let id = engine.start(&spec).await.unwrap();
    let log = engine.inspect(&id).await.unwrap().unwrap().log_path.unwrap();
    let says = |word: &str| std::fs::read_to_string(&log).is_ok_and(|log| log.contains(word));
    until("it runs", || says("ready")).await;
    let stopped = engine.stop(&id, GRACE).await.unwrap();
    assert!(
        says("F bye"),
        "the child had its say: {}",
        std::fs::read_to_string(&log).unwrap()
    );
    assert!(!stopped.killed);
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_is_killed() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let spec = spec(
        &sandbox,
        "worker",
        "trap '' TERM; echo ready; while true; do sleep 1; done",
    );
    let id = engine.start(&spec).await.unwrap();
    let log = engine.inspect(&id).await.unwrap().unwrap().log_path.unwrap();
    until("it runs", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("ready"))
    })
    .await;
    let stopped = engine.stop(&id, Duration::from_secs(1)).await.unwrap();
    assert_eq!((stopped.status, stopped.killed), (Some(137), true));
}

#[tokio::test]
async fn networks_are_the_apps_own_and_found_by_label() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let (app, name): (AppId, _) = ("a1".parse().unwrap(), "demo".parse().unwrap());
    let network = engine.ensure_network(&app, &name).await.unwrap();
    assert_eq!(engine.ensure_network(&app, &name).await.unwrap(), network);
    let listed = engine.networks().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].name, listed[0].app.as_ref()), (&network, Some(&app)));
    engine.remove_network(&network).await.unwrap();
    engine.remove_network(&network).await.unwrap();
    assert!(engine.networks().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_exit_is_known_after_a_restart() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let mut events = engine.events();
    let id = engine
        .start(&spec(&sandbox, "worker", "sleep 0.2; exit 9"))
        .await
        .unwrap();
    assert!(events.next().await.is_some(), "a start is an event");
    let mut restarts = 0;
    while restarts == 0 {
        restarts = engine.inspect(&id).await.unwrap().unwrap().restarts;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(engine.last_exit(&id).await.unwrap(), Some(9));
}

#[tokio::test]
async fn another_installations_containers_are_never_seen() {
    let (one, other) = tokio::join!(Sandbox::new(), Sandbox::new());
    let (engine, stranger) = (one.engine().await, other.engine().await);
    let id = engine.start(&spec(&one, "worker", "sleep 100")).await.unwrap();
    assert!(stranger.list().await.unwrap().is_empty());
    assert_eq!(stranger.inspect(&id).await.unwrap(), None);
    assert_eq!(engine.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_service_outlives_its_starter_and_containers_outlive_the_service() {
    let sandbox = Sandbox::new().await;
    let engine = sandbox.engine().await;
    let id = engine
        .start(&spec(&sandbox, "worker", "sleep 100"))
        .await
        .unwrap();
    let pids = service_pids(sandbox.service.socket());
    assert_eq!(pids.len(), 1, "one service");
    assert_ne!(
        session(pids[0].as_raw_pid()),
        session(std::process::id().cast_signed()),
        "in a session of its own"
    );

    let again = PodmanService::find_or_start(service_options(sandbox.dir.path()))
        .await
        .unwrap();
    assert_eq!(again.socket(), sandbox.service.socket());
    assert_eq!(
        service_pids(sandbox.service.socket()),
        pids,
        "found, not started again"
    );

    rustix::process::kill_process(pids[0], rustix::process::Signal::KILL).unwrap();
    until("it is dead", || service_pids(sandbox.service.socket()).is_empty()).await;
    let list = engine.list().await.unwrap();
    assert_eq!((list.len(), &list[0].id, list[0].lost), (1, &id, false));
    assert_eq!(
        service_pids(sandbox.service.socket()).len(),
        1,
        "and started again"
    );
}

#[tokio::test]
async fn a_socket_that_was_set_and_is_dead_is_an_error_with_a_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = service_options(dir.path());
    options.socket = Some(dir.path().join("nobody.sock"));
    let error = PodmanService::find_or_start(options)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("nobody.sock") && error.contains("systemctl start podman.socket"),
        "{error}"
    );
}

#[tokio::test]
async fn the_hosts_findings_have_limits_that_start_a_container() {
    let sandbox = Sandbox::new().await;
    let host = probe::probe(sandbox.service.socket()).await.unwrap();
    assert!(host.findings.iter().any(|finding| finding.name == "podman"));
    assert!(
        host.findings
            .iter()
            .all(|finding| finding.level == probe::Level::Ok || finding.fix.is_some())
    );
    let engine: Arc<PodmanEngine> = sandbox.engine().await;
    engine.start(&spec(&sandbox, "worker", "")).await.unwrap();
}

/// The session of a process as the kernel tells it, which is 0 where its leader is in an outer PID namespace:
/// `getsid` of rustix does not take that (proc_pid_stat(5), field 6; the name before it may hold spaces).
fn session(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    after_name.split_whitespace().nth(3).unwrap().parse().unwrap()
}

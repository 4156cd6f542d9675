//! Podman's client on its own: containers from their making to their removal, and all that they write.

use crate::harness::Bench;
use futures_util::{Stream, TryStreamExt};
use pvdify_builder::podman::{
    ContainerSpec, Filters, Frame, Libpod, LogConfiguration, MemoryLimit, Mount, Namespace,
    NetworkAttachment, NetworkSpec, OutputStream, PidsLimit, PodmanError, ResourceLimits, Rlimit,
    output_lines,
};
use rustix::process::Signal;
use std::{fs, process::Command, time::Duration};

/// Removed when the test fails, too: a network outlives its Podman's storage.
struct OwnNetwork(String);

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        Command::new("podman")
            .args(["network", "rm", &self.0])
            .output()
            .ok();
    }
}

const LABEL: (&str, &str) = ("pvdify.test", "containers");

fn spec(script: &str) -> ContainerSpec {
    ContainerSpec {
        image: "localhost/pvdify/run:trixie".into(),
        command: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        labels: [(LABEL.0.to_owned(), LABEL.1.to_owned())].into(),
        netns: Some(Namespace::none()),
        r_limits: vec![Rlimit::new("nofile", 1024), Rlimit::new("nproc", 1024)],
        log_configuration: Some(LogConfiguration {
            driver: "k8s-file".into(),
            size: None,
        }),
        ..ContainerSpec::default()
    }
}

async fn text(frames: impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut frames = std::pin::pin!(frames);
    while let Some(frame) = frames.try_next().await.unwrap() {
        match frame.stream {
            OutputStream::Stdout => out.extend_from_slice(&frame.bytes),
            OutputStream::Stderr => err.extend_from_slice(&frame.bytes),
        }
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// Runs it to its end: both outputs and the exit status.
async fn run(podman: &Libpod, spec: &ContainerSpec) -> (String, String, i64) {
    let id = podman.create_container(spec).await.unwrap();
    let output = podman.attach(&id).await.unwrap();
    podman.start_container(&id).await.unwrap();
    let ((out, err), status) = tokio::join!(text(output), podman.wait_container(&id));
    podman.remove_container(&id).await.unwrap();
    (out, err, status.unwrap())
}

#[tokio::test]
async fn all_that_a_container_writes_is_read_by_stream_and_in_order() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let id = podman
        .create_container(&spec(
            "echo one; echo two >&2; printf half; seq 1 60000; printf end; exit 7",
        ))
        .await
        .unwrap();
    let output = podman.attach(&id).await.unwrap();
    podman.start_container(&id).await.unwrap();
    let lines: Vec<_> = output_lines(output).try_collect().await.unwrap();
    let of = |stream| lines.iter().filter(move |line| line.stream == stream);
    let out: Vec<&str> = of(OutputStream::Stdout).map(|line| &*line.text).collect();
    assert_eq!(&out[..3], ["one", "half1", "2"]);
    assert_eq!((out.len(), out[out.len() - 1]), (60_002, "end"));
    let err: Vec<&str> = of(OutputStream::Stderr).map(|line| &*line.text).collect();
    assert_eq!(err, ["two"]);
    assert_eq!(podman.wait_container(&id).await.unwrap(), 7);

    let (out, err) = text(podman.container_logs(&id, false).await.unwrap()).await;
    assert!(
        out.starts_with("one\nhalf1\n") && out.ends_with("\n60000\nend"),
        "{}",
        out.len()
    );
    assert_eq!(err, "two\n");
    podman.remove_container(&id).await.unwrap();
    podman.remove_container(&id).await.unwrap();
    assert!(podman.inspect_container(&id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_container_has_what_its_spec_says() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let folder = bench.folder.path().join("given");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a"), "from the host").unwrap();
    let mounted = folder.to_str().unwrap();
    // What busybox's shell itself can tell.
    let script = "cat /in/a; echo; touch /in/b || echo read-only; touch /out/c && echo written; \
                  touch /tmp/d && echo in memory; cat /proc/self/status; echo $GREETING; pwd; \
                  cat /proc/self/limits; cat /proc/self/cgroup";
    let spec = ContainerSpec {
        mounts: vec![
            Mount::bind(mounted, "/in", true),
            Mount::bind(mounted, "/out", false),
            Mount::tmpfs("/tmp", 1 << 20),
        ],
        user: Some("0:1234".into()),
        env: [("GREETING".into(), "good day".into())].into(),
        work_dir: Some("/out".into()),
        cgroup_parent: Some(format!("/pvdify-build-{}/own", bench.config.installation)),
        resource_limits: ResourceLimits {
            memory: Some(MemoryLimit {
                limit: 64 << 20,
                swap: 64 << 20,
            }),
            pids: Some(PidsLimit { limit: 50 }),
            ..ResourceLimits::default()
        },
        ..spec(script)
    };
    let (out, err, status) = run(&podman, &spec).await;
    assert_eq!(status, 0, "{err}");
    for expected in [
        "from the host\nread-only\nwritten\nin memory\n",
        "Gid:\t1234",
        "\ngood day\n/out\n",
        "Max open files            1024                 1024",
        &format!("/pvdify-build-{}/own/", bench.config.installation),
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    assert!(folder.join("c").exists() && !folder.join("b").exists());
}

#[tokio::test]
async fn containers_are_found_by_label_and_signalled_stopped_and_looked_into() {
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let filters = Filters::label(LABEL.0, LABEL.1);
    let trap = "trap 'exit 5' TERM; echo ready; while true; do sleep 0.1; done";
    let id = podman.create_container(&spec(trap)).await.unwrap();
    assert!(
        !podman.kill_container(&id, Signal::TERM).await.unwrap(),
        "it does not run yet"
    );
    let mut output = Box::pin(podman.attach(&id).await.unwrap());
    podman.start_container(&id).await.unwrap();
    podman.start_container(&id).await.unwrap();
    output.try_next().await.unwrap().unwrap();
    let listed = podman.containers(&filters).await.unwrap();
    assert_eq!(
        (listed.len(), &listed[0].id, &*listed[0].state),
        (1, &id, "running")
    );
    assert!(
        podman
            .containers(&Filters::label(LABEL.0, "other"))
            .await
            .unwrap()
            .is_empty()
    );
    let processes = podman.processes(&id).await.unwrap();
    assert!(
        processes.iter().any(|process| process.command.contains("trap")),
        "{processes:?}"
    );

    let command = ["sh", "-c", "echo out; echo err >&2; exit 3"].map(str::to_owned);
    let ran = podman.exec(&id, &command).await.unwrap();
    assert_eq!(
        (ran.status, &*ran.stdout, &*ran.stderr),
        (3, &b"out\n"[..], &b"err\n"[..])
    );

    let (signalled, ended) = tokio::join!(
        podman.kill_container(&id, Signal::TERM),
        podman.wait_container(&id)
    );
    assert_eq!((signalled.unwrap(), ended.unwrap()), (true, 5));
    assert!(
        !podman.kill_container(&id, Signal::KILL).await.unwrap(),
        "it ended"
    );
    let ended = podman.inspect_container(&id).await.unwrap().unwrap();
    assert_eq!((&*ended.state.status, ended.state.exit_code), ("exited", 5));
    let died = podman
        .past_events(&Filters::default().with("container", &id).with("event", "died"))
        .await
        .unwrap();
    assert_eq!(died[0].actor.attributes["containerExitCode"], "5");

    let mut output = Box::pin(podman.attach(&id).await.unwrap());
    podman.start_container(&id).await.unwrap();
    // Before its trap is set, the first process of a container hears no signal but SIGKILL.
    output.try_next().await.unwrap().unwrap();
    assert!(podman.stop_container(&id, Duration::from_secs(10)).await.unwrap());
    assert_eq!(podman.wait_container(&id).await.unwrap(), 5);
    podman.remove_container(&id).await.unwrap();
    assert!(!podman.stop_container(&id, Duration::ZERO).await.unwrap());
    assert!(!podman.kill_container(&id, Signal::KILL).await.unwrap());
    assert!(podman.wait_container(&id).await.unwrap_err().is_not_found());
    assert!(podman.containers(&filters).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_container_on_a_network_of_its_own_is_killed_when_its_time_is_over() {
    // Before the bench, whose end removes its containers: a network in use stays.
    let network = OwnNetwork(format!("pvdify-test-{}", std::process::id()));
    let bench = Bench::with_run_image(|_| {}).await;
    let podman = bench.podman.client();
    let name = network.0.clone();
    let spec = NetworkSpec {
        name: name.clone(),
        labels: [(LABEL.0.to_owned(), name.clone())].into(),
        dns_enabled: true,
        ..NetworkSpec::default()
    };
    podman.create_network(&spec).await.unwrap();
    assert!(podman.create_network(&spec).await.unwrap_err().is_conflict());
    let listed = podman.networks(&Filters::label(LABEL.0, &name)).await.unwrap();
    assert_eq!((listed.len(), &listed[0].name), (1, &name));
    let spec = ContainerSpec {
        netns: Some(Namespace::bridge()),
        networks: [(name.clone(), NetworkAttachment::default())].into(),
        timeout: Some(1),
        ..self::spec("cat /proc/net/dev; sleep 1000")
    };
    let (out, _, status) = run(&podman, &spec).await;
    assert!(out.contains("eth0"), "{out}");
    assert_ne!(status, 0);
    podman.remove_network(&name).await.unwrap();
    podman.remove_network(&name).await.unwrap();
    assert!(!podman.network_exists(&name).await.unwrap());
}

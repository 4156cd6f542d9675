//! What people run once, and what they ask of what runs: one instance restarted or stopped, and no other.

use pvdify_tests::{Load, Platform, Pusher, probe_with};
use std::time::{Duration, Instant};

const DOCKERFILE: &str = "FROM pvdify/run:trixie\nCOPY server version /\nCMD [\"/server\"]\n";

async fn serving(procfile: &str) -> Platform {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| probe_with(dir, "one", &[("Procfile", procfile), ("Dockerfile", DOCKERFILE)]));
    pusher.push().await.ok();
    platform
}

/// Waits until status and output of a one-off process are as wanted, and gives the output.
async fn shown(platform: &Platform, name: &str, wanted: impl Fn(&str, &str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let (app, name) = ("demo".parse().unwrap(), name.parse().unwrap());
        let shown = platform.api().one_off(&app, name).await.unwrap();
        let output = shown.output.clone().unwrap_or_default();
        if wanted(&shown.status, &output) {
            return output;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{shown:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until it has this status, and gives what it wrote.
async fn ended(platform: &Platform, name: &str, status: &str) -> String {
    shown(platform, name, |now, _| now == status).await
}

/// Waits until it wrote this.
async fn wrote(platform: &Platform, name: &str, text: &str) {
    shown(platform, name, |_, output| output == text).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_command_has_the_apps_surroundings_and_outlives_the_server() {
    let mut platform = serving("web: /server\n").await;
    platform.cli(&["config:set", "demo", "GREETING=hello"]).await.ok();
    let script = "echo $GREETING from $DYNO on $HEROKU_RELEASE_VERSION; exit 3";
    let name = platform.cli(&["run:detached", "demo", "--", script]).await.ok();
    assert_eq!(name, "run.1001\n");
    let output = ended(&platform, "run.1001", "failed").await;
    assert_eq!(output, "hello from run.1001 on v2\n");

    let before = platform.running();
    let waiting = "trap 'echo done; exit 0' USR1; echo begun; while :; do sleep 0.2; done";
    platform.cli(&["run:detached", "demo", "--", waiting]).await.ok();
    wrote(&platform, "run.1002", "begun\n").await;
    let shown = platform.cli(&["ps", "demo"]).await.ok();
    assert!(
        shown.contains("=== run: one-off processes (1) running\nrun.1002: "),
        "{shown}"
    );
    platform.kill();
    platform.boot().await;
    platform.signal_new(&before);
    assert_eq!(ended(&platform, "run.1002", "succeeded").await, "begun\ndone\n");
    platform.wait_running(1).await;

    // One that ignores SIGTERM is stopped all the same, and what it wrote is kept.
    let deaf = "trap '' TERM; echo deaf; while :; do sleep 1; done";
    platform.cli(&["run:detached", "demo", "--", deaf]).await.ok();
    wrote(&platform, "run.1003", "deaf\n").await;
    platform.cli(&["ps:stop", "demo", "run.1003"]).await.ok();
    platform.wait_running(1).await;
    assert_eq!(ended(&platform, "run.1003", "cancelled").await, "deaf\n");
}

/// Each instance, and since when it runs.
type Lives = Vec<(String, String)>;

/// All three that should run, once they are ready and nothing else runs.
async fn settled(platform: &Platform) -> Lives {
    let begun = Instant::now();
    loop {
        let shown = platform.api().ps(&"demo".parse().unwrap()).await.unwrap();
        let mut now: Lives = shown
            .into_iter()
            .flat_map(|process| process.instances)
            .filter(|instance| instance.state == "up")
            .map(|instance| (instance.name, format!("{:?}", instance.started_at)))
            .collect();
        now.sort();
        if now.len() == 3 && platform.running().len() == 3 {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until this process lives anew, and sees to it that no other does.
async fn changed(platform: &Platform, before: &Lives, process: &str) -> Lives {
    let begun = Instant::now();
    loop {
        let now = settled(platform).await;
        let others: Vec<&str> = before
            .iter()
            .zip(&now)
            .filter(|(old, new)| old != new)
            .map(|(old, _)| old.0.as_str())
            .collect();
        if others == [process] {
            return now;
        }
        assert!(
            others.is_empty() && begun.elapsed() < Duration::from_secs(60),
            "{others:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_is_restarted_or_stopped_and_no_request_fails() {
    let platform = serving("web: /server\nworker: /server worker\n").await;
    platform
        .cli(&["ps:scale", "demo", "web=2", "worker=1"])
        .await
        .ok();
    platform.wait_running(3).await;
    let before = settled(&platform).await;
    let load = Load::start(&platform, "demo", 20);
    platform.cli(&["ps:restart", "demo", "web.2"]).await.ok();
    let before = changed(&platform, &before, "web.2").await;
    platform.cli(&["ps:stop", "demo", "web.1"]).await.ok();
    let before = changed(&platform, &before, "web.1").await;
    platform.cli(&["ps:restart", "-a", "demo", "worker"]).await.ok();
    changed(&platform, &before, "worker.1").await;
    let report = load.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());
}

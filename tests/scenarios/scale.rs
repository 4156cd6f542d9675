//! Processes: scaling, restarting, what `ps` and `logs` show, and healing.

use pvdify_tests::{Load, Platform, Pusher, probe_with};
use std::time::{Duration, Instant};

const PROCFILE_DOCKERFILE: &str = "FROM pvdify/run:trixie\nCOPY server version /\nCMD [\"/server\"]\n";

async fn wait_for_ps(platform: &Platform, wanted: &str) -> String {
    let started = Instant::now();
    loop {
        let shown = platform.cli(&["ps", "demo"]).await.ok();
        if shown.contains(wanted) {
            return shown;
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "no {wanted:?} in:\n{shown}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_are_scaled_restarted_healed_and_logged() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let procfile = "web: /server\nworker: /server worker\n";
    pusher.commit(|dir| {
        probe_with(
            dir,
            "one",
            &[("Procfile", procfile), ("Dockerfile", PROCFILE_DOCKERFILE)],
        );
    });
    pusher.push().await.ok();
    assert_eq!(platform.running().len(), 1, "a first release runs web alone");

    let load = Load::start(&platform, "demo", 20);
    platform
        .cli(&["ps:scale", "demo", "web=2", "worker=1"])
        .await
        .ok();
    let shown = wait_for_ps(&platform, "web.2").await;
    assert!(shown.contains("/server worker"), "{shown}");
    wait_for_ps(&platform, "worker.1").await;

    let before = platform.running();
    platform.cli(&["ps:restart", "demo"]).await.ok();
    let started = Instant::now();
    while platform
        .running()
        .iter()
        .any(|container| before.contains(container))
        || platform.running().len() != 3
    {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{before:?} {:?}",
            platform.running()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    platform
        .cli(&["ps:scale", "demo", "web=1", "worker=0"])
        .await
        .ok();
    let started = Instant::now();
    while platform.running().len() != 1 {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{:?}",
            platform.running()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let report = load.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());

    // An app that ends comes back by itself.
    assert_eq!(platform.get("demo", "/exit/3").await.0, 200);
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;

    let logs = platform.cli(&["logs", "demo", "-n", "500"]).await.ok();
    for part in ["app[web.1]: listening on", "app[worker.1]: worker at work"] {
        assert!(logs.contains(part), "no {part:?} in:\n{logs}");
    }
    let one = platform.cli(&["logs", "demo", "-n", "1"]).await.ok();
    assert_eq!(one.lines().count(), 1, "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_scaled_to_zero_answers_503_and_comes_back() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| pvdify_tests::write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["ps:scale", "demo", "web=0"]).await.ok();
    let started = Instant::now();
    while platform.get("demo", "/").await.0 != 503 {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        platform
            .api()
            .app(&"demo".parse().unwrap())
            .await
            .unwrap()
            .status
            .as_str(),
        "stopped"
    );
    platform.cli(&["ps:scale", "demo", "web=1"]).await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
}

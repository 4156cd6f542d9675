//! From `git push` to the new version's first answer, against `podman build` + `podman run` + asking by hand.

use crate::{Pairs, ROUNDS};
use pvdify_tests::{Platform, Pusher, run, write_probe};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn measure() -> Pairs {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "bench").await;
    pusher.commit(|dir| write_probe(dir, "warm-up"));
    pusher.push().await.ok();
    let by_hand = tempfile::tempdir().expect("a directory");
    let warm_up = hand_release(by_hand.path(), "warm-up").await;
    let mut serving = warm_up.1;
    let mut pairs = Vec::new();
    for round in 0..ROUNDS {
        let version = format!("round-{round}");
        pusher.commit(|dir| write_probe(dir, &version));
        let started = Instant::now();
        pusher.push().await.ok();
        platform.wait_for("bench", &version, PATIENCE).await;
        let ours = started.elapsed();
        let (theirs, container) = hand_release(by_hand.path(), &version).await;
        remove(&serving);
        serving = container;
        pairs.push((ours, theirs));
    }
    remove(&serving);
    run("podman", &["rmi", "-f", &image()]);
    Pairs(pairs)
}

fn image() -> String {
    format!("localhost/pvdify-bench-{}:latest", std::process::id())
}

fn remove(container: &str) {
    run("podman", &["rm", "-f", "-t", "1", container]);
}

/// What a person types: build, run, ask until it answers. Gives the time and the container.
async fn hand_release(dir: &Path, version: &str) -> (Duration, String) {
    write_probe(dir, version);
    let context = dir.display().to_string();
    let started = Instant::now();
    run("podman", &["build", "-q", "-t", &image(), &context]);
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let start = ["run", "-d", "-e", "PORT=8080", "-p", "127.0.0.1::8080"];
    let image = image();
    let args: Vec<&str> = start.into_iter().chain(limits).chain([image.as_str()]).collect();
    let container = run("podman", &args).lines().next().unwrap_or_default().to_owned();
    let port = run("podman", &["port", &container, "8080"]).trim().to_owned();
    loop {
        let answer = match reqwest::get(format!("http://{port}/")).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        if answer.contains(version) {
            return (started.elapsed(), container);
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the container started by hand does not answer"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

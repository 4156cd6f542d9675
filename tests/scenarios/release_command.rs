//! The `release` process type and app.json's postdeploy: before a release takes over, and once after the first.

use pvdify_tests::{Platform, Pusher, probe_with};
use std::{path::Path, time::Duration};

const PATIENCE: Duration = Duration::from_secs(60);
/// An image with a shell, which a command line needs.
const DOCKERFILE: &str = "FROM pvdify/run:trixie\nCOPY server version /\nCMD [\"/server\"]\n";

/// Goes on until it gets a SIGUSR1.
const UNTIL_SIGNAL: &str = "trap 'echo done; exit 0' USR1; while :; do sleep 0.2; done";

/// The probe app with this release command.
fn write(dir: &Path, version: &str, command: &str) {
    let procfile = format!("web: /server\nrelease: {command}\n");
    let files = [
        ("Dockerfile", DOCKERFILE),
        ("Procfile", &procfile),
        ("app.json", r#"{"scripts": {"postdeploy": "echo seeded $DYNO"}}"#),
    ];
    probe_with(dir, version, &files);
}

async fn serving() -> (Platform, Pusher) {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write(dir, "one", "echo migrated $HEROKU_RELEASE_VERSION"));
    let output = pusher.push().await.ok();
    for part in [
        "Running release.1001: echo migrated",
        "migrated v1",
        "Running postdeploy.1002: echo seeded",
        "seeded postdeploy.1002",
        "Released v1",
    ] {
        assert!(output.contains(part), "no {part:?} in:\n{output}");
    }
    platform.wait_for("demo", "version one", PATIENCE).await;
    (platform, pusher)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_command_runs_before_its_release_and_one_that_fails_leaves_the_old_one() {
    let (platform, pusher) = serving().await;
    platform.wait_running(1).await;

    pusher.commit(|dir| write(dir, "two", "echo no such column && exit 7"));
    let output = pusher.push().await.rejected();
    for part in [
        "no such column",
        "release.1003 exited with status 7",
        "v1 goes on serving",
    ] {
        assert!(output.contains(part), "no {part:?} in:\n{output}");
    }
    assert!(!output.contains("Starting web.1"), "{output}");
    assert!(platform.get("demo", "/").await.1.contains("version one"));
    let kept = platform.cli(&["releases:output", "demo", "v2"]).await.ok();
    assert_eq!(kept, "no such column\n");

    // One that needs more memory than it may is told so.
    platform.cli(&["ps:resize", "demo", "memory=64M"]).await.ok();
    let hungry = r#"perl -e '$x = "a" x (300 * 1024 * 1024); print length $x'"#;
    pusher.commit(|dir| write(dir, "three", hungry));
    let output = pusher.push().await.rejected();
    let reason = "was killed (status 137), most likely because it used more than its 64 MiB of memory";
    assert!(output.contains(reason), "{output}");
    assert!(platform.get("demo", "/").await.1.contains("version one"));

    // A change of config runs the command of what serves, and its postdeploy never again.
    platform.cli(&["config:set", "demo", "A=1"]).await.ok();
    let kept = platform.cli(&["releases:output", "demo"]).await.ok();
    assert_eq!(kept, "migrated v5\n");
    let log = platform.cli(&["logs", "demo", "-n", "500"]).await.ok();
    assert_eq!(
        log.matches("seeded").count(),
        2,
        "the command and what it wrote: {log}"
    );
    platform.wait_running(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_a_release_command_does_not_run_it_twice_and_its_release_takes_over() {
    let (mut platform, pusher) = serving().await;
    platform.wait_running(1).await;
    let before = platform.running();
    pusher.commit(|dir| write(dir, "two", &format!("echo at work $((40 + 2)); {UNTIL_SIGNAL}")));
    let push = pusher.start_push_until("at work 42").await;
    platform.kill();
    assert_eq!(platform.running().len(), 2, "web.1 and the command go on");
    push.end().await.rejected();
    platform.boot().await;
    platform.signal_new(&before);
    platform.wait_for("demo", "version two", PATIENCE).await;
    let output = platform.cli(&["releases:output", "demo", "v2"]).await.ok();
    assert!(output.contains("at work 42\ndone\n"), "{output}");
    let log = platform
        .cli(&["logs", "demo", "-n", "500", "--process", "release"])
        .await
        .ok();
    assert_eq!(
        log.matches("Starting process with command `echo at work").count(),
        1,
        "{log}"
    );
    // The ref follows with the same push.
    pusher.push().await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_cancelled_in_its_command_ends_at_once_and_leaves_nothing() {
    let (platform, pusher) = serving().await;
    pusher.commit(|dir| write(dir, "two", "echo at work $((40 + 2)) && exec sleep 600"));
    let push = pusher.start_push_until("at work 42").await;
    platform.cli(&["releases:cancel", "demo"]).await.ok();
    let output = push.end().await.rejected();
    assert!(
        output.contains("cancelled by dev; v1 goes on serving"),
        "{output}"
    );
    platform.wait_running(1).await;
    assert!(platform.get("demo", "/").await.1.contains("version one"));
    pusher.commit(|dir| write(dir, "three", "true"));
    pusher.push().await.ok();
}

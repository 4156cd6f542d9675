//! A push that can't become a release changes nothing: not the ref, not the release, not the answer.

use pvdify_tests::{Platform, Pusher, probe_with, probe_with_dockerfile, write_probe};
use std::time::Duration;

/// An app that serves version one, and its commit.
async fn serving() -> (Platform, Pusher, String) {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let commit = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    (platform, pusher, commit)
}

async fn assert_unchanged(platform: &Platform, pusher: &Pusher, commit: &str) {
    assert_eq!(pusher.remote_ref("main").await.as_deref(), Some(commit));
    assert!(platform.get("demo", "/").await.1.contains(commit));
    let app = platform.api().app(&"demo".parse().unwrap()).await.unwrap();
    assert_eq!((app.release, app.status.as_str()), (Some(1), "running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_dockerfile_is_rejected_with_its_failing_line() {
    let (platform, pusher, commit) = serving().await;
    let dockerfile = "FROM scratch\nCOPY server version /\nCOPY no-such-file /\nCMD [\"/server\"]\n";
    pusher.commit(|dir| probe_with_dockerfile(dir, "two", dockerfile));
    let output = pusher.push().await.rejected();
    for part in [
        "Dockerfile line 3",
        "no-such-file",
        "Push rejected",
        "[remote rejected] main -> main",
    ] {
        assert!(output.contains(part), "no {part:?} in:\n{output}");
    }
    assert_unchanged(&platform, &pusher, &commit).await;

    pusher.commit(|dir| probe_with_dockerfile(dir, "two", "FROM scratch\nCOPPY server /\n"));
    let output = pusher.push().await.rejected();
    assert!(output.contains("Dockerfile line 2"), "{output}");
    assert_unchanged(&platform, &pusher, &commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_listens_is_rejected_with_its_last_log_lines() {
    let (platform, pusher, commit) = serving().await;
    let check = r#"{"healthchecks":{"web":[{"timeout":3}]}}"#;
    let dockerfile = "FROM scratch\nCOPY server version /\nCMD [\"/server\", \"deaf\"]\n";
    pusher.commit(|dir| probe_with(dir, "two", &[("Dockerfile", dockerfile), ("app.json", check)]));
    let output = pusher.push().await.rejected();
    for part in [
        "web.1",
        "within 3 seconds",
        "waiting for a database that never comes",
        "Push rejected",
    ] {
        assert!(output.contains(part), "no {part:?} in:\n{output}");
    }
    assert_unchanged(&platform, &pusher, &commit).await;
    let releases = platform.cli(&["releases", "demo"]).await.ok();
    assert!(releases.contains("failed"), "{releases}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_exits_is_rejected_with_its_status() {
    let (platform, pusher, commit) = serving().await;
    let dockerfile = "FROM scratch\nCOPY server version /\nENV PORT=70000000\nCMD [\"/no-such-program\"]\n";
    pusher.commit(|dir| probe_with_dockerfile(dir, "two", dockerfile));
    let output = pusher.push().await.rejected();
    assert!(output.contains("web.1"), "{output}");
    assert_unchanged(&platform, &pusher, &commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_a_dockerfile_is_told_what_was_looked_for() {
    let (platform, pusher, commit) = serving().await;
    pusher.commit(|dir| std::fs::remove_file(dir.join("Dockerfile")).unwrap());
    let output = pusher.push().await.rejected();
    assert!(output.contains("Dockerfile"), "{output}");
    assert_unchanged(&platform, &pusher, &commit).await;
}

/// The most memory that pvdifyd ever had, in MiB (proc(5), `VmHWM`).
fn peak_memory_mib(platform: &Platform) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", platform.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_inflates_beyond_the_limit_is_refused_in_little_memory() {
    let (platform, pusher, commit) = serving().await;
    pusher.commit(|dir| {
        // A hole: 600 MB that travel as less than one.
        std::fs::File::create(dir.join("bomb"))
            .unwrap()
            .set_len(600_000_000)
            .unwrap();
    });
    let output = pusher.push().await.rejected();
    assert!(output.contains("larger than"), "{output}");
    assert!(
        peak_memory_mib(&platform) <= 256,
        "{} MiB",
        peak_memory_mib(&platform)
    );
    assert_unchanged(&platform, &pusher, &commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_s_key_gets_nowhere() {
    let (platform, pusher, commit) = serving().await;
    let stranger = Pusher::without_registration(&platform, "demo");
    stranger.commit(|dir| write_probe(dir, "evil"));
    let output = stranger.push().await.rejected();
    assert!(output.contains("Permission denied (publickey)"), "{output}");
    assert_unchanged(&platform, &pusher, &commit).await;
}

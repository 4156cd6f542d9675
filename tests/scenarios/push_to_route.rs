//! A push becomes a served request; a second one takes over without a visitor noticing.

use pvdify_tests::{Load, Platform, Pusher, write_probe};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_commit_answers_over_http() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let commit = pusher.commit(|dir| write_probe(dir, "one"));
    let output = pusher.push().await.ok();
    for part in [
        "remote: -----> ",
        "Released v1",
        &format!("http://demo.localhost:{}", platform.address("http").port()),
    ] {
        assert!(output.contains(part), "no {part:?} in:\n{output}");
    }
    let (status, body) = platform.get("demo", "/").await;
    assert_eq!(
        (status, body.as_str()),
        (200, format!("version one\ncommit {commit}\n").as_str())
    );
    let info = platform.cli(&["apps:info", "demo"]).await.ok();
    assert!(info.contains("running"), "{info}");
    assert_eq!(pusher.push().await.ok().trim(), "Everything up-to-date");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_takes_over_under_load_without_a_failed_request() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let first = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    let load = Load::start(&platform, "demo", 50);
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    let second = pusher.commit(|dir| write_probe(dir, "two"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version two", Duration::from_secs(60))
        .await;
    // The old release drains now; visitors come on until well after it is gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let report = load.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());
    let (answers, changes) = report.changes();
    assert_eq!(changes, 1, "{answers:?}");
    assert_eq!(
        answers,
        [
            format!("version one\ncommit {first}\n"),
            format!("version two\ncommit {second}\n")
        ]
    );
    let releases = platform.cli(&["releases", "demo"]).await.ok();
    for part in ["v1", "v2", "current", "superseded", &first[..8], &second[..8]] {
        assert!(releases.contains(part), "no {part:?} in:\n{releases}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_finished_by_the_release_that_took_it() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    pusher.commit(|dir| write_probe(dir, "two"));
    let slow = platform.get("demo", "/slow/8000");
    let push = async {
        pusher.push().await.ok();
        platform
            .wait_for("demo", "version two", Duration::from_secs(60))
            .await;
    };
    let ((status, body), ()) = tokio::join!(slow, push);
    assert_eq!(status, 200);
    assert!(body.contains("version one"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_branch_is_stored_and_not_deployed() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    let output = pusher.push_ref("main:feature").await.ok();
    assert!(output.contains("main"), "{output}");
    assert_eq!(platform.get("demo", "/").await.0, 503);
    assert_eq!(
        platform
            .api()
            .releases(&"demo".parse().unwrap())
            .await
            .unwrap()
            .len(),
        0
    );
}

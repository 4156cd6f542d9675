//! `kill -9` of pvdifyd at any moment: containers go on, the next start answers, nothing is left half-done.

use pvdify_tests::{ENDLESS_BUILD, Platform, Pusher, probe_with_dockerfile, write_probe};
use std::time::Duration;

/// Long enough for a machine that does much else; how long it takes on an idle one is a benchmark's figure.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_rest_restarts_no_container_and_the_next_start_answers() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    let before = platform.running();
    assert_eq!(before.len(), 1);
    platform.kill();
    assert_eq!(platform.running(), before);
    platform.boot().await;
    platform.wait_for("demo", "version one", PATIENCE).await;
    assert_eq!(platform.running(), before);
    pusher.commit(|dir| write_probe(dir, "two"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version two", Duration::from_secs(60))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_build_fails_that_build_and_the_next_push_works() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let first = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    let before = platform.running();

    pusher.commit(|dir| probe_with_dockerfile(dir, "two", ENDLESS_BUILD));
    let push = pusher.start_push_until("worker at work").await;
    platform.kill();
    push.end().await.rejected();
    assert_eq!(platform.running(), before);

    platform.boot().await;
    platform.wait_for("demo", "version one", PATIENCE).await;
    assert_eq!(platform.running(), before);
    assert_eq!(pusher.remote_ref("main").await, Some(first));
    let open: Vec<_> = platform
        .api()
        .releases(&"demo".parse().unwrap())
        .await
        .unwrap()
        .into_iter()
        .filter(|release| release.status.is_open())
        .collect();
    assert!(open.is_empty(), "{open:?}");

    pusher.commit(|dir| write_probe(dir, "three"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version three", Duration::from_secs(60))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_all_along_a_push_leave_one_release_serving_and_the_push_repeatable() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "v0"));
    pusher.push().await.ok();
    for (round, delay) in [100_u64, 400, 900, 1500, 2200].into_iter().enumerate() {
        let version = format!("v{}", round + 1);
        let commit = pusher.commit(|dir| write_probe(dir, &version));
        let mut push = pusher.start_push("main");
        tokio::time::sleep(Duration::from_millis(delay)).await;
        platform.kill();
        tokio::time::timeout(Duration::from_secs(60), push.wait())
            .await
            .expect("git ends")
            .unwrap();
        platform.boot().await;
        // Whatever the kill met: a release serves, and pushing the same again ends with this commit served.
        platform.wait_for("demo", "version v", PATIENCE).await;
        let again = pusher.push().await.ok();
        platform.wait_for("demo", &commit, Duration::from_secs(60)).await;
        let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
        let current = releases
            .iter()
            .filter(|release| release.status.as_str() == "current")
            .count();
        assert_eq!(current, 1, "{again}\n{releases:?}");
        assert!(
            releases.iter().all(|release| !release.status.is_open()),
            "{releases:?}"
        );
    }
}

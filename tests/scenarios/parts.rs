//! Control plane, git-receiver and router as three processes: killing any one leaves the apps answering.

use pvdify_tests::{Platform, Pusher, write_probe};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn each_part_can_die_and_come_back_while_apps_answer() {
    let mut platform = Platform::start_with(&[("PVDIFY_PARTS", "control")]).await;
    let git = platform.start_part("git").await;
    let router = platform.start_part("router").await;

    platform.cli(&["apps:create", "demo"]).await.ok();
    let pusher = Pusher::at(git.address, "demo");
    platform
        .cli(&["keys:add", &pusher.key().with_extension("pub").to_string_lossy()])
        .await
        .ok();
    let commit = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    let answer = format!("version one\ncommit {commit}\n");
    assert_eq!(
        platform.get_through(router.address, "demo").await,
        Some(answer.clone())
    );

    drop(git);
    assert_eq!(
        platform.get_through(router.address, "demo").await,
        Some(answer.clone())
    );
    platform.kill();
    assert_eq!(
        platform.get_through(router.address, "demo").await,
        Some(answer.clone())
    );

    // The router alone, started anew: it serves the last table that it saved.
    drop(router);
    let router = platform.start_part("router").await;
    assert_eq!(platform.get_through(router.address, "demo").await, Some(answer));

    platform.boot().await;
    let git = platform.start_part("git").await;
    let pusher_again = Pusher::at(git.address, "demo");
    platform
        .cli(&[
            "keys:add",
            &pusher_again.key().with_extension("pub").to_string_lossy(),
        ])
        .await
        .ok();
    let commit = pusher_again.commit(|dir| write_probe(dir, "two"));
    pusher_again.push_ref("+main").await.ok();
    let started = Instant::now();
    while platform.get_through(router.address, "demo").await
        != Some(format!("version two\ncommit {commit}\n"))
    {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

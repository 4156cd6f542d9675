//! The disk fails to write through (`fsync` ends with EIO): what was asked for is refused, nothing of it is there,
//! also not after a kill, and what is acknowledged is what was written through.

use pvdify_tests::{FsyncFaults, Platform, Pusher, write_probe};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What must be as it was.
#[derive(Debug, PartialEq)]
struct Standing {
    main: Option<String>,
    releases: Vec<String>,
    config: BTreeMap<String, String>,
    answer: (u16, String),
}

async fn standing(platform: &Platform, pusher: &Pusher) -> Standing {
    let (api, app) = (platform.api(), "demo".parse().unwrap());
    let releases = api.releases(&app).await.unwrap();
    Standing {
        main: pusher.remote_ref("main").await,
        releases: releases.iter().map(|release| format!("{release:?}")).collect(),
        config: api.config(&app).await.unwrap().into_iter().collect(),
        answer: platform.get("demo", "/").await,
    }
}

async fn serving(faults: &FsyncFaults) -> (Platform, Pusher) {
    let platform = Platform::start_with(&faults.settings()).await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["config:set", "demo", "A=1"]).await.ok();
    (platform, pusher)
}

/// As after a crash: what was not written through may be on the disk, or not.
async fn restart(platform: &mut Platform) {
    platform.kill();
    platform.boot().await;
    platform.wait_for("demo", "version", PATIENCE).await;
}

fn assert_whole(platform: &Platform) {
    let log = platform.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_config_that_can_not_be_written_through_is_not_there_after_a_kill() {
    let faults = FsyncFaults::default();
    let (mut platform, pusher) = serving(&faults).await;
    let before = standing(&platform, &pusher).await;

    faults.fail("/pvdify.db");
    let output = platform.cli(&["config:set", "demo", "A=2", "B=2"]).await;
    assert!(
        output.status != 0 && output.stderr.contains("the database failed: nothing was changed"),
        "{output:?}"
    );
    assert!(faults.has_struck());
    assert_eq!(platform.get("demo", "/").await, before.answer);
    platform.kill();
    assert!(!faults.heal().is_empty());
    platform.boot().await;
    platform.wait_for("demo", "version", PATIENCE).await;
    assert_eq!(standing(&platform, &pusher).await, before);

    platform.cli(&["config:set", "demo", "A=3"]).await.ok();
    restart(&mut platform).await;
    assert_eq!(platform.get("demo", "/env/A").await.1, "3");
    assert_whole(&platform);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_can_not_be_written_through_changes_nothing() {
    let faults = FsyncFaults::default();
    let (mut platform, pusher) = serving(&faults).await;
    let before = standing(&platform, &pusher).await;
    for (path, reason) in [
        ("/repos/", "The repository can't be opened; nothing was changed"),
        (
            "/objects/pack/",
            "the server could not store the pack; nothing was changed",
        ),
        ("/registry/", "the image can't be built now."),
        ("/pvdify.db", "the database failed: nothing was changed"),
    ] {
        pusher.commit(|dir| write_probe(dir, &format!("failing at {path}")));
        faults.fail(path);
        let output = pusher.push().await.rejected();
        assert!(output.contains(reason), "{path}: {output}");
        let hits = faults.heal();
        assert!(!hits.is_empty(), "{path}: {output}");
        assert_eq!(standing(&platform, &pusher).await, before, "{path}");
        restart(&mut platform).await;
        assert_eq!(standing(&platform, &pusher).await, before, "{path}, after a kill");
    }
    pusher.push().await.ok();
    assert!(
        platform
            .get("demo", "/")
            .await
            .1
            .starts_with("version failing at /pvdify.db\n")
    );
    assert_whole(&platform);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_that_can_not_be_written_through_is_not_acknowledged() {
    let faults = FsyncFaults::default();
    let (mut platform, pusher) = serving(&faults).await;
    let commit = pusher.commit(|dir| write_probe(dir, "two"));
    faults.fail("/packed-refs");
    let output = pusher.push().await.rejected();
    assert!(
        output.contains("failed to update ref: the server can't store it"),
        "{output}"
    );
    assert_eq!(faults.heal().len(), 1);
    // The release came first, and serves: that is said as well.
    assert!(output.contains("Released v3"), "{output}");
    restart(&mut platform).await;
    assert!(platform.get("demo", "/").await.1.contains(&commit));
    // The same push again only moves the ref.
    pusher.push().await.ok();
    assert_eq!(pusher.remote_ref("main").await, Some(commit));
    let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
    assert_eq!(releases.len(), 3);
    assert_whole(&platform);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_acknowledged_when_its_routes_are_written_through() {
    let faults = FsyncFaults::default();
    let (platform, pusher) = serving(&faults).await;
    pusher.commit(|dir| write_probe(dir, "two"));
    faults.fail("/router/");
    let mut push = pusher.start_push_until("web.1 is up").await;
    // Visitors come first: they have the new release already.
    platform.wait_for("demo", "version two", PATIENCE).await;
    assert!(faults.has_struck());
    assert!(!push.is_over(), "it was acknowledged");
    assert!(!faults.heal().is_empty());
    push.end().await.ok();
    assert_whole(&platform);
}

/// Each time that the database is written through on the way of a push, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn whichever_write_of_a_push_fails_one_release_serves_and_the_push_can_be_repeated() {
    let faults = FsyncFaults::default();
    let (mut platform, pusher) = serving(&faults).await;
    let app = "demo".parse().unwrap();
    for nth in 1.. {
        let before = platform.get("demo", "/").await;
        let commit = pusher.commit(|dir| write_probe(dir, &format!("write {nth}")));
        faults.fail_nth(nth, "/pvdify.db");
        let pushed = pusher.push().await;
        if faults.heal().is_empty() {
            assert!(nth > 3, "a push wrote only {} times", nth - 1);
            pushed.ok();
            break;
        }
        let serves = platform.get("demo", "/").await;
        if pushed.status == 0 {
            assert!(serves.1.contains(&commit), "write {nth}: {}", pushed.output);
        } else {
            assert!(
                serves == before || serves.1.contains(&commit),
                "write {nth}: {serves:?}"
            );
        }
        restart(&mut platform).await;
        pusher.push().await.ok();
        let begun = Instant::now();
        loop {
            let releases = platform.api().releases(&app).await.unwrap();
            let current = releases
                .iter()
                .filter(|release| release.status.as_str() == "current");
            if current.count() == 1 && releases.iter().all(|release| !release.status.is_open()) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "write {nth}: {releases:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(platform.get("demo", "/").await.1.contains(&commit), "write {nth}");
    }
    assert_whole(&platform);
}

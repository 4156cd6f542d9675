//! The server's disk runs full, at every moment at which that can hurt: what was asked for is refused in one
//! line, nothing of it is done, the app goes on answering, and with room again the same succeeds.

use pvdify_tests::{ENDLESS_BUILD, Platform, Pusher, SmallDisk, probe_with_dockerfile, write_probe};
use std::{
    collections::BTreeMap,
    io::Read,
    path::Path,
    time::{Duration, Instant},
};

const MIB: u64 = 1 << 20;
const ROOM: u64 = 3 << 30;
const RUN_IMAGE: &str = "pvdify/run:trixie";
/// How long an instance may take to go.
const LIMIT: Duration = Duration::from_secs(120);

/// What must be as it was.
#[derive(Debug, PartialEq)]
struct Standing {
    main: Option<String>,
    releases: Vec<String>,
    config: BTreeMap<String, String>,
    answer: (u16, String),
    running: Vec<String>,
}

async fn standing(platform: &Platform, pusher: &Pusher) -> Standing {
    let (api, app) = (platform.api(), "demo".parse().unwrap());
    let releases = api.releases(&app).await.unwrap();
    Standing {
        main: pusher.remote_ref("main").await,
        releases: releases.iter().map(|release| format!("{release:?}")).collect(),
        config: api.config(&app).await.unwrap().into_iter().collect(),
        answer: platform.get("demo", "/").await,
        running: platform.running(),
    }
}

/// An app that serves version one with a config var, on a disk of its own.
async fn serving() -> (Platform, Pusher) {
    let platform = Platform::start_on(SmallDisk::new(ROOM)).await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["config:set", "demo", "A=1"]).await.ok();
    // The instance of the release before goes in its own time.
    let begun = Instant::now();
    while platform.running().len() > 1 {
        assert!(begun.elapsed() < LIMIT, "{:?}", platform.running());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (platform, pusher)
}

/// Bytes that no compression makes smaller.
fn write_random(dir: &Path, bytes: u64) {
    let random = std::fs::File::open("/dev/urandom").unwrap();
    let mut file = std::fs::File::create(dir.join("random")).unwrap();
    std::io::copy(&mut random.take(bytes), &mut file).unwrap();
}

/// The lines in which the server says why, without git's and Pvdify's frame around them.
fn reasons(output: &str) -> Vec<&str> {
    let lines = output.lines().filter_map(|line| line.split_once(" !     "));
    let reasons = lines.map(|(_, reason)| reason.trim());
    reasons.filter(|reason| *reason != "Push rejected.").collect()
}

/// The app answers while the disk is full; the ref can only be asked for when there is room for a push.
async fn assert_unchanged(platform: &Platform, pusher: &Pusher, before: &Standing) {
    let free = platform.disk().free();
    assert_eq!(
        platform.get("demo", "/").await,
        before.answer,
        "with {free} bytes free"
    );
    platform.disk().leave_free(ROOM);
    assert_eq!(
        standing(platform, pusher).await,
        *before,
        "when {free} bytes were free"
    );
}

async fn assert_works_again(platform: &Platform, pusher: &Pusher) {
    platform.disk().leave_free(ROOM);
    pusher.commit(|dir| write_probe(dir, "with room again"));
    pusher.push().await.ok();
    platform.cli(&["config:set", "demo", "B=2"]).await.ok();
    assert!(
        platform
            .get("demo", "/")
            .await
            .1
            .starts_with("version with room again\n")
    );
    assert_eq!(platform.get("demo", "/env/B").await.1, "2");
    let log = platform.log();
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_disk_without_room_is_refused_with_the_figures() {
    let (platform, pusher) = serving().await;
    let before = standing(&platform, &pusher).await;
    platform.disk().leave_free(200 * MIB);
    pusher.commit(|dir| write_probe(dir, "two"));
    let output = pusher.push().await.rejected();
    let reasons = reasons(&output);
    assert!(
        reasons[0].starts_with("the disk is too full: 1024 MiB are needed in ")
            && reasons[0].ends_with(" MiB are free"),
        "{output}"
    );
    assert_eq!(reasons[1..], ["free some space and try again"], "{output}");
    assert_unchanged(&platform, &pusher, &before).await;
    assert_works_again(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_while_a_pack_comes_in_keeps_nothing_of_it() {
    let (platform, pusher) = serving().await;
    let before = standing(&platform, &pusher).await;
    pusher.commit(|dir| write_random(dir, 8 * MIB));
    for free in [4 * MIB, 0] {
        platform.disk().leave_free(free);
        let output = pusher.push().await.rejected();
        assert!(
            output.contains(
                "the server's disk is full; nothing was changed: free space there, then push again"
            ),
            "with {free} bytes free:\n{output}"
        );
        let quarantines = std::fs::read_dir(platform.state_dir().join("repos/quarantine")).unwrap();
        assert_eq!(quarantines.count(), 0, "with {free} bytes free");
        assert_unchanged(&platform, &pusher, &before).await;
    }
    assert_works_again(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_runs_full_while_an_image_is_stored_makes_no_release() {
    let (platform, pusher) = serving().await;
    let before = standing(&platform, &pusher).await;
    // Its layer is in Podman's storage, which is not on this disk, and not yet in the registry, which is.
    let size = 64 * MIB;
    let from = format!("FROM {RUN_IMAGE}\nRUN head --bytes={size} /dev/urandom >/random");
    let dockerfile = ENDLESS_BUILD.replace("FROM scratch", &from);
    // Room for the layer on its way, but not in the registry as well; no room for it at all; and none
    // even for what the end of the build writes.
    for free in [size + 10 * MIB, 4 * MIB, 0] {
        let version = format!("with {free} bytes free");
        pusher.commit(|dir| probe_with_dockerfile(dir, &version, &dockerfile));
        let push = pusher.start_push_until("worker at work").await;
        platform.disk().leave_free(free);
        platform.end_run_steps();
        let output = push.end().await.rejected();
        assert_eq!(
            reasons(&output),
            ["the server's disk is full: nothing was changed. Free space on it and deploy again"],
            "with {free} bytes free:\n{output}"
        );
        assert!(free == 0 || output.contains("Storing the image"), "{output}");
        let uploads = std::fs::read_dir(platform.state_dir().join("registry/uploads")).unwrap();
        assert_eq!(uploads.count(), 0, "with {free} bytes free");
        assert_unchanged(&platform, &pusher, &before).await;
    }
    assert_works_again(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_would_have_to_be_written_down() {
    let (platform, pusher) = serving().await;
    let before = standing(&platform, &pusher).await;
    platform.disk().leave_free(0);
    let refused = [
        vec!["config:set", "demo", "A=2"],
        vec!["config:unset", "demo", "A"],
        vec!["ps:scale", "demo", "web=2"],
        vec!["domains:add", "demo", "www.example.com"],
        vec!["rollback", "demo", "v1"],
        vec!["apps:create", "another"],
        vec!["apps:delete", "demo", "--confirm", "demo"],
    ];
    for args in &refused {
        let output = platform.cli(args).await;
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(
            output.status != 0 && first.contains("the disk is full: nothing was saved"),
            "{args:?}: {output:?}"
        );
    }
    let change = [("A".to_owned(), Some("2".to_owned()))].into();
    let error = platform.api().set_config(&"demo".parse().unwrap(), &change).await;
    assert_eq!(error.unwrap_err().status(), Some(507));
    assert_unchanged(&platform, &pusher, &before).await;
    assert_works_again(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_not_be_written_stops_nothing() {
    let disk = SmallDisk::new(ROOM);
    // Where each write ends with "No space left on device" (full(4)).
    std::os::unix::fs::symlink("/dev/full", disk.beside("pvdifyd.log")).unwrap();
    let platform = Platform::start_on(disk).await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["config:set", "demo", "A=1"]).await.ok();
    assert_eq!(platform.get("demo", "/env/A").await.1, "1");
}

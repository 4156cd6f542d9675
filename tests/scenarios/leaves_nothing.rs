//! A server that is killed in a build and never comes back leaves nothing that its harness does not end, and one
//! that comes back ends it by itself. Whoever runs the tests on a machine finds it as it was.

use pvdify_tests::{ENDLESS_BUILD, Platform, Pusher, leftovers, probe_with_dockerfile, write_probe};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);

async fn kill_in_build(platform: &mut Platform, pusher: &Pusher, version: &str) {
    pusher.commit(|dir| probe_with_dockerfile(dir, version, ENDLESS_BUILD));
    let push = pusher.start_push_until("worker at work").await;
    platform.kill();
    push.end().await.rejected();
}

fn of(found: &[String], kind: &str) -> usize {
    found.iter().filter(|line| line.starts_with(kind)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_ends_in_a_build_leaves_nothing() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    let id = platform.installation().unwrap();
    let registry = platform.address("registry").to_string();
    kill_in_build(&mut platform, &pusher, "two").await;

    let found = leftovers::of(&id, Some(&registry));
    for kind in [
        "process",
        "container",
        "working container",
        "network",
        "image",
        "control group",
    ] {
        assert!(of(&found, kind) > 0, "no {kind} in {found:#?}");
    }
    drop(platform);
    assert_eq!(leftovers::of(&id, Some(&registry)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_s_build_left_is_gone_after_its_next_start() {
    let mut platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let id = platform.installation().unwrap();
    // Once with a Podman service that lived on, and once with one that was killed as well.
    for podman_too in [false, true] {
        kill_in_build(&mut platform, &pusher, &format!("killed {podman_too}")).await;
        if podman_too {
            platform.kill_podman();
        }
        let found = leftovers::of(&id, None);
        assert!(
            of(&found, "process") > 0 && of(&found, "working container") > 0,
            "{found:#?}"
        );
        platform.boot().await;
        // A start does not wait for the sweep.
        let begun = Instant::now();
        loop {
            let found = leftovers::of(&id, None);
            if of(&found, "process") + of(&found, "working container") == 0 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "{found:#?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let temporary = platform.state_dir().join("run/podman-tmp");
    let left: Vec<_> = std::fs::read_dir(temporary).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

//! A rollback is a release of what already is: no build, no pull, code and config of then.

use pvdify_tests::{Platform, Pusher, write_probe};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_brings_back_code_and_config_without_a_build() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let first = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["config:set", "demo", "MODE=new"]).await.ok();
    pusher.commit(|dir| write_probe(dir, "two"));
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version two", Duration::from_secs(60))
        .await;
    assert_eq!(platform.get("demo", "/env/MODE").await.1, "new");

    let out = platform.cli(&["rollback", "demo", "v1"]).await.ok();
    assert!(out.contains("v4"), "{out}");
    let (_, body) = platform.get("demo", "/").await;
    assert_eq!(body, format!("version one\ncommit {first}\n"));
    assert_eq!(platform.get("demo", "/env/MODE").await.0, 404);

    let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
    let shown: Vec<_> = releases
        .iter()
        .map(|r| (r.version.0, r.status.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (4, "current"),
            (3, "rolled_back"),
            (2, "superseded"),
            (1, "superseded")
        ]
    );
    assert_eq!(releases[0].image, releases[3].image);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_to_what_never_served_is_refused_and_changes_nothing() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    for version in ["v9", "v0", "latest"] {
        let out = platform.cli(&["rollback", "demo", version]).await;
        assert_ne!(out.status, 0);
        assert_eq!(
            out.stderr
                .lines()
                .filter(|line| line.starts_with("error"))
                .count(),
            1,
            "{}",
            out.stderr
        );
    }
    let out = platform.cli(&["rollback", "demo"]).await;
    assert_ne!(out.status, 0, "there is no release before the first");
    assert_eq!(
        platform
            .api()
            .releases(&"demo".parse().unwrap())
            .await
            .unwrap()
            .len(),
        1
    );
}

//! Domains route to their app, and deleting an app leaves nothing of it.

use pvdify_tests::{Platform, Pusher, write_probe};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_routed_until_it_is_removed() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    assert_eq!(platform.get_host("shop.example.com", "/").await.0, 404);
    platform
        .cli(&["domains:add", "demo", "Shop.Example.com"])
        .await
        .ok();
    let started = Instant::now();
    while platform.get_host("shop.example.com", "/").await.0 != 200 {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let shown = platform.cli(&["domains", "demo"]).await.ok();
    assert!(
        shown.contains("shop.example.com") && shown.contains("active"),
        "{shown}"
    );

    platform.cli(&["apps:create", "other"]).await.ok();
    let taken = platform.cli(&["domains:add", "other", "shop.example.com"]).await;
    assert_ne!(taken.status, 0);
    assert!(
        !taken.stderr.contains("demo"),
        "the owner is nobody's business: {}",
        taken.stderr
    );

    platform
        .cli(&["domains:remove", "demo", "shop.example.com"])
        .await
        .ok();
    let started = Instant::now();
    while platform.get_host("shop.example.com", "/").await.0 != 404 {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_app_leaves_nothing_and_its_name_starts_anew() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    let refused = platform.cli(&["apps:delete", "demo"]).await;
    assert_ne!(refused.status, 0, "without a terminal it needs --confirm");
    platform
        .cli(&["apps:delete", "demo", "--confirm", "demo"])
        .await
        .ok();
    let started = Instant::now();
    while !platform.running().is_empty() || !platform.api().apps().await.unwrap().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(platform.get("demo", "/").await.0, 404);
    platform.cli(&["apps:create", "demo"]).await.ok();
    assert_eq!(
        pusher.remote_ref("main").await,
        None,
        "a new app of an old name has no old code"
    );
    pusher.push().await.ok();
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
}

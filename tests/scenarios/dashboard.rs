//! The dashboard, in a real browser: pvdifyd serves it, and it shows what the API says.

use pvdify_tests::{Platform, Pusher, write_probe};
use std::process::Stdio;

/// The page as headless Chromium has it after its scripts ran.
async fn rendered(url: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Virtual time passes when nothing loads: enough for the page's first requests.
        "--virtual-time-budget=10000",
        "--dump-dom",
    ];
    let output = tokio::process::Command::new("chromium")
        .args(flags)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("chromium starts (Debian package chromium)");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_lists_apps_with_their_status() {
    let platform = Platform::start().await;
    let url = format!("http://{}/", platform.address("api"));
    let empty = rendered(&url).await;
    assert!(
        empty.contains("apps:create"),
        "an empty list tells how to begin:\n{empty}"
    );

    let pusher = Pusher::new(&platform, "demo").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["apps:create", "waiting"]).await.ok();
    let page = rendered(&url).await;
    for part in ["demo", "running", "waiting", "created"] {
        assert!(page.contains(part), "no {part:?} in:\n{page}");
    }
    let app = rendered(&format!("{url}apps/demo")).await;
    assert!(app.contains("web.1"), "{app}");
}

//! Config vars reach the app by a release of their own and are written nowhere in clear.

use pvdify_tests::{Platform, Pusher, write_probe};
use std::{fs, path::Path, time::Duration};

const SECRET: &str = "hunter2-4711-correct-horse";

/// Every file below `dir` that holds the bytes.
pub(crate) fn files_holding(dir: &Path, needle: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files_holding(&entry.path(), needle, found);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            if bytes.windows(needle.len()).any(|window| window == needle) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

/// Every process whose arguments hold the text, but for this test's own command line client.
fn processes_holding(needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        if arguments.contains(needle) {
            found.push(arguments);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn config_changes_are_releases_and_values_stay_sealed() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let commit = pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();

    platform
        .cli(&["config:set", "demo", &format!("SECRET={SECRET}"), "MODE=blue"])
        .await
        .ok();
    assert_eq!(
        platform.get("demo", "/env/SECRET").await,
        (200, SECRET.to_owned())
    );
    let shown = platform.cli(&["config", "demo"]).await.ok();
    assert!(shown.contains("SECRET") && shown.contains("MODE"), "{shown}");
    assert!(!shown.contains(SECRET) && !shown.contains("blue"), "{shown}");

    // The next push carries the config on.
    let second = pusher.commit(|dir| write_probe(dir, "two"));
    pusher.push().await.ok();
    platform.wait_for("demo", &second, Duration::from_secs(60)).await;
    assert_eq!(platform.get("demo", "/env/MODE").await.1, "blue");

    let mut found = Vec::new();
    files_holding(platform.state_dir(), SECRET.as_bytes(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(processes_holding(SECRET), Vec::<String>::new());

    platform.cli(&["config:unset", "demo", "SECRET"]).await.ok();
    assert_eq!(platform.get("demo", "/env/SECRET").await.0, 404);
    assert_eq!(platform.get("demo", "/env/MODE").await.1, "blue");

    let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
    let shown: Vec<_> = releases.iter().rev().map(|r| r.description.clone()).collect();
    assert_eq!(
        shown,
        [
            format!("Deploy {}", &commit[..8]),
            "Set MODE, SECRET config vars".to_owned(),
            format!("Deploy {}", &second[..8]),
            "Remove SECRET config vars".to_owned(),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn config_before_the_first_push_is_there_at_the_first_start() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    platform.cli(&["config:set", "demo", "GREETING=hello"]).await.ok();
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    assert_eq!(platform.get("demo", "/env/GREETING").await.1, "hello");
}

//! The sealing key is replaced while apps serve and change, and whatever moment a kill hits: no value is lost, and in the
//! end one key is left.

use crate::config_release::files_holding;
use pvdify_tests::{FsyncFaults, Platform, Pusher, write_probe};
use std::{collections::BTreeMap, fs, time::Duration};

const ROTATE: &[&str] = &["key", "rotate"];

/// The key file's lines.
fn keys(platform: &Platform) -> Vec<String> {
    let text = fs::read_to_string(platform.state_dir().join("keys/config.key")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Fifty vars, in five versions: more rows than are sealed anew at once.
async fn serving(platform: &Platform) -> BTreeMap<String, String> {
    let pusher = Pusher::new(platform, "demo").await;
    let app = "demo".parse().unwrap();
    let mut config = BTreeMap::new();
    for round in 0..5 {
        let change = (0..50).map(|n| (format!("KEY_{n}"), Some(format!("correct-horse-{round}-{n}"))));
        config = platform
            .api()
            .set_config(&app, &change.collect())
            .await
            .unwrap()
            .config;
    }
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_at_any_write_is_finished_by_the_next_and_no_value_is_lost() {
    let mut platform = Platform::start().await;
    let config = serving(&platform).await;
    let before = keys(&platform);
    let faults = FsyncFaults::default();
    let place = format!("{}/", platform.state_dir().display());
    let (mut nth, mut with_two_keys) = (0, 0);
    platform.kill();
    let last = loop {
        nth += 1;
        faults.kill_nth(nth, &place);
        let ended = platform.on_host_with(ROTATE, &faults.settings()).await;
        let hits = faults.heal();
        if hits.is_empty() {
            break ended.ok();
        }
        assert_eq!((ended.status, ended.stdout.as_str()), (-1, ""), "{hits:?}");
        if keys(&platform).len() == 2 {
            with_two_keys += 1;
            let found = platform.on_host(&["doctor"]).await.stdout;
            assert!(
                found.contains("holds 2 keys: a rotation was broken off"),
                "{found}"
            );
        }
        platform.boot().await;
        let read = platform.api().config(&"demo".parse().unwrap()).await.unwrap();
        assert_eq!(read, config, "killed at {hits:?}");
        platform.kill();
    };
    assert!(nth > 3 && with_two_keys > 0, "{nth} {with_two_keys}");
    let now = keys(&platform);
    assert!(now.len() == 1 && now != before, "{last}");
    assert!(
        last.contains(&now[0][..8]) && !last.contains(&now[0][9..]),
        "{last}"
    );

    platform.boot().await;
    platform
        .wait_for("demo", "version one", Duration::from_secs(60))
        .await;
    assert_eq!(platform.get("demo", "/env/KEY_49").await.1, "correct-horse-4-49");
    let read = platform.api().config(&"demo".parse().unwrap()).await.unwrap();
    assert_eq!(read, config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_rotates_its_key_beside_changes_and_without_a_failed_one() {
    let mut platform = Platform::start().await;
    serving(&platform).await;
    let before = keys(&platform);
    let (api, app) = (platform.api(), "demo".parse().unwrap());
    let change = |n: usize| [("COUNT".to_owned(), Some(n.to_string()))].into();
    let changes = async {
        for n in 0..10 {
            api.set_config(&app, &change(n)).await.unwrap();
        }
    };
    let (rotated, ()) = tokio::join!(platform.on_host(ROTATE), changes);
    let said = rotated.ok();
    let now = keys(&platform);
    assert!(now.len() == 1 && now != before, "{said}");
    assert!(
        said.starts_with("Rotated the sealing key: ") && said.contains(&now[0][..8]),
        "{said}"
    );
    assert!(!said.contains(&now[0][9..]) && !platform.log().contains(&now[0][9..]));

    // From the file alone.
    platform.kill();
    platform.boot().await;
    let config = platform.api().config(&app).await.unwrap();
    assert_eq!((config.len(), config["COUNT"].as_str()), (51, "9"));
    let mut found = Vec::new();
    files_holding(platform.state_dir(), b"correct-horse-4-49", &mut found);
    assert_eq!(found, Vec::<String>::new());
    let again = platform.on_host(ROTATE).await.ok();
    assert!(
        again.starts_with("Rotated the sealing key: ") && keys(&platform) != now,
        "{again}"
    );
}

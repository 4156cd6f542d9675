//! Volumes: what an app puts there is there after whatever becomes of the app, and two releases never write it at once.

use pvdify_tests::{Load, Platform, Pusher, probe_with, probe_with_dockerfile, write_probe};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(120);
const AS_ROOT: &str = "FROM scratch\nCOPY server version /\nCMD [\"/server\"]\n";
/// The probe, by a user of its own.
const AS_USER: &str = "FROM scratch\nCOPY server version /\nUSER 4711:4712\nCMD [\"/server\"]\n";
const DEAF: &str = "FROM scratch\nCOPY server version /\nCMD [\"/server\", \"deaf\"]\n";
/// Two types, so that one has the volume and the other has not.
const PROCFILE: &str = "web: /server\nworker: /server\n";
const WITH_PROCFILE: &str = "FROM pvdify/run:trixie\nCOPY server version /\nCMD [\"/server\"]\n";

/// The data of the only volume, on the host.
fn data(platform: &Platform) -> PathBuf {
    let volumes = platform.state_dir().join("volumes");
    let below = |folder: PathBuf| {
        let mut all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        all.find(|path| !path.ends_with("destroyed")).unwrap()
    };
    below(below(volumes)).join("data")
}

/// An app `demo` that serves, with a volume at /data that it has to itself. From then on it locks a file there: a release
/// that starts while another one has the volume ends at once.
async fn with_volume(platform: &Platform, dockerfile: &str) -> Pusher {
    let pusher = Pusher::new(platform, "demo").await;
    pusher.commit(|dir| probe_with_dockerfile(dir, "one", dockerfile));
    pusher.push().await.ok();
    platform.cli(&["storage:create", "demo", "data"]).await.ok();
    let mount = ["storage:mount", "demo", "data", "/data", "--process", "web"];
    platform.cli(&mount).await.ok();
    platform.cli(&["config:set", "demo", "ALONE=1"]).await.ok();
    pusher
}

async fn put(platform: &Platform, line: &str) {
    let (status, body) = platform.get("demo", &format!("/put/{line}")).await;
    assert_eq!(status, 200, "{body}");
}

async fn lines(platform: &Platform) -> String {
    let (status, body) = platform.get("demo", "/lines").await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn until(platform: &Platform, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(
            started.elapsed() < LIMIT,
            "not in time: {what}\n{}",
            platform.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_outlives_deploys_rollbacks_restarts_kills_and_garbage_collection() {
    let often = [("PVDIFY_KEEP_IMAGES", "2"), ("PVDIFY_GARBAGE_MINUTES", "0.03")];
    let mut platform = Platform::start_with(&often).await;
    let pusher = with_volume(&platform, AS_ROOT).await;
    put(&platform, "first").await;
    for version in ["two", "three"] {
        pusher.commit(|dir| write_probe(dir, version));
        let said = pusher.push().await.ok();
        assert!(said.contains("Stopping web.1 of v"), "{said}");
        platform
            .wait_for("demo", &format!("version {version}"), LIMIT)
            .await;
        put(&platform, version).await;
    }
    platform.cli(&["rollback", "demo"]).await.ok();
    platform.wait_for("demo", "version two", LIMIT).await;
    put(&platform, "back").await;

    let before = platform.running();
    platform.cli(&["ps:restart", "demo"]).await.ok();
    until(&platform, "another instance answers", async || {
        platform.running() != before && platform.get("demo", "/lines").await.0 == 200
    })
    .await;
    put(&platform, "restarted").await;

    let before = platform.running();
    platform.kill();
    platform.boot().await;
    platform.wait_for("demo", "version two", LIMIT).await;
    assert_eq!(platform.running(), before);
    let rounds = || platform.log().matches("removed what no release needs").count();
    let seen = rounds();
    for n in 1..=3 {
        pusher.commit(|dir| write_probe(dir, &format!("more{n}")));
        pusher.push().await.ok();
    }
    until(&platform, "garbage was collected", async || rounds() > seen).await;
    assert_eq!(lines(&platform).await, "first\ntwo\nthree\nback\nrestarted\n");

    // What would take it takes a word of its own.
    let refused = platform.cli(&["apps:delete", "demo", "--confirm", "demo"]).await;
    assert_ne!(refused.status, 0);
    assert!(
        refused
            .stderr
            .contains("error: demo has volumes, which are not deleted with it: data"),
        "{}",
        refused.stderr
    );
    let two = platform.cli(&["ps:scale", "demo", "web=2"]).await;
    assert!(
        two.stderr
            .contains("error: web has the volume data to itself, so one of it can run, not 2"),
        "{}",
        two.stderr
    );
    let folder = data(&platform);
    platform.cli(&["config:unset", "demo", "ALONE"]).await.ok();
    platform.cli(&["storage:unmount", "demo", "data"]).await.ok();
    assert!(folder.join("lines").exists());
    platform
        .cli(&["storage:destroy", "demo", "data", "--confirm", "data"])
        .await
        .ok();
    assert!(!folder.exists());
    platform
        .cli(&["apps:delete", "demo", "--confirm", "demo"])
        .await
        .ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_fails_gives_the_volume_back_to_the_one_before() {
    let platform = Platform::start().await;
    let pusher = with_volume(&platform, AS_ROOT).await;
    put(&platform, "kept").await;
    let settings = serde_json::json!({ "healthcheck": { "path": null, "timeout_seconds": 5 } });
    let url = format!("http://{}/api/v1/apps/demo", platform.address("api"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let changed = client.patch(url).json(&settings).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    until(&platform, "the setting serves", async || {
        let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
        releases.iter().all(|release| !release.status.is_open())
    })
    .await;
    pusher.commit(|dir| probe_with_dockerfile(dir, "two", DEAF));
    let said = pusher.push().await.rejected();
    assert!(
        said.contains("web.1 did not listen on port 8080")
            && said.contains("because of a volume, starts again"),
        "{said}"
    );
    platform.wait_for("demo", "version one", LIMIT).await;
    assert_eq!(lines(&platform).await, "kept\n");
    put(&platform, "again").await;

    // Its folder gone, nothing is made in its place.
    let (folder, away) = (data(&platform), data(&platform).with_file_name("away"));
    fs::rename(&folder, &away).unwrap();
    pusher.commit(|dir| write_probe(dir, "three"));
    let said = pusher.push().await.rejected();
    assert!(!said.contains("Stopping web"), "nothing stopped for it: {said}");
    assert!(
        said.contains("the volume data can't be mounted") && said.contains("Nothing was made"),
        "{said}"
    );
    assert!(!folder.exists());
    fs::rename(&away, &folder).unwrap();
    platform.wait_for("demo", "version one", LIMIT).await;
    assert_eq!(lines(&platform).await, "kept\nagain\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_volume_is_had_by_both_releases_at_once() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let write = |dir: &Path, version: &str| {
        probe_with(
            dir,
            version,
            &[("Procfile", PROCFILE), ("Dockerfile", WITH_PROCFILE)],
        );
    };
    pusher.commit(|dir| write(dir, "one"));
    pusher.push().await.ok();
    platform.cli(&["storage:create", "demo", "data"]).await.ok();
    let mount = ["storage:mount", "demo", "data", "/data", "--shared"];
    platform.cli(&mount).await.ok();
    platform
        .cli(&["ps:scale", "demo", "web=2", "worker=1"])
        .await
        .ok();
    put(&platform, "one").await;
    let load = Load::start(&platform, "demo", 20);
    pusher.commit(|dir| write(dir, "two"));
    let said = pusher.push().await.ok();
    assert!(!said.contains("Stopping web"), "{said}");
    let report = load.stop().await;
    assert_eq!(report.failures, Vec::<String>::new());
    assert_eq!(lines(&platform).await, "one\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_back_whole_and_what_was_there_is_kept() {
    let mut platform = Platform::start().await;
    with_volume(&platform, AS_USER).await;
    put(&platform, "one").await;
    let listed = platform.cli(&["storage:list", "demo"]).await.ok();
    assert!(
        listed.contains("4711:4712") && listed.contains("web:/data"),
        "{listed}"
    );
    let file = data(&platform).join("lines");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

    let said = platform
        .cli(&["storage:snapshot", "demo", "data", "--name", "s1"])
        .await;
    assert!(said.stderr.contains("The app ran meanwhile"), "{said:?}");
    put(&platform, "two").await;
    let said = platform
        .cli(&["storage:snapshot", "demo", "data", "--name", "s2", "--stop"])
        .await;
    assert!(!said.stderr.contains("The app ran meanwhile"), "{said:?}");
    said.ok();
    platform.wait_for("demo", "version one", LIMIT).await;

    platform
        .cli(&["storage:restore", "demo", "data", "s1"])
        .await
        .ok();
    platform.wait_for("demo", "version one", LIMIT).await;
    assert_eq!(lines(&platform).await, "one\n");
    let meta = file.metadata().unwrap();
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777),
        (4711, 4712, 0o640)
    );
    put(&platform, "other").await;
    let all = platform.cli(&["storage:snapshots", "demo", "data"]).await.ok();
    let before = all
        .split_whitespace()
        .find(|word| word.starts_with("before-restore-"))
        .unwrap();

    // A kill in a restore leaves one or the other, and the app serves again.
    let url = format!(
        "http://{}/api/v1/apps/demo/volumes/data/restore",
        platform.address("api")
    );
    let body = serde_json::json!({ "snapshot": before });
    let begun = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = begun.post(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    platform.kill();
    platform.boot().await;
    platform.wait_for("demo", "version one", LIMIT).await;
    let whole = ["one\nother\n", "one\ntwo\n"];
    let now = lines(&platform).await;
    assert!(whole.contains(&now.as_str()), "{now}");
    let volume = &platform.api().volumes(&"demo".parse().unwrap()).await.unwrap()[0];
    assert_eq!(volume.operation, None);
    platform
        .cli(&["storage:restore", "demo", "data", before])
        .await
        .ok();
    platform.wait_for("demo", "version one", LIMIT).await;
    assert_eq!(lines(&platform).await, "one\ntwo\n");
}

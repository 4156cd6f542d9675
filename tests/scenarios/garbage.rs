//! Disks don't fill up: what no release needs any more goes, what a rollback may need stays, and no deploy
//! notices that anything is removed.

use pvdify_tests::{Platform, Pusher, write_probe};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Every two seconds, and two images an app.
const OFTEN: [(&str, &str); 2] = [("PVDIFY_KEEP_IMAGES", "2"), ("PVDIFY_GARBAGE_MINUTES", "0.03")];
const LIMIT: Duration = Duration::from_secs(180);

/// A release's image: its manifest's place in the registry, and Podman's id of it.
struct Image {
    manifest: PathBuf,
    id: String,
}

impl Image {
    fn of_current(platform: &Platform, image: &str) -> Self {
        let blobs = platform.state_dir().join("registry/blobs/sha256");
        let hex = image.rsplit_once("@sha256:").unwrap().1;
        let manifest = blobs.join(&hex[..2]).join(hex);
        let json: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
        let config = json["config"]["digest"].as_str().unwrap();
        let id = config.strip_prefix("sha256:").unwrap().to_owned();
        Self { manifest, id }
    }

    /// Whether the registry, and whether Podman has it.
    fn is_there(&self) -> (bool, bool) {
        (self.manifest.exists(), podman(&["image", "exists", &self.id]))
    }
}

fn podman(args: &[&str]) -> bool {
    let mut command = Command::new("podman");
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().success()
}

async fn current_image(platform: &Platform, app: &str) -> Image {
    let app = platform.api().app(&app.parse().unwrap()).await.unwrap();
    Image::of_current(platform, &app.image.unwrap())
}

async fn until(platform: &Platform, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < LIMIT,
            "not in time: {what}\n{}",
            platform.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many rounds of collection removed something so far.
fn rounds(platform: &Platform) -> usize {
    platform.log().matches("removed what no release needs").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_collection_keeps_what_a_rollback_may_need_and_nothing_else() {
    let platform = Platform::start_with(&OFTEN).await;
    let pusher = Pusher::new(&platform, "demo").await;
    let mut images = Vec::new();
    for version in ["one", "two", "three"] {
        pusher.commit(|dir| write_probe(dir, version));
        pusher.push().await.ok();
        images.push(current_image(&platform, "demo").await);
        // Releases without images of their own count for nothing.
        for n in 1..=3 {
            let set = format!("N={version}{n}");
            platform.cli(&["config:set", "demo", &set]).await.ok();
        }
    }
    let releases = platform.api().releases(&"demo".parse().unwrap()).await.unwrap();
    assert_eq!(releases.len(), 12);
    until(&platform, "the oldest image is gone", || {
        images[0].is_there() == (false, false)
    })
    .await;
    assert!(images[1].manifest.exists() && images[2].is_there() == (true, true));

    let gone = platform.cli(&["rollback", "demo", "v1"]).await;
    assert_ne!(gone.status, 0);
    let errors: Vec<_> = gone
        .stderr
        .lines()
        .filter(|line| line.starts_with("error"))
        .collect();
    assert_eq!(errors.len(), 1, "{}", gone.stderr);
    assert!(
        errors[0].contains("the image of demo v1 is no longer kept: only those of the last 2 are"),
        "{}",
        gone.stderr
    );
    platform.cli(&["rollback", "demo", "v8"]).await.ok();
    assert!(platform.get("demo", "/").await.1.starts_with("version two\n"));
    assert_eq!(platform.get("demo", "/env/N").await.1, "two3");

    // With the app goes the rest, and its name's next app starts with an empty repository.
    platform
        .cli(&["apps:delete", "demo", "--confirm", "demo"])
        .await
        .ok();
    let repository = images[0]
        .manifest
        .ancestors()
        .nth(4)
        .unwrap()
        .join("repositories/demo");
    until(&platform, "the deleted app's images are gone", || {
        !repository.exists() && images.iter().all(|image| image.is_there() == (false, false))
    })
    .await;
    let again = Pusher::new(&platform, "demo").await;
    again.commit(|dir| write_probe(dir, "again"));
    again.push().await.ok();
    assert!(platform.get("demo", "/").await.1.starts_with("version again\n"));
}

/// Pushes the same three contents in turn: each image is garbage after a while, and then, from the cache, as
/// old as before, an app's newest.
async fn push_in_turn(platform: &Platform, pusher: &Pusher, app: &str, enough: impl Fn(usize) -> bool) {
    let started = Instant::now();
    for (n, version) in ["one", "two", "three"].iter().cycle().enumerate() {
        if enough(n) {
            return;
        }
        assert!(
            started.elapsed() < LIMIT,
            "not enough was removed in {n} pushes\n{}",
            platform.log()
        );
        pusher.commit(|dir| write_probe(dir, version));
        pusher.push().await.ok();
        let (status, body) = platform.get(app, "/").await;
        assert!(
            status == 200 && body.starts_with(&format!("version {version}\n")),
            "{app}: {status} {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deploys_go_on_while_garbage_is_collected_all_the_time() {
    let often = [("PVDIFY_KEEP_IMAGES", "1"), ("PVDIFY_GARBAGE_MINUTES", "0.03")];
    let platform = Platform::start_with(&often).await;
    let left = Pusher::new(&platform, "left").await;
    let right = Pusher::new(&platform, "right").await;
    let enough = |pushes| pushes >= 9 && rounds(&platform) >= 3;
    tokio::join!(
        push_in_turn(&platform, &left, "left", enough),
        push_in_turn(&platform, &right, "right", enough),
    );
    for app in ["left", "right"] {
        assert!(current_image(&platform, app).await.manifest.exists());
    }
    let log = platform.log();
    let failures = log.lines().filter(|line| line.contains("garbage collection:"));
    // Others remove images from the same storage at the same time; the next round does it.
    let own: Vec<_> = failures
        .filter(|line| !line.contains("image not known"))
        .collect();
    assert_eq!(own, Vec::<&str>::new());
}

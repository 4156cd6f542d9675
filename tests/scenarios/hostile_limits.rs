//! Buildpacks that use more than a build may, and such that leave files that are not what they should be: each ends
//! with one clear line, and the platform and other apps go on.

use crate::hostile::write;
use pvdify_tests::{Platform, Pusher, write_probe};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// What a folder takes up, in KiB.
fn used(folder: &Path) -> u64 {
    let output = Command::new("du").arg("-sk").arg(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

async fn with_a_neighbour(settings: &[(&str, &str)]) -> (Platform, Pusher) {
    let platform = Platform::start_with(settings).await;
    let neighbour = Pusher::new(&platform, "neighbour").await;
    neighbour.commit(|dir| write_probe(dir, "fine"));
    neighbour.push().await.ok();
    let pusher = Pusher::new(&platform, "hostile").await;
    (platform, pusher)
}

/// The platform is as before: the neighbour answers, and the app itself can be built.
async fn is_healthy(platform: &Platform, pusher: &Pusher) {
    assert_eq!(platform.get("neighbour", "/").await.0, 200);
    pusher.commit(|dir| write(dir, "echo fine > facts\n"));
    let said = pusher.push().await.ok();
    assert_eq!(
        platform.get("hostile", "/").await,
        (200, "fine\n".to_owned()),
        "{said}"
    );
}

async fn rejected(pusher: &Pusher, attack: &str, reason: &str) -> String {
    pusher.commit(|dir| write(dir, attack));
    let said = pusher.push().await.rejected();
    let end: String = said
        .chars()
        .skip(said.chars().count().saturating_sub(3000))
        .collect();
    assert!(said.contains(reason), "{attack}: {reason}\n{end}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_fills_the_disk_is_stopped_and_the_disk_is_free_again() {
    let (platform, pusher) = with_a_neighbour(&[("PVDIFY_BUILD_DISK_MIB", "300")]).await;
    let builds = platform.state_dir().join("builds");
    let before = used(&builds);
    for folder in [
        "/layers",
        "/layers/me_hostile/cache",
        "/workspace",
        "/tmp",
        "/downloads/new",
        "/home/cnb",
    ] {
        let attack =
            format!("mkdir -p {folder}; fallocate -l 400M {folder}/large || exit 1; sleep 600 # {folder}\n");
        let said = rejected(
            &pusher,
            &attack,
            "MiB of disk, a build may use 300 MiB, and was stopped",
        )
        .await;
        assert!(said.contains("leave out what it does not need"), "{said}");
    }
    is_healthy(&platform, &pusher).await;
    let begun = Instant::now();
    while used(&builds) > before + (150 << 10) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} KiB", used(&builds));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_takes_all_processes_or_memory_is_stopped() {
    let (platform, pusher) = with_a_neighbour(&[("PVDIFY_BUILD_MEMORY_MIB", "256")]).await;
    let hog = "perl -e '$x = \"x\" x (1 << 29); print length $x'\nexit $?\n";
    rejected(&pusher, hog, "as when memory runs out: a build may use 256 MiB").await;
    // Every process takes some memory: whichever of the two ends first, the build ends.
    let bomb = "bomb() { bomb | bomb & }; bomb; sleep 5; exit 1\n";
    rejected(&pusher, bomb, "error: ").await;
    is_healthy(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_output_is_cut_and_draws_nothing() {
    let (platform, pusher) = with_a_neighbour(&[]).await;
    let said = rejected(
        &pusher,
        "yes 'a line of a flood' | head -c 100000000; printf '\\e[2J\\e]0;title\\a\\rover\\n'; exit 1\n",
        "output is left out",
    )
    .await;
    assert!(said.contains("bin/build of me/hostile") && said.len() < 8 << 20);
    assert!(!said.contains("\u{1b}[2J") && !said.contains("\u{1b}]0"));
    let line = "head -c 50000000 /dev/zero | tr '\\0' x; exit 1\n";
    let said = rejected(&pusher, line, "failed: exit status 1").await;
    assert!(said.len() < 8 << 20);
    is_healthy(&platform, &pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_what_they_should_be_are_refused_by_name() {
    let (platform, pusher) = with_a_neighbour(&[]).await;
    let of_layers = [
        (
            "mkfifo $CNB_LAYERS_DIR/x.toml",
            "x.toml can't be read: it is no regular file",
        ),
        (
            "ln -s /dev/zero $CNB_LAYERS_DIR/x.toml",
            "x.toml can't be read: it is a link",
        ),
        (
            "head -c 6000000 /dev/zero | tr '\\0' '#' > $CNB_LAYERS_DIR/x.toml",
            "x.toml can't be read: it is larger than 4 MiB",
        ),
        (
            "head -c 100000 /dev/zero | tr '\\0' '[' > $CNB_LAYERS_DIR/x.toml",
            "x.toml can't be read",
        ),
        (
            "echo 'types = 3' > $CNB_LAYERS_DIR/x.toml",
            "x.toml can't be read",
        ),
        (
            "mkdir $CNB_LAYERS_DIR/build.toml",
            "build.toml can't be read: it is no regular file",
        ),
        (
            "ln -s /etc/passwd $CNB_LAYERS_DIR/launch.sbom.cdx.json",
            "launch.sbom.cdx.json",
        ),
        (
            "printf '[types]\\nlaunch = true\\n' > $CNB_LAYERS_DIR/x.toml; ln -s / $CNB_LAYERS_DIR/x",
            "me/hostile:x",
        ),
    ];
    for (attack, reason) in of_layers {
        rejected(&pusher, &format!("{attack}\n"), reason).await;
    }
    let of_launch = [
        (
            "[[processes]]\\ntype = \"../../x\"\\ncommand = [\"x\"]",
            "../../x",
        ),
        ("[[slices]]\\npaths = [\"[\"]", "is no slice pattern"),
        ("[[labels]]\\nkey = 3", "launch.toml can't be read"),
    ];
    for (launch, reason) in of_launch {
        // The script ends before it writes what an app would need.
        let attack = format!("printf '{launch}\\n' > $CNB_LAYERS_DIR/launch.toml; exit 0\n");
        rejected(&pusher, &attack, reason).await;
    }
    is_healthy(&platform, &pusher).await;
}

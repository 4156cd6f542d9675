//! Config vars reach the app by a release of their own and are written nowhere in clear.

use pvdify_tests::{Platform, Pusher, probe_with_dockerfile, run, write_probe};
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

/// Says what its steps see of the config vars.
const LOOKS: &str = "FROM pvdify/run:trixie\nCOPY server version /\n\
    RUN --mount=type=secret,id=TOKEN sha256sum < /run/secrets/TOKEN\n\
    RUN echo \"environment: ${TOKEN:-none} ${PLAIN:-none}; files: $(ls -A /run/secrets 2>&1 | wc -w)\"\n\
    CMD [\"/server\"]\n";
/// The same of a buildpack, told by the app.
const BUILDPACK_LOOKS: &str = r#"
printf '%s' "$TOKEN" | sha256sum | cut -c1-64 > facts
echo "file: $(sha256sum < "$CNB_PLATFORM_DIR/env/TOKEN" | cut -c1-64), other: ${PLAIN:-none}" >> facts
"#;

fn hash(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    fs::write(&file, text).unwrap();
    run("sha256sum", &[&file.display().to_string()])[..64].to_owned()
}

/// The files of what runs, and its images' config and history, hold nothing of the text.
fn assert_not_in_images(platform: &Platform, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut said = String::new();
    for (index, running) in platform.running().iter().enumerate() {
        let container = running.split(' ').next().unwrap();
        let file = folder.path().join(format!("{index}.tar")).display().to_string();
        run("podman", &["export", "--output", &file, container]);
        let image = run(
            "podman",
            &["container", "inspect", "--format", "{{.Image}}", container],
        );
        said.push_str(&run("podman", &["history", "--no-trunc", image.trim()]));
        said.push_str(&run("podman", &["image", "inspect", image.trim()]));
    }
    assert!(
        said.contains("id=TOKEN."),
        "the test reads what an image says of its steps"
    );
    assert!(!said.contains(text));
    let mut found = Vec::new();
    files_holding(folder.path(), text.as_bytes(), &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_sees_what_it_is_given_and_nothing_of_that_is_in_the_image() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    let token = format!("TOKEN={SECRET}");
    let set = platform.cli(&["config:set", "demo", "--build", &token]).await;
    assert_eq!(set.stderr, "The next build sees TOKEN.\n");
    platform.cli(&["config:set", "demo", "PLAIN=4711"]).await.ok();

    pusher.commit(|dir| probe_with_dockerfile(dir, "one", LOOKS));
    let said = pusher.push().await.ok();
    assert!(said.contains("Config vars as secrets: TOKEN "), "{said}");
    assert!(said.contains(&hash(SECRET)) && !said.contains(SECRET), "{said}");
    assert!(said.contains("environment: none none; files: 0"), "{said}");
    // What runs has both.
    assert_eq!(platform.get("demo", "/env/TOKEN").await.1, SECRET);
    assert_eq!(platform.get("demo", "/env/PLAIN").await.1, "4711");
    assert_not_in_images(&platform, SECRET);

    // A step that reads a value is not taken from the cache once that is another.
    let set = platform
        .cli(&["config:set", "demo", "TOKEN=another", "A=1"])
        .await;
    assert!(
        set.stderr.ends_with("The next build sees TOKEN.\n"),
        "{}",
        set.stderr
    );
    pusher.commit(|dir| probe_with_dockerfile(dir, "two", LOOKS));
    let said = pusher.push().await.ok();
    assert!(said.contains(&hash("another")), "{said}");

    // Taken back, the build goes without, and its pusher is told.
    platform
        .cli(&["config:scope", "demo", "--run", "TOKEN"])
        .await
        .ok();
    pusher.commit(|dir| probe_with_dockerfile(dir, "three", LOOKS));
    let said = pusher.push().await.rejected();
    assert!(
        said.contains("Dockerfile line 3: the build has no secret TOKEN; give it one: pvdify config:set demo --build TOKEN=..."),
        "{said}"
    );
    assert_eq!(platform.get("demo", "/env/TOKEN").await.1, "another");

    // By buildpacks.
    let pusher = Pusher::new(&platform, "packs").await;
    platform
        .cli(&["config:set", "packs", &token, "PLAIN=4711"])
        .await
        .ok();
    platform
        .cli(&["config:scope", "packs", "--build", "TOKEN"])
        .await
        .ok();
    pusher.commit(|dir| crate::hostile::write(dir, BUILDPACK_LOOKS));
    let said = pusher.push().await.ok();
    assert!(said.contains("Config vars in the build: TOKEN "), "{said}");
    let seen = hash(SECRET);
    assert_eq!(
        platform.get("packs", "/").await,
        (200, format!("{seen}\nfile: {seen}, other: none\n"))
    );
    assert_not_in_images(&platform, SECRET);

    let mut found = Vec::new();
    files_holding(platform.state_dir(), SECRET.as_bytes(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(processes_holding(SECRET), Vec::<String>::new());
    assert!(!platform.log().contains(SECRET));
}

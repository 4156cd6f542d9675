//! Whole builder images of somebody else: an app is built in one, by its own lifecycle and as its own user, stands on
//! the run image that it names, and comes back to our stack. The lifecycle is the reference's.

mod refused;

use crate::{
    deploy_image::open_registry,
    pack::{image_of, inspected},
};
use pvdify_tests::{Pack, Platform, Pusher, run};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(120);
/// Often, so that what a build stands on would be missed at once.
const OFTEN: [(&str, &str); 2] = [("PVDIFY_KEEP_IMAGES", "2"), ("PVDIFY_GARBAGE_MINUTES", "0.03")];

const ORDER: &str = "[[order]]\n[[order.group]]\nid = \"acme/counting\"\nversion = \"1.0.0\"\n";
const LIFECYCLE: &str = "[apis.buildpack]\nsupported = [\"0.9\", \"0.10\"]\n[apis.platform]\ndeprecated = []\n\
                         supported = [\"0.12\", \"0.13\", \"0.14\"]\n[lifecycle]\nversion = \"0.21.11\"\n";
const DESCRIPTOR: &str =
    "api = \"0.10\"\n[buildpack]\nid = \"acme/counting\"\nversion = \"1.0.0\"\n[[targets]]\nos = \"linux\"\n";
/// Counts its builds in a layer that is kept, and tells the app.
const BUILD: &str = r#"#!/bin/bash
layer="$CNB_LAYERS_DIR/counted"
mkdir -p "$layer/env.launch"
echo x >> "$layer/builds"
count="$(wc -l < "$layer/builds")"
printf 'build %s' "$count" > "$layer/env.launch/COUNTED"
printf '[types]\nlaunch = true\ncache = true\n' > "$layer.toml"
printf '[[processes]]\ntype = "web"\ncommand = ["perl", "server.pl"]\ndefault = true\n' > "$CNB_LAYERS_DIR/launch.toml"
echo "---> Counting: build $count as $(id -u):$(id -g), stack $CNB_STACK_ID"
for path in /cnb /open /var/tmp; do
  if : > $path/mine; then echo "---> $path is open"; fi
done 2>/dev/null
"#;
const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
my $base = -e "/acme-run" ? "acme" : "ours";
my $counted = $ENV{COUNTED} // "not counted";
my $owner = (stat "server.pl")[4];
my $body = "$counted, as $<, of $owner, on $base, VERSION";
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;

fn app(dir: &Path, version: &str) {
    fs::write(dir.join("server.pl"), SERVER.replace("VERSION", version)).unwrap();
    fs::write(dir.join("Procfile"), "web: perl server.pl\nworker: sleep 1000\n").unwrap();
}

/// An image of a folder with a Dockerfile, pushed to `reference` and gone from Podman's storage.
pub(crate) fn push_image(folder: &Path, dockerfile: &str, reference: &str, platform: Option<&str>) {
    fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let context = folder.to_str().unwrap();
    let platform = platform.map(|platform| format!("--platform={platform}"));
    let mut args = vec!["build", "-q", "--tls-verify=false", "-t", reference];
    args.extend(platform.as_deref());
    args.push(context);
    run("podman", &args);
    run("podman", &["push", "-q", "--tls-verify=false", reference]);
    run("podman", &["rmi", reference]);
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A builder's metadata, with its run image.
fn label(run_image: &str) -> Value {
    json!({
        "description": "counts",
        "buildpacks": [{"id": "acme/counting", "version": "1.0.0"}],
        "stack": {"runImage": {"image": run_image, "mirrors": null}},
        "images": [{"image": run_image, "mirrors": null}],
        "lifecycle": {"version": "0.21.11"},
        "createdBy": {"name": "a scenario", "version": "1"},
    })
}

/// What [`push_builders`] pushed.
struct Pushed {
    builder: String,
    /// The same with a lifecycle of a few years ago.
    older: String,
    run_image: String,
}

/// Pushes builders and their run image, which is to be had by its mirror alone.
fn push_builders(reference: &Path, registry: &str) -> Pushed {
    let folder = tempfile::tempdir().unwrap();
    let run_image = format!("{registry}/acme/run:1");
    fs::write(folder.path().join("acme-run"), registry).unwrap();
    let dockerfile = "FROM localhost/pvdify/run:trixie\nCOPY acme-run /acme-run\nUSER 1234:1235\n";
    push_image(folder.path(), dockerfile, &run_image, None);
    fs::remove_file(folder.path().join("acme-run")).unwrap();

    let cnb = folder.path().join("cnb");
    write(&cnb.join("order.toml"), ORDER, 0o644);
    let names = format!("[[images]]\nimage = \"{registry}/gone/run:1\"\nmirrors = [\"{run_image}\"]\n");
    write(&cnb.join("run.toml"), &names, 0o644);
    write(&cnb.join("lifecycle/lifecycle.toml"), LIFECYCLE, 0o644);
    for program in ["lifecycle", "launcher"] {
        fs::copy(reference.join(program), cnb.join("lifecycle").join(program)).unwrap();
    }
    for phase in ["detector", "builder"] {
        symlink("lifecycle", cnb.join("lifecycle").join(phase)).unwrap();
    }
    let buildpack = cnb.join("buildpacks/acme_counting/1.0.0");
    write(&buildpack.join("buildpack.toml"), DESCRIPTOR, 0o644);
    write(
        &buildpack.join("bin/detect"),
        "#!/bin/sh\ntest -f server.pl || exit 100\n",
        0o755,
    );
    write(&buildpack.join("bin/build"), BUILD, 0o755);
    let builder = format!("{registry}/acme/builder:1");
    let dockerfile = format!(
        "FROM localhost/pvdify/run:trixie\nUSER root\nCOPY cnb /cnb\n\
         RUN mkdir --mode=777 /open\nVOLUME /open\n\
         ENV CNB_USER_ID=1234 CNB_GROUP_ID=1235 CNB_STACK_ID=acme.stack\n\
         LABEL io.buildpacks.builder.metadata='{}'\nUSER 1234:1235\n",
        label("acme/of-label:1")
    );
    push_image(folder.path(), &dockerfile, &builder, None);
    let older = format!("{registry}/acme/older:1");
    let lifecycle = LIFECYCLE.replace("\"0.12\", \"0.13\", \"0.14\"", "\"0.6\", \"0.7\"");
    write(&cnb.join("lifecycle/lifecycle.toml"), &lifecycle, 0o644);
    push_image(folder.path(), &dockerfile, &older, None);
    Pushed {
        builder,
        older,
        run_image,
    }
}

/// The config of what an app's release runs.
async fn config(platform: &Platform, app: &str) -> Value {
    let image = image_of(platform, app).await;
    let manifest = blob(platform, image.rsplit_once('@').unwrap().1);
    blob(platform, manifest["config"]["digest"].as_str().unwrap())
}

fn blob(platform: &Platform, digest: &str) -> Value {
    let hex = digest.strip_prefix("sha256:").unwrap();
    let blobs = platform.state_dir().join("registry/blobs/sha256");
    serde_json::from_slice(&fs::read(blobs.join(&hex[..2]).join(hex)).unwrap()).unwrap()
}

fn podman_has(image: &str) -> bool {
    let mut command = Command::new("podman");
    command
        .args(["image", "exists", image])
        .status()
        .unwrap()
        .success()
}

/// The line that holds a text, without git's own beginning.
fn line<'a>(output: &'a str, text: &str) -> &'a str {
    let found = output.lines().find(|line| line.contains(text));
    assert!(found.is_some(), "no line with {text}:\n{output}");
    found.unwrap_or_default().trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_built_by_a_whole_builder_stands_on_its_run_image_and_comes_back() {
    let Some(reference) = pvdify_tests::reference() else {
        eprintln!("left out: the reference is not there");
        return;
    };
    let platform = Platform::start_with(&OFTEN).await;
    let (registry, _dir, serving) = open_registry().await;
    let at = registry.clone();
    let pushed = tokio::task::spawn_blocking(move || push_builders(&reference, &at)).await;
    let Pushed {
        builder,
        older,
        run_image,
    } = pushed.unwrap();
    let pusher = Pusher::new(&platform, "hello").await;
    let named = format!("docker://{builder}");
    platform.cli(&["buildpacks:set", "hello", &named]).await.ok();
    let shown = platform.cli(&["buildpacks", "hello"]).await.ok();
    assert!(shown.contains(&named), "{shown}");

    pusher.commit(|dir| app(dir, "one"));
    let first = pusher.push().await.ok();
    for text in [
        format!("-----> Using the builder {builder}"),
        "lifecycle 0.21.11, Platform API 0.14, as user 1234:1235".to_owned(),
        format!("run image {run_image}"),
        "acme/counting 1.0.0".to_owned(),
        "---> Counting: build 1 as 1234:1235, stack acme.stack".to_owned(),
        "Not of the image, for no buildpack that built it read the Procfile: worker".to_owned(),
    ] {
        assert!(first.contains(&text), "{text}:\n{first}");
    }
    assert!(!first.contains(" is open"), "{first}");
    assert_eq!(
        platform.get("hello", "/").await,
        (200, "build 1, as 1234, of 1234, on acme, one".to_owned())
    );
    let config_of_first = config(&platform, "hello").await;
    let labels = &config_of_first["config"]["Labels"];
    let metadata: Value =
        serde_json::from_str(labels["io.buildpacks.lifecycle.metadata"].as_str().unwrap()).unwrap();
    assert_eq!(metadata["runImage"]["image"], format!("{registry}/gone/run:1"));
    assert_eq!(metadata["runImage"]["mirrors"], json!([run_image]));
    let env = config_of_first["config"]["Env"].to_string();
    assert!(env.contains("CNB_PLATFORM_API=0.14"), "{env}");
    let build: Value =
        serde_json::from_str(labels["io.buildpacks.build.metadata"].as_str().unwrap()).unwrap();
    assert_eq!(build["launcher"]["version"], "0.21.11");

    if let Some(pack) = Pack::new(&platform).await {
        let told = inspected(&pack, &image_of(&platform, "hello").await).await;
        assert_eq!(
            told["buildpacks"],
            json!([{"id": "acme/counting", "version": "1.0.0"}])
        );
        let names = [format!("{registry}/gone/run:1"), run_image.clone()];
        assert_eq!(told["run_images"], json!(names.map(|name| json!({"name": name}))));
        assert_eq!(told["base_image"]["top_layer"], metadata["runImage"]["topLayer"]);
        assert_eq!(told["rebasable"], true);
    }

    // What it cached is there for the next build, and nothing is fetched again.
    pusher.commit(|dir| app(dir, "two"));
    let second = pusher.push().await.ok();
    assert!(
        second.contains("---> Counting: build 2 as") && !second.contains("fetching "),
        "{second}"
    );
    assert_eq!(
        platform.get("hello", "/").await.1,
        "build 2, as 1234, of 1234, on acme, two"
    );

    // Another stack's update is none of its business.
    let made = platform.on_host(&["stack", "rebase"]).await;
    assert!(
        made.stderr.contains(&format!(
            " !     hello: hello stays on a run image of its own: it was built on {registry}/gone/run:1, not on "
        )),
        "{}",
        made.stderr
    );

    // Another builder, of another age, has nothing of it.
    let other = format!("docker://{older}");
    let own = "urn:cnb:builder:acme/counting";
    platform.cli(&["buildpacks:set", "hello", &other, own]).await.ok();
    let shown = platform.cli(&["buildpacks", "hello"]).await.ok();
    assert!(shown.contains(&format!("1. {other}\n2. {own}")), "{shown}");
    pusher.commit(|dir| app(dir, "older"));
    let said = pusher.push().await.ok();
    assert!(
        said.contains("Platform API 0.7,") && said.contains("Starting with fresh layers"),
        "{said}"
    );
    assert_eq!(
        platform.get("hello", "/").await.1,
        "build 1, as 1234, of 1234, on acme, older"
    );

    // Back, with a mistake first.
    platform.cli(&["buildpacks:set", "hello", &named]).await.ok();
    pusher.commit(|dir| fs::remove_file(dir.join("server.pl")).unwrap());
    let said = pusher.push().await.rejected();
    line(&said, "no buildpack recognises this source");
    line(&said, "acme/counting: as its own bin/detect says");

    // Its registry may go: what was built last is here.
    serving.abort();
    serving.await.ok();
    pusher.commit(|dir| app(dir, "three"));
    let third = pusher.push().await.ok();
    assert_eq!(
        third.matches("taken as it was for the last build").count(),
        2,
        "{third}"
    );
    assert_eq!(
        platform.get("hello", "/").await.1,
        "build 1, as 1234, of 1234, on acme, three"
    );
    let digest = line(&third, "sha256:").rsplit_once("sha256:").unwrap().1;
    let in_podman = format!("{}/pvdify/builders@sha256:{digest}", platform.address("registry"));
    assert!(podman_has(&in_podman), "{in_podman}");

    platform
        .cli(&["buildpacks:set", "hello", "pvdify/procfile"])
        .await
        .ok();
    pusher.commit(|dir| app(dir, "four"));
    let fourth = pusher.push().await.ok();
    assert!(fourth.contains("Starting with fresh layers"), "{fourth}");
    assert_eq!(
        platform.get("hello", "/").await.1,
        "not counted, as 10001, of 10001, on ours, four"
    );
    // The builder goes; the run image's layers stay with the release that stands on them.
    let started = Instant::now();
    while podman_has(&in_podman) {
        assert!(
            started.elapsed() < LIMIT,
            "the builder stays:\n{}",
            platform.log()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    platform.cli(&["rollback", "hello"]).await.ok();
    platform
        .wait_for("hello", "build 1, as 1234, of 1234, on acme, three", LIMIT)
        .await;
}

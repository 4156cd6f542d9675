//! Sources without a Dockerfile: built by buildpacks in a container of nobody's, and answering as pushed.

use pvdify_tests::{Platform, Pusher};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

const PACKAGE: &str = r#"{"name":"hello","version":"1.0.0","scripts":{"start":"node server.js"}}"#;

fn node_app(dir: &Path, says: &str) {
    fs::write(dir.join("package.json"), PACKAGE).unwrap();
    let server = format!(
        "require('http').createServer((_, answer) => answer.end('{says}')).listen(process.env.PORT);\n"
    );
    fs::write(dir.join("server.js"), server).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_a_dockerfile_is_built_and_a_second_push_reuses_what_did_not_change() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "hello").await;
    pusher.commit(|dir| node_app(dir, "one"));
    let first = pusher.push().await.ok();
    assert!(
        first.contains("pvdify/nodejs") && first.contains("Released v1"),
        "{first}"
    );
    let (status, body) = platform.get("hello", "/").await;
    assert_eq!((status, body.as_str()), (200, "one"), "{first}");

    pusher.commit(|dir| node_app(dir, "two"));
    let second = pusher.push().await.ok();
    assert!(
        second.contains("unchanged, kept") && !second.contains("downloaded"),
        "{second}"
    );
    assert!(second.contains("Layers: 1 added"), "{second}");
    let (status, body) = platform.get("hello", "/").await;
    assert_eq!((status, body.as_str()), (200, "two"), "{second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_buildpack_recognises_is_told_what_was_looked_for() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "odd").await;
    pusher.commit(|dir| fs::write(dir.join("notes.txt"), "no app").unwrap());
    let said = pusher.push().await.rejected();
    assert!(
        said.contains("no buildpack recognises this source")
            && said.contains("Looked for:")
            && said.contains("package.json")
            && said.contains("notes.txt"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_apps_layers_are_forgotten_and_its_name_starts_without_them() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "demo").await;
    // Shows what earlier builds left, and leaves something.
    let script = "cat $CNB_LAYERS_DIR/kept/* > facts || echo nothing > facts\nmkdir -p $CNB_LAYERS_DIR/kept\n\
                  echo left > $CNB_LAYERS_DIR/kept/x\nprintf '[types]\\ncache = true\\n' > $CNB_LAYERS_DIR/kept.toml\n";
    pusher.commit(|dir| crate::hostile::write(dir, script));
    pusher.push().await.ok();
    assert_eq!(platform.get("demo", "/").await.1, "nothing\n");
    pusher.commit(|dir| fs::write(dir.join("more"), "").unwrap());
    pusher.push().await.ok();
    assert_eq!(platform.get("demo", "/").await.1, "left\n");

    platform
        .cli(&["apps:delete", "demo", "--confirm", "demo"])
        .await
        .ok();
    let kept = platform.state_dir().join("builds/_cnb/apps/demo");
    let started = Instant::now();
    while kept.exists() || !platform.api().apps().await.unwrap().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "it is not forgotten");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    platform.cli(&["apps:create", "demo"]).await.ok();
    pusher.push().await.ok();
    platform
        .wait_for("demo", "nothing", Duration::from_secs(60))
        .await;
}

/// Makes a layer of the image and a cache, once, and says each time what they are.
const KEEPS: &str = r#"set -e
for layer in kept cache; do
  folder=$CNB_LAYERS_DIR/$layer
  if [ ! -d $folder ]; then
    mkdir $folder
    cp -r /usr/share/perl $folder
    ln -s / $folder/link
    mkdir -m 2711 $folder/empty
    touch -d '1960-01-01 00:00:00.5' $folder/empty
  fi
  files=$(find $folder ! -type d -printf '%P %y %m %U %G %T@ %l %s %n\n' | sort)
  folders=$(find $folder -type d -printf '%P %m %U %G %T@\n' | sort)
  echo "$layer: $(echo "$files$folders" | sha256sum)"
done
printf '[types]\nlaunch = true\ncache = true\n' > $CNB_LAYERS_DIR/kept.toml
printf '[types]\ncache = true\n' > $CNB_LAYERS_DIR/cache.toml
echo fine > facts
"#;

/// The layers of an app's current image.
async fn image_layers(platform: &Platform, app: &str) -> Value {
    let image = platform
        .api()
        .app(&app.parse().unwrap())
        .await
        .unwrap()
        .image
        .unwrap();
    let hex = image.rsplit_once("@sha256:").unwrap().1;
    let blobs = platform.state_dir().join("registry/blobs/sha256");
    let manifest = fs::read(blobs.join(&hex[..2]).join(hex)).unwrap();
    serde_json::from_slice::<Value>(&manifest).unwrap()["layers"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_an_app_at_rest_are_packed_and_its_next_build_finds_nothing_changed() {
    // A round every two seconds.
    let platform = Platform::start_with(&[("PVDIFY_GARBAGE_MINUTES", "0.03")]).await;
    let pusher = Pusher::new(&platform, "rests").await;
    pusher.commit(|dir| crate::hostile::write(dir, KEEPS));
    let first = pusher.push().await.ok();
    let layers = image_layers(&platform, "rests").await;

    let folder = platform.state_dir().join("builds/_cnb/apps/rests");
    let before = SystemTime::now() - Duration::from_secs(3601);
    let known = File::options().append(true).open(folder.join("known.json"));
    known.unwrap().set_modified(before).unwrap();
    let started = Instant::now();
    while folder.join("layers").exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "{}", platform.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(folder.join("layers.packed").exists());
    assert_eq!(platform.get("rests", "/").await, (200, "fine\n".to_owned()));

    // Another commit of the same source.
    pusher.commit(|dir| fs::write(dir.join("more"), "").unwrap());
    pusher.commit(|dir| fs::remove_file(dir.join("more")).unwrap());
    let second = pusher.push().await.ok();
    assert!(second.contains("Unpacked layers of the last build ("), "{second}");
    assert!(second.contains("Layers: 0 added (0 B)"), "{second}");
    for layer in ["kept: ", "cache: "] {
        let line = |output: &str| {
            let line = output.lines().find_map(|line| line.split_once(layer));
            line.unwrap().1.to_owned()
        };
        assert_eq!(line(&first), line(&second));
    }
    assert_eq!(image_layers(&platform, "rests").await, layers);
    assert!(folder.join("layers").exists() && !folder.join("layers.packed").exists());
}

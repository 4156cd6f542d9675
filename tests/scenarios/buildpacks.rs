//! Sources without a Dockerfile: built by buildpacks in a container of nobody's, and answering as pushed.

use pvdify_tests::{Platform, Pusher};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
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

//! Sources without a Dockerfile: built by buildpacks in a container of nobody's, and answering as pushed.

use pvdify_tests::{Platform, Pusher};
use std::{fs, path::Path};

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

/// A buildpack of the project's own that tries what a hostile one would.
const HOSTILE: &str = r#"
[_]
schema-version = "0.2"
[[io.buildpacks.group]]
id = "me/hostile"
[io.buildpacks.group.script]
api = "0.10"
inline = """
id -u
for path in /run/podman/podman.sock /var/run/docker.sock /var/lib/pvdify /cnb/buildpacks/x /platform/x /cnb/lifecycle/x /downloads/shared/x /etc/x; do
  if touch "$path" 2>/dev/null || [ -S "$path" ]; then echo "REACHED $path"; fi
done
mkdir -p "$CNB_LAYERS_DIR/leak"
ln -s /etc "$CNB_LAYERS_DIR/leak/etc"
printf '[types]\\nlaunch = true\\n' > "$CNB_LAYERS_DIR/leak.toml"
ln -s /etc/passwd "$CNB_LAYERS_DIR/../planted"
printf '[[processes]]\\ntype = "web"\\ncommand = ["sleep"]\\nargs = ["1000"]\\n' > "$CNB_LAYERS_DIR/launch.toml"
"""
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_buildpack_reaches_nothing() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "hostile").await;
    pusher.commit(|dir| fs::write(dir.join("project.toml"), HOSTILE).unwrap());
    let said = pusher.push().await.output;
    assert!(said.contains("10001") && !said.contains("REACHED"), "{said}");
}

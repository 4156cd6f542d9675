//! Our images before the reference implementation: its `pack` reads them, takes their bill of materials and puts
//! them on another run image, straight in our registry; and we put one back that it wrote.

use crate::deploy_image::open_registry;
use pvdify_tests::{Pack, Platform, Pusher, run};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

const PROJECT: &str = r#"[_]
schema-version = "0.2"
[[io.buildpacks.group]]
uri = "materials"
[[io.buildpacks.group]]
id = "pvdify/procfile"
"#;
const DESCRIPTOR: &str = r#"api = "0.10"
[buildpack]
id = "me/materials"
version = "1.2.3"
homepage = "https://example.com/materials"
sbom-formats = ["application/vnd.cyclonedx+json"]
"#;
/// Leaves a layer that the app needs, and a bill of materials of it.
const BUILD: &str = r#"#!/bin/bash
mkdir -p "$CNB_LAYERS_DIR/tool/env.launch"
printf 'from a layer' > "$CNB_LAYERS_DIR/tool/env.launch/GREETING"
printf '[types]\nlaunch = true\n' > "$CNB_LAYERS_DIR/tool.toml"
printf '%s' '{"bomFormat":"CycloneDX","specVersion":"1.4"}' > "$CNB_LAYERS_DIR/tool.sbom.cdx.json"
"#;
const BILL: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.4"}"#;
const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  my $body = "$ENV{GREETING}" . (-e "/newer" ? ", newer" : "");
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;

fn app(dir: &Path) {
    let materials = dir.join("materials");
    fs::create_dir_all(materials.join("bin")).unwrap();
    fs::write(materials.join("buildpack.toml"), DESCRIPTOR).unwrap();
    for (name, text) in [("detect", "#!/bin/sh\n"), ("build", BUILD)] {
        let file = materials.join("bin").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(dir.join("project.toml"), PROJECT).unwrap();
    fs::write(dir.join("Procfile"), "web: perl server.pl\nworker: sleep 1000\n").unwrap();
    fs::write(dir.join("server.pl"), SERVER).unwrap();
}

/// What `pack inspect` tells of an image in the registry.
pub(crate) async fn inspected(pack: &Pack, image: &str) -> Value {
    let told = pack.run(&["inspect", image, "--output", "json"]).await.ok();
    let told: Value = serde_json::from_str(&told).unwrap();
    told["remote_info"].clone()
}

/// Runs Podman with the same logins.
async fn podman(pack: &Pack, command: &str, args: &[&str]) -> String {
    let mut all = vec![command.to_owned()];
    if ["build", "pull", "push"].contains(&command) {
        all.extend(pack.podman_login());
    }
    all.extend(args.iter().map(|&arg| arg.to_owned()));
    let run = move || {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        run("podman", &all)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// The layers of an image that Podman has, by their diffIDs.
async fn layers(pack: &Pack, image: &str) -> Vec<String> {
    let format = ["inspect", "--format", "{{json .RootFS.Layers}}", image];
    serde_json::from_str(&podman(pack, "image", &format).await).unwrap()
}

/// Whatever images it is given, the reference's rebase writes a manifest of Docker's dialect, with layers that are of
/// OCI's where they came from such an image: Podman refuses that mixture. All that differs is what the types are called.
async fn as_one_dialect(pack: &Pack, platform: &Platform, app: &str, tag: &str) {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    let url = format!("http://{}/v2/{app}/manifests/{tag}", platform.address("registry"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = client.get(&url).basic_auth("pack", Some(pack.token()));
    let text = get
        .header("accept", DOCKER)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        manifest["mediaType"], DOCKER,
        "the reference writes one dialect now: {text}"
    );
    manifest["mediaType"] = json!(OCI);
    manifest["config"]["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
    let put = client.put(&url).basic_auth("pack", Some(pack.token()));
    let put = put.header("content-type", OCI).body(manifest.to_string());
    assert_eq!(put.send().await.unwrap().status(), 201);
}

pub(crate) async fn image_of(platform: &Platform, app: &str) -> String {
    let app = platform.api().app(&app.parse().unwrap()).await.unwrap();
    app.image.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_reads_our_images_and_each_puts_the_others_on_another_run_image() {
    let platform = Platform::start().await;
    let Some(pack) = Pack::new(&platform).await else {
        eprintln!("left out: the reference is not there");
        return;
    };
    let own = platform.address("registry").to_string();
    let pusher = Pusher::new(&platform, "hello").await;
    pusher.commit(app);
    pusher.push().await.ok();
    let image = image_of(&platform, "hello").await;
    let run_image = format!("{own}/pvdify/run:trixie");
    podman(&pack, "pull", &["-q", &image]).await;
    podman(&pack, "pull", &["-q", &run_image]).await;
    let (of_image, of_run_image) = (layers(&pack, &image).await, layers(&pack, &run_image).await);
    assert!(of_image.starts_with(&of_run_image));

    // What it reads is what was built.
    let told = inspected(&pack, &image).await;
    assert_eq!(told["base_image"]["top_layer"], json!(of_run_image.last()));
    assert_eq!(told["run_images"], json!([{"name": run_image}]));
    assert_eq!(told["rebasable"], true);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        told["buildpacks"],
        json!([
            {"id": "me/materials", "version": "1.2.3", "homepage": "https://example.com/materials"},
            {"id": "pvdify/procfile", "version": version},
        ])
    );
    let process = |name: &str, line: &str| {
        json!({
            "type": name, "shell": "", "command": "bash", "args": ["-c", line],
            "default": name == "web", "working-dir": "/workspace",
        })
    };
    assert_eq!(
        told["processes"],
        json!([process("web", "perl server.pl"), process("worker", "sleep 1000")])
    );
    pack.run(&["sbom", "download", "--remote", &image]).await.ok();
    let bill = pack
        .folder()
        .join("layers/sbom/launch/me_materials/tool/sbom.cdx.json");
    assert_eq!(fs::read_to_string(bill).unwrap(), BILL);

    // On the run image that it names, nothing changes but who wrote it.
    let rebased = format!("{own}/hello:rebased");
    let rebase = ["rebase", &rebased, "--publish", "--previous-image", &image];
    pack.run(&rebase).await.ok();
    let again = inspected(&pack, &rebased).await;
    for part in ["buildpacks", "processes", "run_images", "rebasable"] {
        assert_eq!(again[part], told[part]);
    }

    // On a newer one that somebody else made, in our registry as well.
    let (other, _dir, registry) = open_registry().await;
    let newer = format!("{other}/pvdify/run:trixie");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("newer"), folder.path().display().to_string()).unwrap();
    let dockerfile = format!("FROM {run_image}\nCOPY newer /newer\n");
    fs::write(folder.path().join("Dockerfile"), dockerfile).unwrap();
    // Named after the platform's registry here, and gone with it.
    let here = format!("{own}/newer:1");
    let context = folder.path().to_str().unwrap();
    podman(&pack, "build", &["-q", "-t", &here, context]).await;
    podman(&pack, "push", &["-q", &here, &newer]).await;
    let to_newer = [rebase.as_slice(), &["--run-image", &newer]].concat();
    let refused = pack.run(&to_newer).await;
    assert!(
        refused
            .stderr
            .contains("not found in existing run image metadata"),
        "{refused:?}"
    );
    pack.run(&[to_newer.as_slice(), &["--force"]].concat()).await.ok();
    let on_newer = inspected(&pack, &rebased).await;
    let of_newer = layers(&pack, &here).await;
    assert_eq!(on_newer["base_image"]["top_layer"], json!(of_newer.last()));
    for part in ["buildpacks", "processes", "rebasable"] {
        assert_eq!(on_newer[part], told[part]);
    }
    as_one_dialect(&pack, &platform, "hello", "rebased").await;
    podman(&pack, "pull", &["-q", &rebased]).await;
    let kept = &of_image[of_run_image.len()..];
    assert_eq!(
        layers(&pack, &rebased).await,
        [of_newer.as_slice(), kept].concat()
    );

    // That one runs, and our own rebase takes it back.
    let elsewhere = format!("{other}/hello:rebased");
    podman(&pack, "push", &["-q", &rebased, &elsewhere]).await;
    platform
        .cli(&["deploy", "hello", "--image", &elsewhere])
        .await
        .ok();
    platform.wait_for("hello", "from a layer, newer", LIMIT).await;
    registry.abort();
    let said = platform.on_host(&["stack", "rebase"]).await;
    assert!(
        said.status == 0 && said.stderr.contains("hello: released v3\n"),
        "{said:?}"
    );
    assert_eq!(platform.get("hello", "/").await, (200, "from a layer".to_owned()));
    let back = inspected(&pack, &image_of(&platform, "hello").await).await;
    assert_eq!(back["base_image"]["top_layer"], json!(of_run_image.last()));
    for part in ["buildpacks", "processes", "rebasable"] {
        assert_eq!(back[part], told[part]);
    }
}

//! A buildpack in an OCI image of its own (a buildpackage, as `pack buildpack package` makes it), with the parts that
//! it consists of.

use crate::{builder_images::push_image, deploy_image::open_registry};
use pvdify_tests::{Platform, Pusher};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
my $body = "from $ENV{WHENCE}";
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;
const BUILD: &str = r#"#!/bin/bash
mkdir -p "$CNB_LAYERS_DIR/told/env.launch"
printf 'an image' > "$CNB_LAYERS_DIR/told/env.launch/WHENCE"
printf '[types]\nlaunch = true\n' > "$CNB_LAYERS_DIR/told.toml"
"#;
const ALL: &str = "api = \"0.10\"\n[buildpack]\nid = \"acme/all\"\nversion = \"2.0.0\"\n\
                   [[order]]\n[[order.group]]\nid = \"acme/part\"\nversion = \"1.0.0\"\n";
const PART: &str = "api = \"0.10\"\n[buildpack]\nid = \"acme/part\"\nversion = \"1.0.0\"\n";
/// The last layer takes back what another one has: upper layers count.
const DOCKERFILE: &str = "FROM scratch\nCOPY part /cnb/buildpacks/acme_part/1.0.0\nCOPY all /cnb/buildpacks/acme_all/2.0.0\n\
    COPY build /cnb/buildpacks/acme_part/1.0.0/bin/build\n\
    LABEL io.buildpacks.buildpackage.metadata='{\"id\":\"acme/all\",\"version\":\"2.0.0\",\"stacks\":[{\"id\":\"*\"}]}'\n";

fn program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buildpack_in_an_image_builds_with_its_parts() {
    let platform = Platform::start().await;
    let (registry, _dir, _serving) = open_registry().await;
    let image = format!("{registry}/acme/all:2");
    let to = image.clone();
    tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        program(&path("part/bin/detect"), "#!/bin/sh\n");
        program(&path("part/bin/build"), "#!/bin/sh\nexit 1\n");
        program(&path("build"), BUILD);
        fs::write(path("part/buildpack.toml"), PART).unwrap();
        fs::create_dir(path("all")).unwrap();
        fs::write(path("all/buildpack.toml"), ALL).unwrap();
        push_image(folder.path(), DOCKERFILE, &to, None);
    })
    .await
    .unwrap();
    let pusher = Pusher::new(&platform, "hello").await;
    let named = format!("docker://{image}");
    platform.cli(&["buildpacks:set", "hello", &named]).await.ok();
    pusher.commit(|dir| {
        fs::write(dir.join("server.pl"), SERVER).unwrap();
        fs::write(dir.join("Procfile"), "web: perl server.pl\n").unwrap();
    });
    let said = pusher.push().await.ok();
    assert!(
        said.contains(&format!("{named} at sha256:")) && said.contains(": acme/all 2.0.0"),
        "{said}"
    );
    assert!(said.contains("acme/part 1.0.0"), "{said}");
    assert_eq!(
        platform.get("hello", "/").await,
        (200, "from an image".to_owned())
    );
}

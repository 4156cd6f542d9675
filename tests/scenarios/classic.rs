//! Classic buildpacks, as Heroku had them before there was a specification: found in the source or in a folder of the
//! server, run in order, each in the environment that those before it exported.

use pvdify_tests::{Platform, Pusher};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const DETECT: &str = "#!/bin/bash\necho Found\n";
/// Exports a variable to the next, and one to the app.
const FIRST: &str = r#"#!/bin/bash
echo "-----> First"
echo 'export FROM_FIRST=exported' > "$(dirname "$0")/../export"
mkdir -p "$1/.profile.d"
echo 'export GREETING=hello' > "$1/.profile.d/first.sh"
"#;
/// Counts its builds in the cache, and leaves what the app says.
const SECOND: &str = r#"#!/bin/bash
echo "-----> Second after $FROM_FIRST, settings: $(ls "$3" | tr '\n' ' ')"
echo x >> "$2/builds"
wc -l < "$2/builds" | tr -d ' \n' > "$1/builds"
"#;
const RELEASE: &str = r#"#!/bin/bash
cat <<'END'
---
default_process_types:
  web: perl server.pl
END
"#;
const SERVER: &str = r#"use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => $ENV{PORT}, Listen => 5, ReuseAddr => 1) or die;
open(my $file, "<", "builds"); my $builds = <$file>;
my $body = "$ENV{GREETING} $builds";
while (my $client = $listener->accept) {
  while (my $line = <$client>) { last if $line eq "\r\n" }
  print $client "HTTP/1.1 200 OK\r\nContent-Length: ", length $body, "\r\nConnection: close\r\n\r\n$body";
  close $client;
}
"#;
const PROJECT: &str = r#"[_]
schema-version = "0.2"
[[io.buildpacks.group]]
uri = "buildpacks/first"
[[io.buildpacks.group]]
uri = "buildpacks/second"
"#;

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn buildpacks(folder: &Path) {
    for (name, compile) in [("first", FIRST), ("second", SECOND)] {
        script(&folder.join(name).join("bin/detect"), DETECT);
        script(&folder.join(name).join("bin/compile"), compile);
    }
    script(&folder.join("second/bin/release"), RELEASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn classic_buildpacks_run_in_order_with_their_cache_and_what_they_export() {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "old").await;
    platform.cli(&["config:set", "old", "A=1"]).await.ok();
    platform
        .cli(&["config:set", "old", "--build", "SEEN=2"])
        .await
        .ok();
    pusher.commit(|dir| {
        buildpacks(&dir.join("buildpacks"));
        fs::write(dir.join("project.toml"), PROJECT).unwrap();
        fs::write(dir.join("server.pl"), SERVER).unwrap();
    });
    let said = pusher.push().await.ok();
    let (_, settings) = said
        .split_once("-----> Second after exported, settings: ")
        .unwrap();
    let settings: Vec<&str> = settings.lines().next().unwrap().split(' ').collect();
    assert!(
        settings.contains(&"SEEN") && !settings.contains(&"A"),
        "{settings:?}"
    );
    assert_eq!(
        platform.get("old", "/").await,
        (200, "hello 1".to_owned()),
        "{said}"
    );

    pusher.commit(|dir| fs::write(dir.join("more"), "").unwrap());
    let said = pusher.push().await.ok();
    assert_eq!(
        platform.get("old", "/").await,
        (200, "hello 2".to_owned()),
        "{said}"
    );

    // A setting of the app goes before what its source names.
    let folder = tempfile::tempdir().unwrap();
    buildpacks(folder.path());
    script(
        &folder.path().join("first/bin/compile"),
        &FIRST.replace("GREETING=hello", "GREETING=set"),
    );
    for (command, name) in [("buildpacks:set", "first"), ("buildpacks:add", "second")] {
        let name = folder.path().join(name);
        platform.cli(&[command, "old", name.to_str().unwrap()]).await.ok();
    }
    pusher.commit(|dir| fs::write(dir.join("more"), "2").unwrap());
    let said = pusher.push().await.ok();
    assert!(said.contains("(set for this app)"), "{said}");
    let (status, body) = platform.get("old", "/").await;
    assert!(status == 200 && body.starts_with("set "), "{body}: {said}");
}

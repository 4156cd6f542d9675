//! The base images on an image of somebody else, with a package manager whose mirror is a file in that image; and
//! the run image in our registry, with an app that is put on a newer one.

use crate::harness::{Bench, append, append_busybox};
use pvdify_builder::{
    BuildError, LOCAL_PREFIX,
    podman::Libpod,
    stack::{self, BUILD_IMAGE, Base, Options, RUN_IMAGE, StackError},
};
use pvdify_registry::{Reference, Repository};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const BASE: &str = "localhost/base:1";
/// Installs whatever it is asked for, in the version that the mirror has.
const APT_GET: &[u8] = br#"#!/bin/sh
case " $* " in *" install "*) ;; *) exit 0 ;; esac
for word; do
  case "$word" in -* | install) continue ;; esac
  printf 'Package: %s\nStatus: install ok installed\nVersion: %s\n\n' "$word" "$(cat /mirror)" >>/var/lib/dpkg/status
done
"#;
/// Knows all packages but two.
const APT_CACHE: &[u8] = br#"#!/bin/sh
case "$*" in *libmpdec4 | *libargon2-1) exit 100 ;; esac
"#;

/// A distribution of few kilobytes.
fn base(os_release: &str, version: &str) -> bytes::Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    let applets = [
        "sh", "bash", "cat", "chmod", "chown", "grep", "mkdir", "printf", "rm", "sed", "cp", "dirname",
    ];
    append_busybox(&mut tar, &applets);
    append(&mut tar, "bin/apt-get", APT_GET);
    append(&mut tar, "bin/apt-cache", APT_CACHE);
    append(&mut tar, "mirror", version.as_bytes());
    append(&mut tar, "etc/os-release", os_release.as_bytes());
    append(
        &mut tar,
        "etc/passwd",
        b"root:x:0:0::/root:/bin/sh\ncnb:x:1000:1000::/cnb:/bin/sh\n",
    );
    append(&mut tar, "etc/group", b"root:x:0:\ncnb:x:1000:\n");
    append(
        &mut tar,
        "var/lib/dpkg/status",
        b"Package: base\nStatus: install ok installed\nVersion: 1\n\n",
    );
    tar.into_inner().unwrap().into()
}

const DEBIAN: &str = "ID=debian\nVERSION_ID=\"13\"\n";

async fn build(bench: &Bench, base: Option<&str>, newest: bool) -> (Vec<String>, Result<bool, StackError>) {
    let options = Options {
        base: base.map(Base::named),
        temporary: bench.folder.path().to_owned(),
        newest,
        released: "2026-01-01T00:00:00Z".to_owned(),
        ..Options::default()
    };
    let (output, mut lines) = mpsc::channel(8);
    let podman = bench.podman.client();
    let work = async {
        let made = stack::build(&podman, &options, &output).await;
        drop(output);
        made
    };
    let collect = async {
        let mut all = Vec::new();
        while let Some(line) = lines.recv().await {
            all.push(line);
        }
        all
    };
    let (made, lines) = tokio::join!(work, collect);
    (lines, made)
}

async fn inspect(podman: &Libpod, name: &str) -> Value {
    let name = name.replace('/', "%2F");
    podman.get(&format!("/libpod/images/{name}/json")).await.unwrap()
}

/// Every name in Podman's storage.
async fn names(podman: &Libpod) -> Vec<String> {
    let images = podman.images().await.unwrap();
    let mut names: Vec<String> = images.into_iter().flat_map(|image| image.names).collect();
    // One of these was made to look into the others.
    names.retain(|name| !name.starts_with(LOCAL_PREFIX));
    names.sort();
    names
}

#[tokio::test]
async fn base_images_are_made_on_any_debian_and_again_only_for_newer_packages() {
    let bench = Bench::start().await;
    bench.import(BASE, base(DEBIAN, "1")).await;
    let podman = bench.podman.client();
    let (lines, made) = build(&bench, Some(BASE), false).await;
    assert_eq!(made, Ok(true), "{lines:#?}");
    insta::assert_snapshot!(without_sizes(&lines), @r"
    -----> Making the base images from the image localhost/base:1
           installing the run image's packages
     !     this distribution has no package libargon2-1
           installing the build image's packages
           localhost/pvdify/run:trixie N MB
           localhost/pvdify/build:trixie N MB
    ");
    let run = inspect(&podman, RUN_IMAGE).await;
    assert_eq!(run["Labels"]["io.buildpacks.base.distro.name"], "debian");
    assert_eq!(run["Labels"]["io.buildpacks.base.distro.version"], "13");
    assert_eq!(run["Labels"]["pvdify.base.from"], BASE);
    let env = run["Config"]["Env"].as_array().unwrap();
    assert!(
        env.contains(&json!("CNB_USER_ID=10001")) && env.contains(&json!("CNB_GROUP_ID=10001")),
        "{env:?}"
    );
    assert_eq!(run["Config"]["Cmd"], json!(["/bin/bash"]));
    assert!(run["Config"]["User"].as_str().unwrap_or("root") == "root");
    let passwd = read_file(&bench, "run", "/etc/passwd").await;
    insta::assert_snapshot!(passwd, @r"
    root:x:0:0::/root:/bin/sh
    cnb:x:10001:10001:Cloud Native Buildpacks:/home/cnb:/bin/bash
    ");
    let status = read_file(&bench, "run", "/var/lib/dpkg/status").await;
    assert!(status.contains("Package: libmpdec3\n") && !status.contains("Package: libmpdec4\n"));
    assert!(
        !status.contains("Package: build-essential\n"),
        "the run image has no compiler"
    );
    let remembered = read_file(&bench, "build", "/usr/share/pvdify/run-image.dpkg-status").await;
    assert_eq!(remembered, status, "buildpacks read what the run image has");
    let own = read_file(&bench, "build", "/var/lib/dpkg/status").await;
    assert!(own.contains("Package: build-essential\n"));

    let before = (
        run["Id"].clone(),
        inspect(&podman, BUILD_IMAGE).await["Id"].clone(),
    );
    let (lines, made) = build(&bench, None, false).await;
    assert_eq!(made, Ok(false));
    assert_eq!(
        lines,
        [format!(
            "       Base images are there: {RUN_IMAGE}, {BUILD_IMAGE}"
        )]
    );
    let (lines, made) = build(&bench, None, true).await;
    assert_eq!(made, Ok(false), "{lines:#?}");
    assert_eq!(
        lines.last().unwrap(),
        &format!("       {BUILD_IMAGE} is of the newest packages already")
    );
    let after = (
        inspect(&podman, RUN_IMAGE).await["Id"].clone(),
        inspect(&podman, BUILD_IMAGE).await["Id"].clone(),
    );
    assert_eq!(before, after);

    // What they were made from is remembered, and looked at anew.
    bench.import(BASE, base(DEBIAN, "2")).await;
    let (lines, made) = build(&bench, None, true).await;
    assert_eq!(made, Ok(true), "{lines:#?}");
    let text = without_sizes(&lines);
    assert!(
        text.contains("localhost/pvdify/run:trixie N MB, 34 packages changed\n"),
        "{text}"
    );
    assert!(text.contains("         ca-certificates 1 -> 2\n"), "{text}");
    assert!(text.contains("         and 34 more"), "{text}");
    assert_eq!(names(&podman).await, [BASE, BUILD_IMAGE, RUN_IMAGE]);
    assert_eq!(bench.build_containers().await, 0);
}

/// Sizes differ with busybox.
fn without_sizes(lines: &[String]) -> String {
    let line = |line: &String| match line.split_once(" MB") {
        Some((before, after)) => {
            let (name, _) = before.rsplit_once(' ').unwrap();
            format!("{name} N MB{after}\n")
        }
        None => format!("{line}\n"),
    };
    lines.iter().map(line).collect()
}

async fn read_file(bench: &Bench, image: &str, path: &str) -> String {
    let files: &[(&str, &[u8])] = &[(
        "Dockerfile",
        format!("FROM pvdify/{image}:trixie\nRUN cat {path} | sed 's/^/out:/'\n")
            .leak()
            .as_bytes(),
    )];
    let (log, built) = bench.build("read", files).await;
    built.unwrap();
    log.iter()
        .filter_map(|line| line.trim().strip_prefix("out:"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[tokio::test]
async fn what_can_not_be_a_base_is_refused_with_what_to_do() {
    let bench = Bench::start().await;
    bench.import("localhost/alpine:3", base("ID=alpine\n", "1")).await;
    bench
        .import("localhost/bare:1", {
            let mut tar = tar::Builder::new(Vec::new());
            append(&mut tar, "x", b"");
            tar.into_inner().unwrap().into()
        })
        .await;
    let refused = async |base| build(&bench, Some(base), false).await.1.unwrap_err();
    for base in ["localhost/alpine:3", "localhost/bare:1"] {
        let error = refused(base).await;
        assert_eq!(error.cause, format!("{base} is neither Debian nor of its family"));
        assert!(error.remedy.starts_with("name an image with apt: "));
    }
    let error = refused("no-such-host.invalid/base:1").await;
    assert!(
        error
            .cause
            .starts_with("no-such-host.invalid/base:1 can't be fetched: "),
        "{error}"
    );
    // An apt that fails.
    bench
        .import("localhost/broken:1", {
            let mut tar = tar::Builder::new(Vec::new());
            append_busybox(&mut tar, &["sh", "cat", "dirname"]);
            append(
                &mut tar,
                "bin/apt-get",
                b"#!/bin/sh\necho no mirror >&2\nexit 100\n",
            );
            append(&mut tar, "etc/os-release", b"ID=debian\n");
            append(&mut tar, "etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
            tar.into_inner().unwrap().into()
        })
        .await;
    let (lines, made) = build(&bench, Some("localhost/broken:1"), false).await;
    assert_eq!(made.unwrap_err().cause, "the run image could not be built");
    assert!(lines.iter().any(|line| line == "no mirror"), "{lines:#?}");
    assert!(bench.podman.client().image_id(RUN_IMAGE).await.unwrap().is_none());
}

#[tokio::test]
async fn the_run_image_is_published_when_it_changed_and_apps_are_put_on_it() {
    let bench = Bench::start().await;
    let missing = bench.builder.publish_run_image().await.unwrap_err();
    let text = "there is no run image for apps: run `pvdifyd stack build` on the server, then push again";
    assert_eq!(missing, BuildError::Unavailable(text.to_owned()));

    bench.import(RUN_IMAGE, base(DEBIAN, "1")).await;
    let first = bench.builder.publish_run_image().await.unwrap();
    assert!(first.changed);
    let again = bench.builder.publish_run_image().await.unwrap();
    assert_eq!(
        (again.digest.clone(), again.changed),
        (first.digest.clone(), false)
    );
    let (layers, config) = stored(&bench, stack::RUN_REPOSITORY, &stack::RUN_TAG.parse().unwrap()).await;
    assert_eq!(config["config"]["User"], "10001:10001");
    let repository: Repository = stack::RUN_REPOSITORY.parse().unwrap();
    assert_eq!(bench.store.tags(&repository).await.unwrap(), [stack::RUN_TAG]);

    // An app as a build by buildpacks leaves it, made by a Dockerfile: what counts are its labels.
    let top = config["rootfs"]["diff_ids"][0].as_str().unwrap();
    let name = format!("{}/pvdify/run:trixie", bench.config.registry_address);
    let label = json!({"runImage": {"topLayer": top, "reference": "", "image": name}});
    let dockerfile = format!(
        "FROM pvdify/run:trixie\nENV CNB_PLATFORM_API=0.15\nLABEL io.buildpacks.lifecycle.metadata='{label}'\nCOPY app /app\nCMD [\"/app\"]\n"
    );
    let files = [("Dockerfile", dockerfile.leak().as_bytes()), ("app", b"app")];
    let image = bench.build("b1", &files).await.1.unwrap().image;
    let app = "demo".parse().unwrap();
    bench.import(RUN_IMAGE, base(DEBIAN, "2")).await;
    let second = bench.builder.publish_run_image().await.unwrap();
    assert!(second.changed && second.digest != first.digest);
    let rebased = bench.builder.rebase(&app, &image.digest).await.unwrap();
    assert_ne!(rebased, image.digest);
    let (new_base, _) = stored(&bench, stack::RUN_REPOSITORY, &stack::RUN_TAG.parse().unwrap()).await;
    let (old_app, _) = stored(&bench, "demo", &Reference::Digest(image.digest)).await;
    let (new_app, _) = stored(&bench, "demo", &Reference::Digest(rebased.clone())).await;
    assert_eq!(new_app[0], new_base[0]);
    assert_ne!(new_base, layers);
    assert_eq!(new_app[1..], old_app[1..]);
    assert_eq!(bench.builder.rebase(&app, &rebased).await.unwrap(), rebased);

    // Podman's copy may go: what is published stands alone.
    bench.podman.client().remove_image(RUN_IMAGE, true).await.unwrap();
    let alone = bench.builder.publish_run_image().await.unwrap();
    assert_eq!((alone.digest, alone.changed), (second.digest, false));
}

/// An image's layers' digests and its config.
async fn stored(bench: &Bench, repository: &str, reference: &Reference) -> (Vec<Value>, Value) {
    let repository = repository.parse().unwrap();
    let manifest = bench
        .store
        .manifest(&repository, reference)
        .await
        .unwrap()
        .unwrap();
    let manifest: Value = serde_json::from_slice(&manifest.bytes).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
    let config = std::fs::read(bench.store.blob_path(&config).unwrap()).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    (
        layers.iter().map(|layer| layer["digest"].clone()).collect(),
        serde_json::from_slice(&config).unwrap(),
    )
}

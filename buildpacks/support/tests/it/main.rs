//! The harness and the layers, by a buildpack that does little.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod deb;

use buildpack_support::{Failure, Result, env, failure, files, layer, output, process, testing::entry};
use libcnb::{
    Buildpack,
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{launch::LaunchBuilder, layer_name, process_type},
    detect::{DetectContext, DetectResult, DetectResultBuilder},
    generic::{GenericMetadata, GenericPlatform},
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const DESCRIPTOR: &str = "api = \"0.10\"\n[buildpack]\nid = \"pvdify/little\"\nversion = \"0.1.0\"\n";

struct Little;

impl Buildpack for Little {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        if !files::exists(&context.app_dir, "little") {
            return DetectResultBuilder::fail().build();
        }
        output::reason("little is there");
        DetectResultBuilder::pass().build()
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let env = env::of_build(&context);
        let key = files::read(&context.app_dir, "little")?.unwrap_or_default();
        let cache = layer::cache(&context, layer_name!("cache"), "v1".to_owned())?;
        let visits = files::read(&cache, "visits")?.unwrap_or_default() + "x";
        output::detail(format!("Visit {}", visits.len()));
        files::write(&cache.join("visits"), visits)?;
        let spec = layer::Spec {
            name: layer_name!("tool"),
            title: "Tool 1",
            build: true,
            launch: true,
            key,
        };
        let tool = layer::keyed(&context, &spec, |path| make(path, env::value(&env, "FAIL")))?;
        let launch = LaunchBuilder::new()
            .process(process::direct(process_type!("web"), ["env"]))
            .process(process::shell(process_type!("worker"), "echo $TOOL"))
            .build();
        output::detail(tool.apply(&env).get_string_lossy("TOOL").unwrap_or_default());
        BuildResultBuilder::new().launch(launch).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

fn make(path: &Path, fail: Option<String>) -> Result<LayerEnv> {
    files::write(&path.join("bin/tool"), "")?;
    process::install_exec_d(path, "size", "set_default SIZED yes")?;
    if let Some(why) = fail {
        return Err(Failure::new("It can't be made", why, "Unset FAIL."));
    }
    let mut env = LayerEnv::new();
    env.insert(Scope::All, ModificationBehavior::Override, "TOOL", "here");
    Ok(env)
}

entry!(Little, DESCRIPTOR);

#[test]
fn detection_passes_with_its_reason_or_fails() {
    let detected = app().file("little", "1").detect().passed();
    assert_eq!(detected.stdout, "little is there\n");
    assert_eq!(app().detect().code, 100);
}

#[test]
fn a_layer_is_kept_untouched_until_its_key_changes() {
    let app = app().file("little", "1");
    let first = app.build().passed();
    insta::assert_snapshot!(first.log(), @r"
           Visit 1
           Tool 1: ready ([time])
           here
    ");
    let stamp = || {
        let metadata = ["", "bin/tool", "env/TOOL.override", "exec.d/size"]
            .map(|name| fs::symlink_metadata(app.layer("tool").join(name)).unwrap());
        metadata.map(|metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
    };
    let before = stamp();
    assert_eq!(app.layer_types("tool"), [true, true, true]);
    assert_eq!(app.layer_types("cache"), [false, true, false]);

    let second = app.build().passed();
    assert!(second.stdout.contains("Visit 2") && second.stdout.contains("Tool 1: unchanged, kept"));
    assert_eq!(stamp(), before);

    app.write("little", "2");
    let third = app.build().passed();
    assert!(third.stdout.contains("Visit 3") && third.stdout.contains("Tool 1: ready"));
    assert_ne!(stamp(), before);
}

#[test]
fn a_layer_whose_making_failed_is_made_anew() {
    let app = app().file("little", "1").env("FAIL", "Because.");
    let failed = app.build();
    assert_eq!(failed.code, 1);
    assert_eq!(
        failed.stderr,
        "\n !     It can't be made\n !\n !     Because.\n !\n !     Unset FAIL.\n"
    );
    let app = app.env("FAIL", "");
    assert!(app.build().passed().stdout.contains("Tool 1: ready"));
}

#[test]
fn processes_run_in_the_environment_of_the_image() {
    let app = app().file("little", "1");
    assert_eq!(app.build().passed().code, 0);
    let web = app.start("web").output().unwrap();
    let text = String::from_utf8(web.stdout).unwrap();
    assert!(
        text.contains("TOOL=here\n") && text.contains("SIZED=yes\n"),
        "{text}"
    );
    assert!(text.contains("tool/bin:/usr/local/sbin"), "{text}");
    assert_eq!(app.start("worker").output().unwrap().stdout, b"here\n");
}

//! The Deno buildpack through `bin/detect` and `bin/build`, with a registry's client and a Deno that are scripts:
//! what is tested is what we make of them. The layers are as with the real ones.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use buildpack_deno::{DESCRIPTOR, DenoBuildpack};
use buildpack_support::{
    files,
    testing::{App, entry},
    toolchain::npm_arch,
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

entry!(DenoBuildpack, DESCRIPTOR);

// Says what it does; keeps one package and a database; fails where a file says so.
const DENO: &str = r#"#!/bin/sh
echo "deno $*"
if [ -f fail ] && [ "$1" = "$(cat fail)" ]; then echo "error: The lockfile is out of date." >&2; exit 1; fi
mkdir -p "$DENO_DIR/npm/registry/a/1.0.0"
echo package >"$DENO_DIR/npm/registry/a/1.0.0/index.js"
date +%N >"$DENO_DIR/dep_analysis_cache_v2"
"#;

struct Fake {
    dir: tempfile::TempDir,
}

fn fake() -> Fake {
    let dir = tempfile::tempdir().unwrap();
    let program = |name: &str, text: &str| {
        let place = dir.path().join(name);
        files::write(&place, text).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
    };
    program("package/deno", DENO);
    program("package/README.md", "");
    let archive = dir.path().join("deno.tgz");
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(&archive)
        .arg("-C")
        .arg(dir.path())
        .arg("package")
        .status();
    assert!(packed.unwrap().success());
    let sum = Command::new("sh")
        .args(["-c", "openssl dgst -sha512 -binary \"$0\" | base64 -w0"])
        .arg(&archive)
        .output()
        .unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    program(
        "bin/npm",
        &format!(
            "#!/bin/sh\ncase \"$*\" in\n*versions*) echo '[\"1.46.3\",\"2.2.2\",\"2.9.6\"]' ;;\n\
             *integrity*) echo '\"sha512-{sum}\"' ;;\npack*) cp {} . ;;\nesac\n",
            archive.display()
        ),
    );
    Fake { dir }
}

impl Fake {
    fn app(&self) -> App {
        let path = std::env::var("PATH").unwrap();
        app().process_env(
            "PATH",
            &format!("{}:{path}", self.dir.path().join("bin").display()),
        )
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn detect_says_what_is_denos() {
    assert_eq!(
        app().file("deno.json", "{}").detect().passed().stdout,
        "deno.json is there\n"
    );
    assert_eq!(app().file("main.ts", "console.log(1)").detect().code, 100);
}

#[test]
fn an_app_is_installed_as_its_lockfile_says_and_built() {
    let fake = fake();
    let app = fake
        .app()
        .file(
            "deno.json",
            r#"{"tasks": {"start": "deno run -A main.ts", "build": "deno run -A dev.ts build"}}"#,
        )
        .file("deno.lock", "{}")
        .file(".deno-version", "2.2")
        .file("main.ts", "Deno.serve(x)")
        .file("work.ts", "")
        .file("Procfile", "worker: deno run -A work.ts");
    let package = format!("@deno/linux-{}-glibc", npm_arch());
    insta::assert_snapshot!(app.build().passed().log().replace(&package, "[package]"), @r"
    -----> Installing Deno
           Deno 2.2.2 (.deno-version)
           [package] 2.2.2: downloaded [size] ([time])
           Deno 2.2.2: ready ([time])
    -----> Installing dependencies
           deno install --quiet --frozen
           deno cache --quiet --frozen work.ts main.ts
           Done ([time])
    -----> Running the task `build`
           deno run -A dev.ts build
           deno task build
           Done ([time])
           [size] of packages and modules
           Dependencies: ready ([time])
    -----> Web process: deno run -A main.ts (the task `start`)
    ");
    assert_eq!(app.process("web").unwrap(), ["deno", "run", "-A", "main.ts"]);
    assert_eq!(app.layer_types("deno"), [true, true, true]);
    assert_eq!(app.layer_types("dependencies"), [false, true, true]);
    assert_eq!(app.layer_types("downloads"), [false, true, false]);
    assert_eq!(names(&app.layer("deno/bin")), ["deno"]);
    let content: Vec<String> = names(&app.layer("dependencies"))
        .into_iter()
        .filter(|name| !name.starts_with("env"))
        .collect();
    assert_eq!(content, ["npm"]);
    let env = app.launch_env();
    let value = |name: &str| env.get_string_lossy(name);
    assert_eq!(
        value("DENO_DIR").unwrap(),
        app.layer("dependencies").display().to_string()
    );
    assert_eq!(value("NODE_ENV").as_deref(), Some("production"));
    assert_eq!(value("DENO_SERVE_ADDRESS"), None);
}

#[test]
fn the_port_is_where_the_app_listens() {
    let fake = fake();
    let app = fake.app().file("deno.json", "{}").file("main.ts", "");
    app.build().passed();
    let run = |variables: &[(&str, &str)]| {
        let output = Command::new("sh")
            .args(["-c", "exec \"$0\" 3>&1"])
            .arg(app.layer("deno/exec.d/sizes"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&[("PORT", "5000")]).contains("DENO_SERVE_ADDRESS = \"tcp:0.0.0.0:5000\"\n"));
    assert!(!run(&[("PORT", "5000"), ("DENO_SERVE_ADDRESS", "tcp:[::]:1")]).contains("DENO_SERVE_ADDRESS"));
}

#[test]
fn a_build_that_changes_nothing_changes_no_layer() {
    let fake = fake();
    let app = fake
        .app()
        .file("deno.json", "{}")
        .file("deno.lock", "{}")
        .file("main.ts", "");
    app.build().passed();
    let time = |name: &str| fs::metadata(app.layer(name)).unwrap().modified().unwrap();
    let before = (time("deno"), time("dependencies"));
    let log = app.build().passed().stdout;
    assert!(
        log.contains("Deno 2.9.6: unchanged, kept\n") && log.contains("Dependencies: unchanged, kept\n"),
        "{log}"
    );
    assert_eq!((time("deno"), time("dependencies")), before);
}

#[test]
fn without_a_lockfile_or_a_start_one_is_warned() {
    let fake = fake();
    let built = fake.app().file("deno.json", "{}").build().passed();
    insta::assert_snapshot!(built.stdout.split_once("Installing dependencies\n").unwrap().1.lines().filter(|line| line.starts_with(" !")).collect::<Vec<_>>().join("\n"), @r#"
    !     The app has no deno.lock: each build may get other versions of what it imports.
    !     Run `deno install` on your machine and commit deno.lock.
    !     Nothing says how to start the app: deno.json has no task `start`, there is no main.ts and no Procfile.
    !     Add `"tasks": { "start": "deno run --allow-net FILE" }` to deno.json.
    "#);
}

#[test]
fn deno_1_has_its_own_words() {
    let fake = fake();
    let app = fake
        .app()
        .file("deno.json", "{}")
        .file("main.ts", "")
        .env("DENO_VERSION", "1.x");
    let log = app.build().passed().stdout;
    assert!(
        log.contains("deno cache --quiet main.ts\n") && !log.contains("       deno install"),
        "{log}"
    );
}

#[test]
fn what_fails_is_told() {
    let fake = fake();
    let built = fake
        .app()
        .file("deno.json", "{}")
        .file("deno.lock", "{}")
        .file("fail", "install")
        .build();
    assert_eq!(built.code, 1);
    insta::assert_snapshot!(built.stderr, @r"

     !     deno.lock is not up to date
     !
     !     `deno install --frozen` ended with status 1.
     !
     !     Something is imported that it does not list (see above). Run `deno install` (and `deno cache` of what starts the app) on your machine, commit deno.lock and push again.
    ");
    let built = fake
        .app()
        .file("deno.json", r#"{"tasks":{"build":"x"}}"#)
        .file("fail", "task")
        .build();
    insta::assert_snapshot!(built.stderr, @r"

     !     The task `build` failed
     !
     !     `deno task build` ended with status 1.
     !
     !     Its output is above. Run `deno task build` on your machine; when it works there, commit and push again.
    ");
    let built = fake
        .app()
        .file("deno.json", "{}")
        .file(".deno-version", "3.1")
        .build();
    insta::assert_snapshot!(built.stderr, @r"

     !     Deno 3.1 is not available
     !
     !     It is asked for by .deno-version.
     !     The nearest that are: 1.46.3, 2.9.6.
     !
     !     Change .deno-version to one of these and push again,
     !     or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
    ");
    let built = fake
        .app()
        .file("deno.json", "{}")
        .file(".deno-version", "newest!")
        .build();
    insta::assert_snapshot!(built.stderr, @r#"

     !     Can't read the version of Deno that is asked for
     !
     !     .deno-version is "newest!".
     !
     !     Write a version as in 2.4.0, 2.x or ^2.1, commit and push again.
    "#);
}

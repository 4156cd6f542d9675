//! The Rust buildpack through `bin/detect` and `bin/build`. The server of Rust is a folder here, whose compiler and
//! Cargo are this machine's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

use buildpack_rust::{DESCRIPTOR, RustBuildpack};
use buildpack_support::{
    files,
    testing::{App, entry},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

entry!(RustBuildpack, DESCRIPTOR);

const VERSION: &str = "1.90.0";

fn said(program: &str, arguments: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

// A server with one version, whose parts start this machine's own.
fn server(folder: &Path) -> String {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut manifest = "manifest-version = \"2\"\n".to_owned();
    let sysroot = said("rustc", &["--print", "sysroot"], folder);
    for (package, program) in [("rustc", "rustc"), ("cargo", "cargo"), ("rust-std", "")] {
        let name = format!("{package}-{VERSION}-{host}");
        let inside = folder.join(&name).join(package);
        if program.is_empty() {
            files::write(&inside.join("lib/std"), "").unwrap();
        } else {
            let file = inside.join("bin").join(program);
            files::write(&file, format!("#!/bin/sh\nexec {sysroot}/bin/{program} \"$@\"\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let archive = format!("{name}.tar.xz");
        said("tar", &["-cJf", &archive, &name], folder);
        let digest = said("sha256sum", &[&archive], folder);
        let digest = digest.split_whitespace().next().unwrap();
        let url = format!("file://{}/{archive}", folder.display());
        manifest.push_str(&format!(
            "[pkg.{package}]\nversion = \"{VERSION} (0 2026-01-01)\"\n[pkg.{package}.target.{host}]\nxz_url = \"{url}\"\nxz_hash = \"{digest}\"\n"
        ));
    }
    for channel in ["stable", VERSION] {
        files::write(
            &folder.join(format!("dist/channel-rust-{channel}.toml")),
            &manifest,
        )
        .unwrap();
    }
    format!("file://{}", folder.display())
}

const MANIFEST: &str = "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const LOCK: &str = "version = 3\n\n[[package]]\nname = \"sample\"\nversion = \"0.1.0\"\n";

fn main_rs(word: &str) -> String {
    format!("fn main() {{ println!(\"{word} {{}}\", std::env::var(\"HOST\").unwrap()); }}\n")
}

// As the lifecycle unpacks a push: all times the same, long past.
fn push(app: &App, word: &str) {
    app.next_push();
    app.write("Cargo.toml", MANIFEST);
    app.write("Cargo.lock", LOCK);
    app.write("src/main.rs", &main_rs(word));
    said(
        "find",
        &[".", "-exec", "touch", "-d", "1980-01-01T00:00:01Z", "{}", "+"],
        &app.dir(),
    );
}

fn runs(app: &App) -> String {
    String::from_utf8(app.start("web").output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn it_is_known_by_cargo_toml() {
    assert_eq!(app().file("Cargo.toml", "").detect().passed().code, 0);
    assert_eq!(app().file("src/main.rs", "").detect().code, 100);
}

#[test]
fn a_change_is_seen_though_all_times_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let app = app().env("RUSTUP_DIST_SERVER", &server(folder.path()));
    push(&app, "one");
    let built = app.build().passed();
    assert!(
        built.stdout.contains("$ cargo build --release --locked"),
        "{}",
        built.stdout
    );
    assert_eq!(app.process("web").unwrap(), ["sample"]);
    assert_eq!(app.layer_types("programs"), [false, true, true]);
    assert_eq!(app.layer_types("rust"), [true, true, false]);
    assert_eq!(runs(&app), "one 0.0.0.0");
    // As a Procfile names it.
    assert!(app.dir().join("target/release/sample").is_file());

    push(&app, "one");
    let same = app.build().passed();
    assert!(!same.stdout.contains("Compiling"), "{}", same.stdout);
    assert!(
        same.stdout.contains("1 program: unchanged, kept"),
        "{}",
        same.stdout
    );

    push(&app, "two");
    assert!(app.build().passed().stdout.contains("1 changed file since"));
    assert_eq!(runs(&app), "two 0.0.0.0");
}

#[test]
fn what_fails_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let app = app().env("RUSTUP_DIST_SERVER", &server(folder.path()));
    push(&app, "one\" + ");
    let failed = app.build();
    assert!(
        failed.stderr.contains("The code does not compile"),
        "{}",
        failed.stderr
    );
}

#[test]
fn a_lockfile_that_does_not_agree_is_followed_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let app = app().env("RUSTUP_DIST_SERVER", &server(folder.path()));
    push(&app, "one");
    app.write("Cargo.toml", "[package]\nname = \"other\"\nversion = \"0.1.0\"\n");
    let built = app.build().passed();
    assert!(
        built.stdout.contains("Cargo.lock does not agree with Cargo.toml"),
        "{}",
        built.stdout
    );
    assert_eq!(runs(&app), "one 0.0.0.0");

    app.next_push();
    push(&app, "one");
    app.write("Cargo.toml", "[package]\nname = \"third\"\nversion = \"0.1.0\"\n");
    app.write("RustConfig", "RUST_CARGO_BUILD_FLAGS=\"--locked\"");
    let failed = app.build();
    assert!(
        failed
            .stderr
            .contains("Cargo.lock does not agree with Cargo.toml"),
        "{}{}",
        failed.stdout,
        failed.stderr
    );
}

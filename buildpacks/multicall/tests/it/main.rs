//! The one program, installed and run as a lifecycle runs it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails the test")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn install(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pvdify-buildpack"))
        .arg("install")
        .arg(folder)
        .output()
        .unwrap()
}

fn detect(buildpacks: &Path, id: &str, app: &Path) -> Output {
    let buildpack = buildpacks.join(id).join(env!("CARGO_PKG_VERSION"));
    let platform = buildpacks.join("platform");
    Command::new(buildpack.join("bin/detect"))
        .arg(&platform)
        .arg(buildpacks.join("plan.toml"))
        .env_clear()
        .env("CNB_BUILDPACK_DIR", &buildpack)
        .env("CNB_TARGET_OS", "linux")
        .env("CNB_TARGET_ARCH", "amd64")
        .env("CNB_TARGET_DISTRO_NAME", "debian")
        .env("CNB_TARGET_DISTRO_VERSION", "13")
        .current_dir(app)
        .output()
        .unwrap()
}

#[test]
fn an_installed_buildpack_is_the_one_of_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let buildpacks = dir.path().join("buildpacks");
    let installed = install(&buildpacks);
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    let app = dir.path().join("app");
    fs::create_dir(&app).unwrap();
    assert_eq!(
        detect(&buildpacks, "pvdify_procfile", &app).status.code(),
        Some(100)
    );
    fs::write(app.join("Procfile"), "web: x").unwrap();
    let detected = detect(&buildpacks, "pvdify_procfile", &app);
    assert_eq!(detected.status.code(), Some(0));
    assert_eq!(detected.stdout, b"the app has a Procfile\n");
}

#[test]
fn other_words_get_the_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_pvdify-buildpack"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stderr, b"usage: pvdify-buildpack install DIR\n");
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = String::from_utf8(install(&file).stderr).unwrap();
    assert!(
        error.starts_with("can't write ") && error.contains("file"),
        "{error}"
    );
}

//! Source trees to push: the probe app (tests/fixtures/apps/probe) in several states of health.

use crate::binaries::probe_binary;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// What every healthy probe app is built with.
const DOCKERFILE: &str = "FROM scratch\nCOPY server version /\nCMD [\"/server\"]\n";

/// A Dockerfile whose build says "worker at work" and then goes on until its process gets a SIGTERM.
pub const ENDLESS_BUILD: &str =
    "FROM scratch\nCOPY server version /\nRUN [\"/server\", \"worker\"]\nCMD [\"/server\"]\n";

/// Writes the probe app of this version into `dir`.
///
/// # Panics
/// When the files can't be written.
pub fn write_probe(dir: &Path, version: &str) {
    probe_with(dir, version, &[]);
}

/// The probe app with this Dockerfile instead of the healthy one.
///
/// # Panics
/// When the files can't be written.
pub fn probe_with_dockerfile(dir: &Path, version: &str, dockerfile: &str) {
    probe_with(dir, version, &[("Dockerfile", dockerfile)]);
}

/// The probe app and more files, or others in place of its own.
///
/// # Panics
/// When the files can't be written.
pub fn probe_with(dir: &Path, version: &str, files: &[(&str, &str)]) {
    let server = dir.join("server");
    fs::copy(probe_binary(), &server).expect("the probe is copied");
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).expect("the probe is made executable");
    // The folder's random name makes the layer this scenario's own: what one scenario removes from Podman's
    // storage, no other one builds on.
    fs::write(dir.join("version"), format!("{version}\n{}\n", dir.display()))
        .expect("the version is written");
    fs::write(dir.join("Dockerfile"), DOCKERFILE).expect("the Dockerfile is written");
    for (name, content) in files {
        fs::write(dir.join(name), content).expect("a file is written");
    }
}

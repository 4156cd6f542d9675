//! The binaries under test, and how other programs are run.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The repository's top folder.
#[must_use]
pub fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// Runs a program to its end and gives its output, standard error after standard output.
///
/// # Panics
/// When it can't be started or fails: a scenario can't go on without it.
pub fn run(program: impl AsRef<OsStr>, args: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{} {args:?} failed: {text}",
        program.display()
    );
    text
}

/// `target/<profile>/<name>`, built once by this process so that a scenario never runs a stale one.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its own binary");
        // target/<profile>/deps/scenarios-<hash>
        let dir = test
            .parent()
            .and_then(Path::parent)
            .expect("a test lies in target/<profile>/deps")
            .to_owned();
        let mut args = vec!["build", "--quiet", "-p", "pvdifyd", "-p", "pvdify"];
        if dir.ends_with("release") {
            args.push("--release");
        }
        let status = Command::new(env!("CARGO"))
            .args(args)
            .current_dir(repository_root())
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "pvdifyd and pvdify don't build"
        );
        dir
    });
    dir.join(name)
}

/// The scenarios' app, compiled once: static, so that it runs `FROM scratch`.
pub(crate) fn probe_binary() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let source = repository_root().join("tests/fixtures/apps/probe/server.c");
        let dir = tempfile::tempdir().expect("a temporary directory").keep();
        let out = dir.join("server");
        run(
            "cc",
            &[
                "-static",
                "-O2",
                "-o",
                &out.to_string_lossy(),
                &source.to_string_lossy(),
            ],
        );
        out
    })
}

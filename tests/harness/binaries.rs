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

/// `target/<profile>`.
fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own binary");
    // target/<profile>/deps/scenarios-<hash>
    let dir = test.parent().and_then(Path::parent);
    dir.expect("a test lies in target/<profile>/deps").to_owned()
}

/// What runs in build containers and images.
const IN_CONTAINERS: [&str; 4] = [
    "pvdify-lifecycle",
    "pvdify-launcher",
    "pvdify-buildpack",
    "pvdify-static-server",
];

/// `target/<profile>/<name>`, built once by this process so that a scenario never runs a stale one: what it runs is the
/// server, the command line, and what builds with buildpacks.
pub(crate) fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let packages = || build(&[["pvdifyd", "pvdify"].as_slice(), &IN_CONTAINERS].concat());
    BUILT.get_or_init(packages).join(name)
}

/// The folder of the programs that a builder needs: the one in `PVDIFY_TESTS_PROGRAMS`, else built by this call.
///
/// # Panics
/// When they do not build.
#[must_use]
pub fn build_programs() -> PathBuf {
    std::env::var_os("PVDIFY_TESTS_PROGRAMS").map_or_else(|| build(&IN_CONTAINERS), PathBuf::from)
}

fn build(packages: &[&str]) -> PathBuf {
    let dir = profile_dir();
    let mut args = vec!["build", "--quiet"];
    args.extend(packages.iter().flat_map(|package| ["-p", package]));
    if dir.ends_with("release") {
        args.push("--release");
    }
    let status = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(repository_root())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{} do not build",
        packages.join(", ")
    );
    dir
}

/// The scenarios' app, compiled once: static, so that it runs `FROM scratch`.
pub(crate) fn probe_binary() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| compiled("tests/fixtures/apps/probe/server.c", "probe", &["-static"]))
}

/// The library of [`crate::FsyncFaults`], compiled once.
pub(crate) fn fsync_faults() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let options = ["-shared", "-fPIC", "-pthread"];
        compiled("tests/fixtures/faults/fsync.c", "fsync.so", &options)
    })
}

/// Compiles a C file of the repository into `target/<profile>/`, where it is replaced by the next run's.
fn compiled(source: &str, name: &str, options: &[&str]) -> PathBuf {
    let source = repository_root().join(source).display().to_string();
    let out = profile_dir().join(format!("scenarios-{name}"));
    // Another run of the tests may be using it, so it is replaced in one step.
    let fresh = out
        .with_extension(std::process::id().to_string())
        .display()
        .to_string();
    let mut args = options.to_vec();
    args.extend(["-O2", "-Wall", "-Werror", "-o", &fresh, &source]);
    run("cc", &args);
    std::fs::rename(&fresh, &out).expect("the compiled program takes its name");
    out
}

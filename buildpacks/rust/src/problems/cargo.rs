//! What Cargo says: of the app's own files, and of a build.

use buildpack_support::{
    Failure,
    command::{Cause, CommandError},
    diagnosis,
};

/// `cargo build` failed; `members` are the app's own packages.
pub(crate) fn cargo(error: CommandError, version: &str, members: &[&str]) -> Failure {
    let says = |texts: &[&str]| error.says_any(texts);
    if let Some(failure) = files_of_cargo(&error, version) {
        return failure;
    }
    if says(&[
        "linking with `cc` failed",
        "cannot find -l",
        "pkg-config",
        "could not find system library",
    ]) {
        return Failure::new(
            "A C library is missing",
            "A package links with it, and the build image does not have it; the output above names it.",
            "Name its -dev package in an Aptfile, commit and push again; or use a feature of the package that brings the\n\
             library along (`vendored`, `bundled`, `rustls`).",
        );
    }
    if matches!(error.cause, Cause::Signal(9)) || says(&["(signal: 9, SIGKILL", "out of memory"]) {
        return Failure::new(
            "The compiler needed more memory than it may have",
            error.to_string(),
            "Let fewer compilers run at once: set CARGO_BUILD_JOBS=1 for builds of this app, or a higher memory limit of\n\
             builds on the server.",
        );
    }
    if let Some(failure) = diagnosis::no_space(&error) {
        return failure;
    }
    if says(&["failed to run custom build command"]) {
        return Failure::new(
            "The build script of a package failed",
            "The output above names the package and what it missed.",
            "Often a C library or a tool is missing: name its Debian package in an Aptfile. sqlx needs `cargo sqlx\n\
             prepare` and the folder .sqlx committed, because a build has no database.",
        );
    }
    if says(&["set `DATABASE_URL` to use query macros"]) {
        return Failure::new(
            "sqlx has no database to check queries with",
            "A build has none, and the folder .sqlx is not there or not complete.",
            "Run `cargo sqlx prepare --workspace` on your machine, commit .sqlx and push again.",
        );
    }
    if let Some(package) = not_compiled(&error).filter(|package| !members.contains(package)) {
        return Failure::new(
            format!("The package {package}, which the app depends on, does not compile"),
            format!(
                "The compiler's errors are above. It was compiled with Rust {version}, for which the version in Cargo.lock\n\
                 is too old, most likely."
            ),
            format!(
                "Run `cargo update -p {package}` on your machine, commit Cargo.lock and push again; or ask for the Rust that\n\
                 the app was made with in rust-toolchain.toml."
            ),
        );
    }
    if says(&["could not compile"]) {
        return Failure::new(
            "The code does not compile",
            format!("The compiler's errors are above. It was compiled with Rust {version}."),
            "Correct them, commit and push again. If it compiles on your machine, is everything committed, and is Rust\n\
             the same there? rust-toolchain.toml names the one to use.",
        );
    }
    error.failure(
        "The build by Cargo failed",
        "The reason is above. `cargo build --release --locked` on a clean checkout should show the same on your machine.",
    )
}

// error: could not compile `socket2` (lib) due to 1 previous error
fn not_compiled(error: &CommandError) -> Option<&str> {
    let rest = error
        .tail
        .iter()
        .find_map(|line| line.split_once("could not compile `"))?
        .1;
    rest.split('`').next()
}

/// `cargo metadata` failed: its output is not in the log.
pub(crate) fn manifest(error: CommandError, version: &str) -> Failure {
    files_of_cargo(&error, version).unwrap_or_else(|| {
        error.failure_with_tail(
            "Cargo can't read the app",
            "`cargo metadata --no-deps` shows the same on your machine. Correct it, commit and push again.",
        )
    })
}

/// Whether Cargo would have changed Cargo.lock and was not allowed to.
pub(crate) fn is_lock_outdated(error: &CommandError) -> bool {
    error.says_any(&[
        "needs to be updated but --locked was passed",
        "cannot update the lock file",
        "because --locked was passed",
    ])
}

fn files_of_cargo(error: &CommandError, version: &str) -> Option<Failure> {
    let says = |texts: &[&str]| error.says_any(texts);
    if is_lock_outdated(error) {
        return Some(Failure::new(
            "Cargo.lock does not agree with Cargo.toml",
            "A dependency was changed in one of them and not in the other.",
            "Run `cargo build` on your machine, commit Cargo.lock and push again.",
        ));
    }
    if says(&[
        "requires rustc",
        "is not supported by the following package",
        "cannot be built because it requires",
        "feature `edition2024` is required",
        "lock file version `4`",
        "lock file version 4",
    ]) {
        return Some(Failure::new(
            format!("Rust {version} is too old for the app or one of its packages"),
            "The output of Cargo names what needs a newer one.",
            "Ask for a newer Rust in rust-toolchain.toml (`[toolchain]`, `channel = \"stable\"`), or remove the file; or\n\
             use older versions of the packages: `cargo update -p NAME --precise VERSION`.",
        ));
    }
    if says(&[
        "failed to authenticate",
        "authentication required",
        "status code 401",
        "got 401",
        "got 403",
    ]) {
        return Some(Failure::new(
            "A registry or repository refused to give a package",
            "It is private, and the build has no valid credentials for it; the output of Cargo names it.",
            "For a registry set CARGO_REGISTRIES_NAME_TOKEN for builds of this app; for a git repository name an address\n\
             with a token by CARGO_NET_GIT_FETCH_WITH_CLI and git's configuration, or vendor it (`cargo vendor`).",
        ));
    }
    if says(&[
        "failed to get `",
        "failed to download",
        "Could not resolve host",
        "network failure",
        "spurious network error",
        "failed to fetch",
    ]) {
        return Some(Failure::new(
            "A package could not be fetched",
            format!("{error} Cargo names it and the address."),
            "Push again. If it stays, the server can't reach it: its administrator sets a proxy or a mirror for builds.\n\
             Packages that `cargo vendor` puts into the app (with .cargo/config.toml) are not fetched.",
        ));
    }
    None
}

/// Nothing that can be started.
pub(crate) fn no_programs() -> Failure {
    Failure::new(
        "The app has no program",
        "Cargo built libraries only: no package has src/main.rs, src/bin or [[bin]].",
        "Add one, or push the folder that has it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> CommandError {
        CommandError {
            command: "cargo build --release".into(),
            cause: Cause::Status(101),
            tail: text.lines().map(str::to_owned).collect(),
        }
    }

    fn of(text: &str) -> String {
        cargo(error(text), "1.85.1", &["x"]).text()
    }

    #[test]
    fn an_outdated_lockfile() {
        insta::assert_snapshot!(of("error: the lock file needs to be updated but --locked was passed"), @r"
        Cargo.lock does not agree with Cargo.toml

        A dependency was changed in one of them and not in the other.

        Run `cargo build` on your machine, commit Cargo.lock and push again.
        ");
    }

    #[test]
    fn a_rust_that_is_too_old() {
        insta::assert_snapshot!(of("error: package `x` cannot be built because it requires rustc 1.90"), @r#"
        Rust 1.85.1 is too old for the app or one of its packages

        The output of Cargo names what needs a newer one.

        Ask for a newer Rust in rust-toolchain.toml (`[toolchain]`, `channel = "stable"`), or remove the file; or
        use older versions of the packages: `cargo update -p NAME --precise VERSION`.
        "#);
    }

    #[test]
    fn a_private_package() {
        insta::assert_snapshot!(of("failed to authenticate when downloading repository"), @r"
        A registry or repository refused to give a package

        It is private, and the build has no valid credentials for it; the output of Cargo names it.

        For a registry set CARGO_REGISTRIES_NAME_TOKEN for builds of this app; for a git repository name an address
        with a token by CARGO_NET_GIT_FETCH_WITH_CLI and git's configuration, or vendor it (`cargo vendor`).
        ");
    }

    #[test]
    fn an_unreachable_package() {
        insta::assert_snapshot!(of("failed to get `x` as a dependency"), @r"
        A package could not be fetched

        `cargo build --release` ended with status 101. Cargo names it and the address.

        Push again. If it stays, the server can't reach it: its administrator sets a proxy or a mirror for builds.
        Packages that `cargo vendor` puts into the app (with .cargo/config.toml) are not fetched.
        ");
    }

    #[test]
    fn a_missing_library() {
        insta::assert_snapshot!(of("error: linking with `cc` failed: exit status: 1"), @r"
        A C library is missing

        A package links with it, and the build image does not have it; the output above names it.

        Name its -dev package in an Aptfile, commit and push again; or use a feature of the package that brings the
        library along (`vendored`, `bundled`, `rustls`).
        ");
    }

    #[test]
    fn no_memory() {
        insta::assert_snapshot!(of("process didn't exit successfully: rustc (signal: 9, SIGKILL: kill)"), @r"
        The compiler needed more memory than it may have

        `cargo build --release` ended with status 101.

        Let fewer compilers run at once: set CARGO_BUILD_JOBS=1 for builds of this app, or a higher memory limit of
        builds on the server.
        ");
    }

    #[test]
    fn no_space() {
        insta::assert_snapshot!(of("No space left on device (os error 28)"), @r"
        There was no space left

        The build wrote more than the server's disk has, or more than a build may.

        Clear the app's build cache and push again, or tell the server's administrator.
        ");
    }

    #[test]
    fn a_build_script() {
        insta::assert_snapshot!(of("error: failed to run custom build command for `x`"), @r"
        The build script of a package failed

        The output above names the package and what it missed.

        Often a C library or a tool is missing: name its Debian package in an Aptfile. sqlx needs `cargo sqlx
        prepare` and the folder .sqlx committed, because a build has no database.
        ");
    }

    #[test]
    fn queries_without_a_database() {
        insta::assert_snapshot!(of("error: set `DATABASE_URL` to use query macros online"), @r"
        sqlx has no database to check queries with

        A build has none, and the folder .sqlx is not there or not complete.

        Run `cargo sqlx prepare --workspace` on your machine, commit .sqlx and push again.
        ");
    }

    #[test]
    fn code_that_does_not_compile() {
        insta::assert_snapshot!(of("error: could not compile `x`"), @r"
        The code does not compile

        The compiler's errors are above. It was compiled with Rust 1.85.1.

        Correct them, commit and push again. If it compiles on your machine, is everything committed, and is Rust
        the same there? rust-toolchain.toml names the one to use.
        ");
    }

    #[test]
    fn a_dependency_that_does_not_compile() {
        insta::assert_snapshot!(of("error: could not compile `socket2` (lib) due to 1 previous error"), @r"
        The package socket2, which the app depends on, does not compile

        The compiler's errors are above. It was compiled with Rust 1.85.1, for which the version in Cargo.lock
        is too old, most likely.

        Run `cargo update -p socket2` on your machine, commit Cargo.lock and push again; or ask for the Rust that
        the app was made with in rust-toolchain.toml.
        ");
    }

    #[test]
    fn another_failure() {
        insta::assert_snapshot!(of("boom"), @r"
        The build by Cargo failed

        `cargo build --release` ended with status 101.

        The reason is above. `cargo build --release --locked` on a clean checkout should show the same on your machine.
        ");
    }

    #[test]
    fn a_manifest_that_is_broken() {
        insta::assert_snapshot!(manifest(error("error: failed to parse manifest"), "1.85.1").text(), @r"
        Cargo can't read the app

        `cargo build --release` ended with status 101.
          error: failed to parse manifest

        `cargo metadata --no-deps` shows the same on your machine. Correct it, commit and push again.
        ");
    }

    #[test]
    fn an_app_of_libraries() {
        insta::assert_snapshot!(no_programs().text(), @r"
        The app has no program

        Cargo built libraries only: no package has src/main.rs, src/bin or [[bin]].

        Add one, or push the folder that has it.
        ");
    }
}

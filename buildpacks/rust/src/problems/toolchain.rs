//! Why there is no Rust to build with: the channel, the server, Debian.

use buildpack_support::{Failure, command::CommandError};

/// The server has no such channel.
pub(crate) fn no_channel(channel: &str, from: &str) -> Failure {
    Failure::new(
        format!("There is no Rust {channel}"),
        format!("It is asked for by {from}, and the server of Rust has no such version."),
        format!(
            "Name one that was released in {from}, as in `channel = \"1.91.0\"` or `channel = \"stable\"`, and push again."
        ),
    )
}

/// The server has the channel, but not all of it.
pub(crate) fn no_components(channel: &str, host: &str) -> Failure {
    Failure::new(
        format!("Rust {channel} is not complete"),
        format!(
            "The server has no compiler, Cargo or standard library of it for {host} or for one of the targets asked for."
        ),
        "Name another in rust-toolchain.toml: of `nightly` some days have not everything.",
    )
}

/// Neither the server nor Debian.
pub(crate) fn no_rust(why: &str) -> Failure {
    Failure::new(
        "No Rust can be installed",
        format!(
            "The server of Rust can't be reached ({}), and the package sources of the build image have none.",
            why.trim()
        ),
        "The server's administrator sets a proxy or RUSTUP_DIST_SERVER for builds, or sources that have rustc and cargo.",
    )
}

/// Debian has the machine's own target only.
pub(crate) fn no_targets(targets: &[String], from: &str) -> Failure {
    Failure::new(
        format!("The targets {} can't be installed", targets.join(", ")),
        format!(
            "{from} asks for them, the server of Rust can't be reached, and Debian has the machine's own target only."
        ),
        format!(
            "Remove them from {from} if the build can do without, or let the server's administrator set a proxy."
        ),
    )
}

/// A component can't be fetched.
pub(crate) fn no_download(error: CommandError, name: &str) -> Failure {
    error.failure_with_tail(
        format!("Can't download {name}"),
        "Push again. If it stays, the server can't reach the server of Rust: its administrator sets a proxy or\n\
         RUSTUP_DIST_SERVER for builds.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    #[test]
    fn a_channel_that_is_not_there() {
        insta::assert_snapshot!(no_channel("1.999.0", "rust-toolchain.toml").text(), @r#"
        There is no Rust 1.999.0

        It is asked for by rust-toolchain.toml, and the server of Rust has no such version.

        Name one that was released in rust-toolchain.toml, as in `channel = "1.91.0"` or `channel = "stable"`, and push again.
        "#);
    }

    #[test]
    fn a_channel_that_is_not_complete() {
        insta::assert_snapshot!(no_components("nightly", "x86_64-unknown-linux-gnu").text(), @r"
        Rust nightly is not complete

        The server has no compiler, Cargo or standard library of it for x86_64-unknown-linux-gnu or for one of the targets asked for.

        Name another in rust-toolchain.toml: of `nightly` some days have not everything.
        ");
    }

    #[test]
    fn no_rust_at_all() {
        insta::assert_snapshot!(no_rust("no route").text(), @r"
        No Rust can be installed

        The server of Rust can't be reached (no route), and the package sources of the build image have none.

        The server's administrator sets a proxy or RUSTUP_DIST_SERVER for builds, or sources that have rustc and cargo.
        ");
    }

    #[test]
    fn targets_that_debian_has_not() {
        insta::assert_snapshot!(no_targets(&["wasm32-unknown-unknown".into()], "rust-toolchain.toml").text(), @r"
        The targets wasm32-unknown-unknown can't be installed

        rust-toolchain.toml asks for them, the server of Rust can't be reached, and Debian has the machine's own target only.

        Remove them from rust-toolchain.toml if the build can do without, or let the server's administrator set a proxy.
        ");
    }

    #[test]
    fn a_download_that_fails() {
        let error = CommandError {
            command: "curl".into(),
            cause: Cause::Status(28),
            tail: vec!["curl: (28) timeout".into()],
        };
        insta::assert_snapshot!(no_download(error, "rustc 1.91.0").text(), @r"
        Can't download rustc 1.91.0

        `curl` ended with status 28.
          curl: (28) timeout

        Push again. If it stays, the server can't reach the server of Rust: its administrator sets a proxy or
        RUSTUP_DIST_SERVER for builds.
        ");
    }
}

//! What the go command's last lines mean for the person who pushed.

use buildpack_support::{
    Failure,
    command::CommandError,
    diagnosis::{self, Known},
};

// In this order: a private module is also a module that was not found.
const KNOWN: &[Known] = &[
    Known {
        signs: &["SECURITY ERROR", "checksum mismatch"],
        why: "A module that was downloaded is not the one whose checksum go.sum has.",
        fix: "Its author may have moved a tag. Look at the module named above; if the new one is right, remove its lines \
              from go.sum, run `go mod tidy`, commit and push again.",
    },
    Known {
        signs: &[
            "missing go.sum entry",
            "updates to go.mod needed",
            "updates to go.sum needed",
            "go: updating go.mod",
        ],
        why: "go.mod and go.sum do not fit each other or the code.",
        fix: "Run `go mod tidy`, commit go.mod and go.sum, and push again.",
    },
    Known {
        signs: &["inconsistent vendoring"],
        why: "vendor/ is not what go.mod asks for.",
        fix: "Run `go mod vendor` (in a workspace `go work vendor`), commit vendor/ and push again.",
    },
    Known {
        signs: &[
            "running go 1",
            "requires go >= ",
            "requires go1.",
            "note: module requires Go",
        ],
        why: "The app or one of its modules needs a newer Go than the one that was chosen.",
        fix: "Ask for it in go.mod (`go get go@VERSION` does so, or change `// +heroku goVersion`), commit and push again.",
    },
    Known {
        signs: &[
            "terminal prompts disabled",
            "could not read Username",
            "Permission denied (publickey)",
            "Authentication failed",
            "Repository not found",
            "403 Forbidden",
        ],
        why: "A module can't be read without credentials: it is private, or its path is misspelled.",
        fix: "The surest way is to commit it with the app: `go mod vendor`, then commit vendor/. Or make a proxy that \
              may read it known to the build: GOPROXY, with GOPRIVATE or GONOSUMDB for its path, as build-time config.",
    },
    Known {
        signs: &["404 Not Found", "410 Gone", "unknown revision", "invalid version"],
        why: "A module, or the version of it that go.mod asks for, is not there.",
        fix: "Is it spelled rightly, and the version pushed? If the module is private, commit it with the app: \
              `go mod vendor`, then commit vendor/.",
    },
    Known {
        signs: &[
            "no required module provides package",
            "cannot find module providing package",
            "is not in std",
        ],
        why: "The code imports a package that go.mod does not have.",
        fix: "Run `go mod tidy`, commit go.mod and go.sum, and push again. Was a folder of the app left out by .gitignore?",
    },
    Known {
        signs: &["no matching files found"],
        why: "A file that `//go:embed` names is not there.",
        fix: "Is it committed? If a front end's build makes it, the app needs a package.json with a build script, which \
              runs before Go does.",
    },
    Known {
        signs: &[
            "pkg-config: exec",
            "Package ",
            "fatal error: ",
            "cannot find -l",
            "C compiler",
        ],
        why: "Code in C that a package uses does not compile here: most likely a library is missing.",
        fix: "Name its Debian packages (the library and its -dev) in an Aptfile. If the package works without C, set \
              CGO_ENABLED=0 for the build.",
    },
    Known {
        signs: &[
            "dial tcp",
            "i/o timeout",
            "connection refused",
            "no such host",
            "TLS handshake",
            "x509:",
        ],
        why: "The module proxy could not be reached.",
        fix: "Push again. If it stays, the server's administrator sets a proxy for Go (GOPROXY, GOSUMDB) and a CA for \
              builds; or commit the modules: `go mod vendor`.",
    },
    Known {
        signs: &["signal: killed", "out of memory", "cannot allocate memory"],
        why: "The compiler was ended for using too much memory.",
        fix: "Ask the server's administrator for more memory for builds, or set GOFLAGS=-p=1 for the build.",
    },
];

/// The failure for a go command that failed.
pub(crate) fn of(error: CommandError, what: &str) -> Failure {
    diagnosis::of(
        error,
        what,
        KNOWN,
        "The lines above name the file and line. Does `go build ./...` succeed where you work, with all files committed?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    fn failure(line: &str) -> String {
        let error = CommandError {
            command: "go build ./cmd/web".to_owned(),
            cause: Cause::Status(1),
            tail: vec![line.to_owned()],
        };
        of(error, "The app does not compile").text()
    }

    #[test]
    fn a_private_module() {
        insta::assert_snapshot!(failure("fatal: could not read Username for 'https://github.com': terminal prompts disabled"), @r"
        The app does not compile

        A module can't be read without credentials: it is private, or its path is misspelled.
        `go build ./cmd/web` ended with status 1.
          fatal: could not read Username for 'https://github.com': terminal prompts disabled

        The surest way is to commit it with the app: `go mod vendor`, then commit vendor/. Or make a proxy that may read it known to the build: GOPROXY, with GOPRIVATE or GONOSUMDB for its path, as build-time config.
        ");
    }

    #[test]
    fn sums_that_are_missing() {
        insta::assert_snapshot!(failure("a.go:3:2: missing go.sum entry for module providing package x"), @r"
        The app does not compile

        go.mod and go.sum do not fit each other or the code.
        `go build ./cmd/web` ended with status 1.
          a.go:3:2: missing go.sum entry for module providing package x

        Run `go mod tidy`, commit go.mod and go.sum, and push again.
        ");
    }

    #[test]
    fn sums_that_differ() {
        insta::assert_snapshot!(failure("verifying x@v1.0.0: checksum mismatch"), @r"
        The app does not compile

        A module that was downloaded is not the one whose checksum go.sum has.
        `go build ./cmd/web` ended with status 1.
          verifying x@v1.0.0: checksum mismatch

        Its author may have moved a tag. Look at the module named above; if the new one is right, remove its lines from go.sum, run `go mod tidy`, commit and push again.
        ");
    }

    #[test]
    fn a_stale_vendor_folder() {
        insta::assert_snapshot!(failure("go: inconsistent vendoring in /workspace:"), @r"
        The app does not compile

        vendor/ is not what go.mod asks for.
        `go build ./cmd/web` ended with status 1.
          go: inconsistent vendoring in /workspace:

        Run `go mod vendor` (in a workspace `go work vendor`), commit vendor/ and push again.
        ");
    }

    #[test]
    fn a_go_that_is_too_old() {
        insta::assert_snapshot!(failure("go: go.mod requires go >= 1.26 (running go 1.25.1; GOTOOLCHAIN=local)"), @r"
        The app does not compile

        The app or one of its modules needs a newer Go than the one that was chosen.
        `go build ./cmd/web` ended with status 1.
          go: go.mod requires go >= 1.26 (running go 1.25.1; GOTOOLCHAIN=local)

        Ask for it in go.mod (`go get go@VERSION` does so, or change `// +heroku goVersion`), commit and push again.
        ");
    }

    #[test]
    fn a_version_that_is_not_there() {
        insta::assert_snapshot!(failure("reading x/@v/v9.9.9.info: 404 Not Found"), @r"
        The app does not compile

        A module, or the version of it that go.mod asks for, is not there.
        `go build ./cmd/web` ended with status 1.
          reading x/@v/v9.9.9.info: 404 Not Found

        Is it spelled rightly, and the version pushed? If the module is private, commit it with the app: `go mod vendor`, then commit vendor/.
        ");
    }

    #[test]
    fn a_package_that_no_module_has() {
        insta::assert_snapshot!(failure("a.go:3:2: no required module provides package x; to add it:"), @r"
        The app does not compile

        The code imports a package that go.mod does not have.
        `go build ./cmd/web` ended with status 1.
          a.go:3:2: no required module provides package x; to add it:

        Run `go mod tidy`, commit go.mod and go.sum, and push again. Was a folder of the app left out by .gitignore?
        ");
    }

    #[test]
    fn an_embedded_file_that_is_missing() {
        insta::assert_snapshot!(failure("main.go:9:12: pattern dist/*: no matching files found"), @r"
        The app does not compile

        A file that `//go:embed` names is not there.
        `go build ./cmd/web` ended with status 1.
          main.go:9:12: pattern dist/*: no matching files found

        Is it committed? If a front end's build makes it, the app needs a package.json with a build script, which runs before Go does.
        ");
    }

    #[test]
    fn a_library_of_c() {
        insta::assert_snapshot!(failure("vips.go:5:11: fatal error: vips/vips.h: No such file or directory"), @r"
        The app does not compile

        Code in C that a package uses does not compile here: most likely a library is missing.
        `go build ./cmd/web` ended with status 1.
          vips.go:5:11: fatal error: vips/vips.h: No such file or directory

        Name its Debian packages (the library and its -dev) in an Aptfile. If the package works without C, set CGO_ENABLED=0 for the build.
        ");
    }

    #[test]
    fn no_network() {
        insta::assert_snapshot!(failure("Get \"https://proxy/x\": dial tcp: lookup proxy: no such host"), @r#"
        The app does not compile

        The module proxy could not be reached.
        `go build ./cmd/web` ended with status 1.
          Get "https://proxy/x": dial tcp: lookup proxy: no such host

        Push again. If it stays, the server's administrator sets a proxy for Go (GOPROXY, GOSUMDB) and a CA for builds; or commit the modules: `go mod vendor`.
        "#);
    }

    #[test]
    fn no_memory() {
        insta::assert_snapshot!(failure("compile: signal: killed"), @r"
        The app does not compile

        The compiler was ended for using too much memory.
        `go build ./cmd/web` ended with status 1.
          compile: signal: killed

        Ask the server's administrator for more memory for builds, or set GOFLAGS=-p=1 for the build.
        ");
    }

    #[test]
    fn anything_else_is_the_codes_own() {
        insta::assert_snapshot!(failure("./main.go:7:2: undefined: foo"), @r"
        The app does not compile

        `go build ./cmd/web` ended with status 1.
          ./main.go:7:2: undefined: foo

        The lines above name the file and line. Does `go build ./...` succeed where you work, with all files committed?
        ");
    }
}

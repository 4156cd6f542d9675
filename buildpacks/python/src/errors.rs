//! What uv's last lines mean for the person who pushed.

use buildpack_support::{
    Failure,
    command::CommandError,
    diagnosis::{self, Known},
};

// In this order: a package that does not compile is often also one that "failed to build".
const KNOWN: &[Known] = &[
    // Said of a package's own file, not of the app's.
    Known {
        signs: &["Failed to download and build"],
        why: "A package can't be built from its source here.",
        fix: "Ask for a version that is built already for this Python (a newer one, mostly), or for another Python in \
              .python-version.",
    },
    Known {
        signs: &[
            "needs to be updated",
            "lockfile is outdated",
            "is not up-to-date",
            "--locked",
        ],
        why: "uv.lock does not fit pyproject.toml.",
        fix: "Run `uv lock`, commit uv.lock and push again.",
    },
    Known {
        signs: &["pg_config"],
        why: "psycopg2 has to be compiled here, and PostgreSQL's library is missing.",
        fix: "Ask for `psycopg2-binary` (or `psycopg[binary]`) instead, which is compiled already; or name `libpq-dev` \
              and `libpq5` in an Aptfile.",
    },
    Known {
        signs: &[
            "mysql_config",
            "MYSQLCLIENT_CFLAGS",
            "Can not find valid pkg-config name",
        ],
        why: "mysqlclient has to be compiled here, and MySQL's library is missing.",
        fix: "Ask for `PyMySQL` instead, which needs none; or name `libmariadb-dev` and `libmariadb3` in an Aptfile.",
    },
    // Its code in C is for an older Python's.
    Known {
        signs: &["\u{2018}_Py", "\u{2018}Py", "longintrepr.h", "ob_digit"],
        why: "A package is too old for this Python: its code in C does not compile with it.",
        fix: "Ask for a newer version of it (the lines above say which one failed), or for an older Python in \
              .python-version, and push again.",
    },
    Known {
        signs: &[
            "fatal error: ",
            "cannot find -l",
            "ld returned 1",
            "pkg-config: exec",
            "Package requirements",
        ],
        why: "A package has to be compiled here, and a library in C that it needs is missing.",
        fix: "Is there a newer version of the package, or of Python's, for which it is compiled already? Otherwise name \
              the library's Debian packages (with its -dev) in an Aptfile.",
    },
    Known {
        signs: &["cargo", "rustc", "maturin failed"],
        why: "A package has to be compiled from Rust, and the build image has no Rust.",
        fix: "Ask for a version of the package that is compiled already for this Python: a newer one, mostly.",
    },
    Known {
        signs: &[
            "No module named 'pkg_resources'",
            "No module named 'distutils'",
            "No module named 'imp'",
            "use_2to3 is invalid",
        ],
        why: "A package is too old for this Python.",
        fix: "Ask for a newer version of it, or for an older Python in .python-version, and push again.",
    },
    Known {
        signs: &[
            "was not found in the package registry",
            "not found in the package registry",
            "No matching distribution",
        ],
        why: "There is no package of that name in the index.",
        fix: "Is it spelled rightly? If it is a private one, the build must know its index: UV_INDEX or \
              PIP_EXTRA_INDEX_URL, with its credentials, as build-time config.",
    },
    Known {
        signs: &["hash mismatch", "Hash mismatch"],
        why: "What was downloaded is not what the app's file has the hash of.",
        fix: "Make the file anew (`pip-compile --generate-hashes`, `pipenv lock`, `poetry lock`), commit it and push again.",
    },
    Known {
        signs: &["No solution found", "unsatisfiable", "incompatible"],
        why: "The packages that are asked for do not go together, or not with this Python.",
        fix: "The lines above name them. Change one of the versions, commit and push again.",
    },
    Known {
        signs: &["Could not resolve host", "unable to access"],
        why: "The repository that a package comes from could not be reached.",
        fix: "Is its address right? Push again. If it stays, the server can't reach it: ask for a release of the package \
              from the index instead, or put its source into the app's.",
    },
    Known {
        signs: &[
            "could not read Username",
            "Permission denied (publickey)",
            "Authentication failed",
            "401 Unauthorized",
            "403 Forbidden",
            "Git operation failed",
        ],
        why: "A package's source can't be read without credentials, or is not there.",
        fix: "If it is private: give the build a URL with a token by build-time config, or put the package into the app's \
              source.",
    },
    Known {
        signs: &[
            "error sending request",
            "dns error",
            "Connection refused",
            "timed out",
            "certificate",
            "Failed to fetch",
            "Could not connect",
        ],
        why: "The index of packages could not be reached.",
        fix: "Push again. If it stays, the server's administrator sets a mirror or proxy (PIP_INDEX_URL, HTTPS_PROXY) and a \
              CA for builds.",
    },
    Known {
        signs: &[
            "Couldn't parse requirement",
            "Failed to parse",
            "Expected one of",
            "Unsupported requirement",
            "Error parsing",
        ],
        why: "A line of the app's file can't be read.",
        fix: "The lines above name it. Correct it, commit and push again.",
    },
    Known {
        signs: &[
            "Failed to build",
            "Build backend failed",
            "build backend returned an error",
        ],
        why: "A package can't be built from its source here.",
        fix: "Ask for a version that is built already for this Python (a newer one, mostly), or for another Python in \
              .python-version.",
    },
];

/// The failure for a run of uv that failed.
pub(crate) fn of(error: CommandError, what: &str) -> Failure {
    diagnosis::of(
        error,
        what,
        KNOWN,
        "Does the same succeed in a new virtual environment where you work? Push again, or correct what the lines \
             above name.",
    )
}

/// Whether a package could not be built, which another Python may have no need of.
pub(crate) fn is_of_a_build(failure: &Failure) -> bool {
    [
        "Failed to build",
        "Failed to download and build",
        "hint: Build failures",
        "Call to `",
    ]
    .iter()
    .any(|sign| failure.why().contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_support::command::Cause;

    fn failure(line: &str) -> String {
        let error = CommandError {
            command: "uv pip install -r requirements.txt".to_owned(),
            cause: Cause::Status(1),
            tail: vec![line.to_owned()],
        };
        of(error, "The app's packages can't be installed").text()
    }

    #[test]
    fn a_lock_that_is_old() {
        insta::assert_snapshot!(failure("error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided."), @r"
        The app's packages can't be installed

        uv.lock does not fit pyproject.toml.
        `uv pip install -r requirements.txt` ended with status 1.
          error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.

        Run `uv lock`, commit uv.lock and push again.
        ");
    }

    #[test]
    fn postgresql() {
        insta::assert_snapshot!(failure("Error: pg_config executable not found."), @r"
        The app's packages can't be installed

        psycopg2 has to be compiled here, and PostgreSQL's library is missing.
        `uv pip install -r requirements.txt` ended with status 1.
          Error: pg_config executable not found.

        Ask for `psycopg2-binary` (or `psycopg[binary]`) instead, which is compiled already; or name `libpq-dev` and `libpq5` in an Aptfile.
        ");
    }

    #[test]
    fn mysql() {
        insta::assert_snapshot!(failure("Exception: Can not find valid pkg-config name."), @r"
        The app's packages can't be installed

        mysqlclient has to be compiled here, and MySQL's library is missing.
        `uv pip install -r requirements.txt` ended with status 1.
          Exception: Can not find valid pkg-config name.

        Ask for `PyMySQL` instead, which needs none; or name `libmariadb-dev` and `libmariadb3` in an Aptfile.
        ");
    }

    #[test]
    fn a_library_of_c() {
        insta::assert_snapshot!(failure("src/x.c:1:10: fatal error: ldap.h: No such file or directory"), @r"
        The app's packages can't be installed

        A package has to be compiled here, and a library in C that it needs is missing.
        `uv pip install -r requirements.txt` ended with status 1.
          src/x.c:1:10: fatal error: ldap.h: No such file or directory

        Is there a newer version of the package, or of Python's, for which it is compiled already? Otherwise name the library's Debian packages (with its -dev) in an Aptfile.
        ");
    }

    #[test]
    fn a_package_in_rust() {
        insta::assert_snapshot!(failure("error: can't find cargo, is Rust installed?"), @r"
        The app's packages can't be installed

        A package has to be compiled from Rust, and the build image has no Rust.
        `uv pip install -r requirements.txt` ended with status 1.
          error: can't find cargo, is Rust installed?

        Ask for a version of the package that is compiled already for this Python: a newer one, mostly.
        ");
    }

    #[test]
    fn a_package_in_c_for_an_older_python() {
        let line = "error: implicit declaration of function \u{2018}_PyInterpreterState_Get\u{2019}";
        assert!(failure(line).contains("A package is too old for this Python: its code in C"));
        assert!(!failure("fatal error: x.h: No such file").contains("too old"));
    }

    #[test]
    fn a_package_of_former_times() {
        insta::assert_snapshot!(failure("ModuleNotFoundError: No module named 'distutils'"), @r"
        The app's packages can't be installed

        A package is too old for this Python.
        `uv pip install -r requirements.txt` ended with status 1.
          ModuleNotFoundError: No module named 'distutils'

        Ask for a newer version of it, or for an older Python in .python-version, and push again.
        ");
    }

    #[test]
    fn a_name_that_is_not_there() {
        insta::assert_snapshot!(failure("Because flasky was not found in the package registry"), @r"
        The app's packages can't be installed

        There is no package of that name in the index.
        `uv pip install -r requirements.txt` ended with status 1.
          Because flasky was not found in the package registry

        Is it spelled rightly? If it is a private one, the build must know its index: UV_INDEX or PIP_EXTRA_INDEX_URL, with its credentials, as build-time config.
        ");
    }

    #[test]
    fn a_hash() {
        insta::assert_snapshot!(failure("Hash mismatch for `flask==3.0.0`"), @r"
        The app's packages can't be installed

        What was downloaded is not what the app's file has the hash of.
        `uv pip install -r requirements.txt` ended with status 1.
          Hash mismatch for `flask==3.0.0`

        Make the file anew (`pip-compile --generate-hashes`, `pipenv lock`, `poetry lock`), commit it and push again.
        ");
    }

    #[test]
    fn versions_that_do_not_fit() {
        insta::assert_snapshot!(failure("  x No solution found when resolving dependencies:"), @r"
        The app's packages can't be installed

        The packages that are asked for do not go together, or not with this Python.
        `uv pip install -r requirements.txt` ended with status 1.
            x No solution found when resolving dependencies:

        The lines above name them. Change one of the versions, commit and push again.
        ");
    }

    #[test]
    fn a_private_repository() {
        insta::assert_snapshot!(failure("fatal: could not read Username for 'https://github.com'"), @r"
        The app's packages can't be installed

        A package's source can't be read without credentials, or is not there.
        `uv pip install -r requirements.txt` ended with status 1.
          fatal: could not read Username for 'https://github.com'

        If it is private: give the build a URL with a token by build-time config, or put the package into the app's source.
        ");
    }

    #[test]
    fn a_repository_out_of_reach() {
        insta::assert_snapshot!(failure("fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com"), @r"
        The app's packages can't be installed

        The repository that a package comes from could not be reached.
        `uv pip install -r requirements.txt` ended with status 1.
          fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com

        Is its address right? Push again. If it stays, the server can't reach it: ask for a release of the package from the index instead, or put its source into the app's.
        ");
    }

    #[test]
    fn no_network() {
        insta::assert_snapshot!(failure("cause: dns error"), @r"
        The app's packages can't be installed

        The index of packages could not be reached.
        `uv pip install -r requirements.txt` ended with status 1.
          cause: dns error

        Push again. If it stays, the server's administrator sets a mirror or proxy (PIP_INDEX_URL, HTTPS_PROXY) and a CA for builds.
        ");
    }

    #[test]
    fn a_line_that_is_none() {
        insta::assert_snapshot!(failure("error: Couldn't parse requirement in `requirements.txt` at position 0"), @r"
        The app's packages can't be installed

        A line of the app's file can't be read.
        `uv pip install -r requirements.txt` ended with status 1.
          error: Couldn't parse requirement in `requirements.txt` at position 0

        The lines above name it. Correct it, commit and push again.
        ");
    }

    #[test]
    fn a_package_that_does_not_build() {
        insta::assert_snapshot!(failure("  x Failed to build `foo==1.0`"), @r"
        The app's packages can't be installed

        A package can't be built from its source here.
        `uv pip install -r requirements.txt` ended with status 1.
            x Failed to build `foo==1.0`

        Ask for a version that is built already for this Python (a newer one, mostly), or for another Python in .python-version.
        ");
    }

    #[test]
    fn anything_else() {
        insta::assert_snapshot!(failure("error: something new"), @r"
        The app's packages can't be installed

        `uv pip install -r requirements.txt` ended with status 1.
          error: something new

        Does the same succeed in a new virtual environment where you work? Push again, or correct what the lines above name.
        ");
    }
}

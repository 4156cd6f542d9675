//! What the clients of registries (`npm`, `pip`) have in common: each asks and fetches by itself, and fails in much
//! the same ways.

use crate::{
    Failure, Result,
    command::{Cause, CommandError},
};
use std::{fs, path::Path};

/// How messages name a client and what it talks to.
#[derive(Debug)]
pub(super) struct Words {
    /// `npm`.
    pub(super) client: &'static str,
    /// `the npm registry`.
    pub(super) registry: &'static str,
    /// What the client says of a package that is not there.
    pub(super) unknown: &'static str,
    /// What to do about one.
    pub(super) unknown_fix: &'static str,
    /// The variables by which an administrator sets a mirror or a proxy.
    pub(super) settings: &'static str,
}

impl Words {
    /// The failure of the client itself, on `spec`.
    pub(super) fn failed(&self, error: CommandError, spec: &str) -> Failure {
        let what = format!("Can't get {spec} from {}", self.registry);
        if matches!(error.cause, Cause::NotFound) {
            let fix = format!(
                "The build image lacks {}: tell the server's administrator.",
                self.client
            );
            return error.failure(what, fix);
        }
        if error.says(self.unknown) {
            return error.failure_with_tail(what, self.unknown_fix);
        }
        let fix = format!(
            "Push again. If it stays, the server can't reach {}: its administrator sets a mirror or proxy ({}) and a CA \
             for builds.",
            self.registry, self.settings
        );
        error.failure_with_tail(what, fix)
    }

    /// The registry names no digest of `spec`.
    pub(super) fn no_digest(&self, spec: &str) -> Failure {
        let registry = self.registry;
        Failure::new(
            format!("There is no digest of {spec} in {registry}"),
            "Without one the download can't be checked.",
            "Is a mirror set that leaves it out? Tell the server's administrator, or ask for another version.",
        )
    }

    /// Moves the one file with this `extension` that the client left beside `path` there.
    pub(super) fn take(&self, spec: &str, extension: &str, path: &Path) -> Result<()> {
        let left = fs::read_dir(path.parent().unwrap_or(path))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|found| found == extension));
        match left {
            Some(left) => fs::rename(&left, path).map_err(|error| Failure::io("write", path, &error)),
            None => Err(Failure::new(
                format!("{} gave no file for {spec}", self.client),
                "It ended well, but what it was to download is not there.",
                "Push again; if it stays, tell the server's administrator.",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const WORDS: Words = Words {
        client: "fetcher",
        registry: "the registry",
        unknown: "no such",
        unknown_fix: "Ask for another.",
        settings: "FETCHER_MIRROR",
    };

    fn text(cause: Cause, line: &str) -> String {
        let error = CommandError {
            command: "fetcher get x".to_owned(),
            cause,
            tail: vec![line.to_owned()],
        };
        WORDS.failed(error, "x").text()
    }

    #[test]
    fn each_way_to_fail_has_its_remedy() {
        insta::assert_snapshot!(text(Cause::Status(1), "timeout"), @r"
        Can't get x from the registry

        `fetcher get x` ended with status 1.
          timeout

        Push again. If it stays, the server can't reach the registry: its administrator sets a mirror or proxy (FETCHER_MIRROR) and a CA for builds.
        ");
        assert!(text(Cause::Status(1), "no such x").ends_with("Ask for another."));
        assert!(text(Cause::NotFound, "").contains("The build image lacks fetcher"));
        insta::assert_snapshot!(WORDS.no_digest("x").text(), @r"
        There is no digest of x in the registry

        Without one the download can't be checked.

        Is a mirror set that leaves it out? Tell the server's administrator, or ask for another version.
        ");
    }

    #[test]
    fn the_file_that_a_client_left_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("download");
        insta::assert_snapshot!(WORDS.take("x", "tgz", &path).unwrap_err().text(), @r"
        fetcher gave no file for x

        It ended well, but what it was to download is not there.

        Push again; if it stays, tell the server's administrator.
        ");
        files::write(&dir.path().join("x-1.0.tgz"), "packed").unwrap();
        WORDS.take("x", "tgz", &path).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "packed");
    }
}

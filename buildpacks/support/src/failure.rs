//! Why a build ends: what happened, why, what to do about it.
//!
//! All three parts are asked for when a failure is made, because a message without the third leaves a person
//! alone with it. All buildpacks render it the same, on stderr.

use std::{fmt, io, path::Path};

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Failure>;

/// What happened, why, what to do.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    why: String,
    fix: String,
}

impl Failure {
    /// `what` is one sentence without a full stop; `why` and `fix` are one or more lines.
    pub fn new(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
            fix: fix.into(),
        }
    }

    /// The file system refused something: `doing` as in "write" or "read", on `path`.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        let fix = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "The server's disk is full: free some space there, then push again."
            }
            io::ErrorKind::PermissionDenied => {
                "Builds run without root. If the path is part of your source, check its mode in git; otherwise tell the \
                 server's administrator."
            }
            _ => {
                "If the path is part of your source, check it there and push again; otherwise try once more."
            }
        };
        Self::new(
            format!("Can't {doing} {}", path.display()),
            format!("{error}."),
            fix,
        )
    }

    /// What happened.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// What to do.
    #[must_use]
    pub fn fix(&self) -> &str {
        &self.fix
    }

    /// The three parts with an empty line between: for snapshots in tests.
    #[must_use]
    pub fn text(&self) -> String {
        [&self.what, &self.why, &self.fix]
            .map(|part| part.trim_end())
            .join("\n\n")
    }

    /// As it stands in the build log, with a line end after each line.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for (index, part) in [&self.what, &self.why, &self.fix].into_iter().enumerate() {
            if index > 0 {
                text.push_str(" !\n");
            }
            for line in part.trim_end().lines() {
                text.push_str(format!(" !     {line}").trim_end());
                text.push('\n');
            }
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render())
    }
}

impl std::error::Error for Failure {}

// Both ways, so that `?` works in `detect` and `build` as in everything they call.
impl From<Failure> for libcnb::Error<Failure> {
    fn from(failure: Failure) -> Self {
        Self::BuildpackError(failure)
    }
}

impl From<libcnb::Error<Failure>> for Failure {
    fn from(error: libcnb::Error<Failure>) -> Self {
        match error {
            libcnb::Error::BuildpackError(failure) => failure,
            other => Self::new(
                "The buildpack could not talk to the platform",
                format!("{}.", other.to_string().trim_end()),
                "This is no fault of your app. Push again; if it stays, clear the app's build cache and tell the \
                 server's administrator.",
            ),
        }
    }
}

/// What every buildpack's `on_error` does: prints the failure.
pub fn print(error: libcnb::Error<Failure>) {
    eprint!("\n{}", Failure::from(error).render());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_three_parts_apart() {
        let failure = Failure::new("No lockfile", "package.json has\ndependencies.", "Run it.");
        let expected =
            " !     No lockfile\n !\n !     package.json has\n !     dependencies.\n !\n !     Run it.\n";
        assert_eq!(failure.render(), expected);
        assert_eq!(
            failure.text(),
            "No lockfile\n\npackage.json has\ndependencies.\n\nRun it."
        );
    }

    #[test]
    fn a_full_disk_is_named_as_such() {
        let error = io::Error::from(io::ErrorKind::StorageFull);
        let failure = Failure::io("write", Path::new("/layers/x"), &error);
        assert!(failure.fix().contains("disk is full"));
        assert_eq!(failure.what(), "Can't write /layers/x");
    }

    #[test]
    fn what_libcnb_says_becomes_a_failure_too() {
        let error: libcnb::Error<Failure> =
            libcnb::Error::CannotDetermineAppDirectory(io::Error::other("gone"));
        assert!(Failure::from(error).why().contains("gone"));
    }
}

//! What a program's last lines mean for the person who pushed.
//!
//! Each ecosystem's buildpack knows what its own programs say. A table of [`Known`] is enough where only the reason
//! and the remedy differ; what can happen to every program is here.

use crate::{
    Failure,
    command::{Cause, CommandError},
};

/// A failure that is known by what the program says.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// One of these stands in the output.
    pub signs: &'static [&'static str],
    /// Why it failed.
    pub why: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// The failure of a program: by the first of `known` that it is, else with `fix` and its last lines alone.
#[must_use]
pub fn of(error: CommandError, what: &str, known: &[Known], fix: &str) -> Failure {
    if matches!(error.cause, Cause::NotFound) {
        return error.failure(what, "Push again; if it stays, clear the app's build cache.");
    }
    let Some(known) = known.iter().find(|known| error.says_any(known.signs)) else {
        return error.failure_with_tail(what, fix);
    };
    let shown = error.failure_with_tail(what, known.fix);
    Failure::new(what, format!("{}\n{}", known.why, shown.why()), known.fix)
}

/// The failure of a program that found no space on the disk.
#[must_use]
pub fn no_space(error: &CommandError) -> Option<Failure> {
    error.says("No space left on device").then(|| {
        Failure::new(
            "There was no space left",
            "The build wrote more than the server's disk has, or more than a build may.",
            "Clear the app's build cache and push again, or tell the server's administrator.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Known] = &[
        Known {
            signs: &["404", "gone"],
            why: "It is not there.",
            fix: "Take another.",
        },
        Known {
            signs: &["40"],
            why: "It was refused.",
            fix: "Log in.",
        },
    ];

    fn text(cause: Cause, line: &str) -> String {
        let error = CommandError {
            command: "fetch it".to_owned(),
            cause,
            tail: vec![line.to_owned()],
        };
        of(error, "It can't be fetched", KNOWN, "Read the lines above.").text()
    }

    #[test]
    fn the_first_that_is_known_counts() {
        insta::assert_snapshot!(text(Cause::Status(1), "error 404"), @r"
        It can't be fetched

        It is not there.
        `fetch it` ended with status 1.
          error 404

        Take another.
        ");
        assert!(text(Cause::Status(1), "error 401").contains("It was refused."));
    }

    #[test]
    fn what_is_not_known_is_shown() {
        insta::assert_snapshot!(text(Cause::Status(1), "boom"), @r"
        It can't be fetched

        `fetch it` ended with status 1.
          boom

        Read the lines above.
        ");
        assert!(text(Cause::NotFound, "404").contains("clear the app's build cache"));
    }
}

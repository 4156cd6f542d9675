//! The build log: Heroku's form. A buildpack's own output is not touched; what is said of it here is.

use std::io::{self, Write as _};

/// A step.
pub(crate) fn step(text: &str) {
    line(&format!("-----> {text}"));
}

/// What belongs to a step.
pub(crate) fn detail(text: &str) {
    line(&format!("       {text}"));
}

/// What a person should look at.
pub(crate) fn warning(text: &str) {
    line(&format!(" !     {text}"));
}

/// A buildpack's words within our own, without what could draw on a terminal.
pub(crate) fn quote(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control() || *it == '\t')
        .take(300)
        .collect()
}

/// A log that nobody reads any more is no reason to fail.
fn line(text: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

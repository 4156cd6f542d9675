//! How a phase fails: for the platform an exit status and one line that it can read, for everyone else the words in it.

use pvdify_cnb::catalog::Key;
use serde::Serialize;

/// Exit statuses (platform.md); 0 is success.
pub(crate) mod code {
    /// The source can't be unpacked.
    pub(crate) const SOURCE: u8 = 1;
    /// The arguments make no sense.
    pub(crate) const ARGUMENTS: u8 = 3;
    /// The platform speaks another API.
    pub(crate) const PLATFORM_API: u8 = 11;
    /// A buildpack speaks another API.
    pub(crate) const BUILDPACK_API: u8 = 12;
    /// All buildpacks said no.
    pub(crate) const NOTHING_DETECTED: u8 = 20;
    /// No group passed and a buildpack went wrong.
    pub(crate) const DETECT_ERRORED: u8 = 21;
    /// Detection went wrong otherwise.
    pub(crate) const DETECT: u8 = 22;
    /// Restoring went wrong.
    pub(crate) const RESTORE: u8 = 42;
    /// A bin/build failed.
    pub(crate) const BUILDPACK: u8 = 51;
    /// The build went wrong otherwise, as by a file that is not as it must be.
    pub(crate) const BUILD: u8 = 52;
    /// No failure: the images are to be extended before the build goes on (our own; `resume` does).
    pub(crate) const TO_EXTEND: u8 = 9;
    /// A bin/generate failed.
    pub(crate) const EXTENSION: u8 = 91;
    /// Generation went wrong otherwise.
    pub(crate) const GENERATE: u8 = 92;
    /// Told to stop: 128 and SIGTERM, as a shell tells it.
    pub(crate) const STOPPED: u8 = 143;
}

/// The line that the platform reads after a whole build, or what it went on to, that did not fail.
pub(crate) fn ended(code: u8) -> String {
    format!(r#"pvdify-lifecycle: {{"code":{code}}}"#)
}

/// How much of a message is told: quoted as JSON it stays within the longest line that is read as one.
const LONGEST_LINE: usize = 300;
const MOST_LINES: usize = 20;

/// Why a phase ended.
#[derive(Debug, Serialize)]
pub(crate) struct Failure {
    pub(crate) phase: &'static str,
    pub(crate) code: u8,
    /// `id@version`, if it is about one.
    pub(crate) buildpack: Option<String>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(phase: &'static str, code: u8, message: impl Into<String>) -> Self {
        Self {
            phase,
            code,
            buildpack: None,
            message: bounded(&message.into()),
        }
    }

    pub(crate) fn of(mut self, buildpack: &Key) -> Self {
        self.buildpack = Some(buildpack.to_string());
        self
    }

    /// The line that the platform reads.
    pub(crate) fn line(&self) -> String {
        let json = serde_json::to_string(self).expect("texts and a number are JSON");
        format!("pvdify-lifecycle: {json}")
    }
}

/// A message may quote what a buildpack wrote, and has to be one line of the log as JSON.
fn bounded(message: &str) -> String {
    let cut = |line: &str| match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    };
    let lines: Vec<String> = message.lines().take(MOST_LINES).map(cut).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_never_breaks_the_line() {
        let failure = Failure::new(
            "build",
            code::BUILD,
            format!("a\n{}\n", "\u{1b}".repeat(100_000)).repeat(100),
        );
        let line = failure.line();
        assert!(line.len() < 64 << 10 && !line.contains('\n'), "{}", line.len());
        assert_eq!(Failure::new("build", code::BUILD, "a\nb").message, "a\nb");
    }
}

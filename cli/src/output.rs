//! The only printer. Data to stdout, talk to stderr; readable without colour, so there is none.
//!
//! Text that came from a server or an app is made inert first: it can't move the cursor, set the window's
//! title, or pretend to be a line of ours.

use crate::error::CliError;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    time::Duration,
};
use time::{
    OffsetDateTime, UtcOffset, format_description::StaticFormatDescription, macros::format_description,
};

/// A line of data.
pub(crate) fn line(text: &str) -> Result<(), CliError> {
    writeln!(io::stdout().lock(), "{}", inert(text)).map_err(|cause| CliError::stdout(&cause))
}

/// A value as it is, and a line end; a terminal can't be steered by it.
pub(crate) fn exact(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    let shown = if stdout.is_terminal() {
        let lines: Vec<_> = text.split('\n').map(inert).collect();
        Cow::Owned(lines.join("\n"))
    } else {
        Cow::Borrowed(text)
    };
    writeln!(stdout, "{shown}").map_err(|cause| CliError::stdout(&cause))
}

/// A line for the person. That nobody reads stderr must not stop a deploy.
pub(crate) fn talk(text: &str) {
    drop(writeln!(io::stderr().lock(), "{}", inert(text)));
}

/// Asks for a line; the answer stands beside the question.
pub(crate) fn ask(question: &str) {
    let mut stderr = io::stderr().lock();
    drop(write!(stderr, "{question}").and_then(|()| stderr.flush()));
}

/// A whole value, for programs.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|cause| CliError::failed(format!("no JSON: {cause}")))?;
    writeln!(io::stdout().lock(), "{text}").map_err(|cause| CliError::stdout(&cause))
}

/// A value on one line, where there is no last one.
pub(crate) fn json_line(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value).map_err(|cause| CliError::failed(format!("no JSON: {cause}")))?;
    writeln!(io::stdout().lock(), "{text}").map_err(|cause| CliError::stdout(&cause))
}

/// Rows under headings, in columns; the same to a terminal and to a pipe.
pub(crate) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), CliError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings);
    for row in rows {
        table.add_row(row.map(|cell| inert(&cell).into_owned()));
    }
    columns(table)
}

/// Names and what stands for them, in two columns.
pub(crate) fn facts<const N: usize>(facts: [(&str, String); N]) -> Result<(), CliError> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in facts {
        table.add_row([format!("{name}:"), inert(&value).into_owned()]);
    }
    columns(table)
}

fn columns(mut table: Table) -> Result<(), CliError> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut stdout = io::stdout().lock();
    table
        .lines()
        .try_for_each(|line| writeln!(stdout, "{}", line.trim_end()))
        .map_err(|cause| CliError::stdout(&cause))
}

/// The text with each control character but tab replaced.
pub(crate) fn inert(text: &str) -> Cow<'_, str> {
    let active = |c: char| c.is_control() && c != '\t';
    if text.contains(active) {
        Cow::Owned(text.replace(active, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// As `2026-01-01T00:00:00Z`: no space within, so that columns stay columns for `awk` too.
pub(crate) fn utc(time: OffsetDateTime) -> String {
    const SECONDS: StaticFormatDescription =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    formatted(time, SECONDS)
}

/// As `2026-01-01T00:00:00.000000+00:00`, the form of Heroku's log lines.
pub(crate) fn log_time(time: OffsetDateTime) -> String {
    const MICROSECONDS: StaticFormatDescription =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");
    formatted(time, MICROSECONDS)
}

fn formatted(time: OffsetDateTime, form: StaticFormatDescription) -> String {
    let utc = time.to_offset(UtcOffset::UTC);
    // The forms use only parts that every date and time has.
    utc.format(form).unwrap_or_else(|_| utc.to_string())
}

/// Shows on a terminal that something is under way; elsewhere only its lines.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn start(message: String) -> Self {
        let spinner = ProgressBar::new_spinner().with_message(message);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Self(spinner)
    }

    /// What is under way, beside the spinner.
    pub(crate) fn say(&self, message: String) {
        self.0.set_message(message);
    }

    /// A line above the spinner.
    pub(crate) fn line(&self, text: &str) {
        self.0.suspend(|| talk(text));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_text_can_not_steer_the_terminal() {
        assert_eq!(inert("a\tb \u{e9}"), "a\tb \u{e9}");
        assert_eq!(
            inert("\u{1b}]0;x\u{7}\r\nerror: y"),
            "\u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}error: y"
        );
        assert_eq!(inert("\u{9b}2J"), "\u{fffd}2J");
    }

    #[test]
    fn times_are_shown_in_utc() {
        let time = datetime!(2026-01-01 01:30:00.123456789 +01:30);
        assert_eq!(utc(time), "2026-01-01T00:00:00Z");
        assert_eq!(log_time(time), "2026-01-01T00:00:00.123456+00:00");
    }
}

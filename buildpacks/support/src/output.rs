//! The build log, in Heroku's style: `-----> ` a step, seven spaces a detail, ` !     ` a warning.
//!
//! All goes to stdout at once: the log is followed while the build runs.

use std::time::{Duration, Instant};

/// A step that was announced, with the time it began.
#[must_use = "a step that ends says so: `done`, or drop it knowingly"]
#[derive(Debug)]
pub struct Step {
    started: Instant,
}

/// `-----> text`.
pub fn step(text: impl AsRef<str>) -> Step {
    println!("-----> {}", text.as_ref());
    Step {
        started: Instant::now(),
    }
}

impl Step {
    /// Says that the step is done, and how long it took.
    pub fn done(self) {
        self.done_as("Done");
    }

    /// As [`Self::done`], in own words: `Installed 312 packages` becomes `Installed 312 packages (4.2s)`.
    pub fn done_as(self, text: &str) {
        detail(format!("{text} ({})", duration(self.started.elapsed())));
    }

    /// The step ends without a word.
    pub fn quiet(self) {}
}

/// Seven spaces, then the text; each line of it.
pub fn detail(text: impl AsRef<str>) {
    for line in text.as_ref().lines() {
        println!("{}", format!("       {line}").trim_end());
    }
}

/// ` !     text`, each line of it, set apart by an empty line: what a person should read though the build goes on.
pub fn warning(text: impl AsRef<str>) {
    print!("{}", warning_text(text.as_ref()));
}

fn warning_text(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        out.push_str(format!(" !     {line}").trim_end());
        out.push('\n');
    }
    out
}

/// In detect: the one line that says why the buildpack passes.
pub fn reason(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// `0.4s`, `12.3s`, `2m 05s`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    if tenths < 600 {
        format!("{}.{}s", tenths / 10, tenths % 10)
    } else {
        let seconds = tenths / 10;
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

/// `812 B`, `4.2 KB`, `51.6 MB`, `1.2 GB`: powers of 1000, as registries and disks are sold.
#[must_use]
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000, "KB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    };
    format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit)
}

/// "1 package", "3 packages".
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_short() {
        let times = [0, 420, 12_340, 59_990, 60_000, 125_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(times, ["0.0s", "0.4s", "12.3s", "59.9s", "1m 00s", "2m 05s"]);
        let sizes = [812, 4_200, 51_634_000, 1_250_000_000].map(size);
        assert_eq!(sizes, ["812 B", "4.2 KB", "51.6 MB", "1.2 GB"]);
    }

    #[test]
    fn a_warning_has_its_mark_on_each_line_and_no_blanks_at_the_end() {
        assert_eq!(warning_text("one\n\ntwo"), " !     one\n !\n !     two\n");
    }
}

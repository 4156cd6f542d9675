//! How a phase ended, and what of its output can be compared from run to run.

/// How a phase ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code: 0 passed, 100 not detected, else an error.
    pub code: i32,
    /// stdout.
    pub stdout: String,
    /// stderr: the failure, as it is rendered.
    pub stderr: String,
}

impl Outcome {
    /// Ends the test with all output unless the phase passed.
    pub fn passed(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// stdout with times and sizes of downloads replaced, for snapshots.
    #[must_use]
    pub fn log(&self) -> String {
        redact(&self.stdout)
    }
}

/// Replaces times (`4.2s`, `1m 05s`) and sizes (`51.6 MB`): they differ from run to run.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut out: Vec<String> = Vec::new();
        for word in words {
            let bare = word.trim_matches(['(', ')', ',', '.']);
            let is_time = bare.ends_with('s') && bare[..bare.len() - 1].parse::<f64>().is_ok();
            let is_unit = matches!(bare, "B" | "KB" | "MB" | "GB");
            if is_time {
                out.push(word.replace(bare, "[time]"));
            } else if is_unit
                && out
                    .last()
                    .is_some_and(|last| last.trim_start_matches('(').parse::<f64>().is_ok())
            {
                let before = out.pop().unwrap_or_default();
                let open = if before.starts_with('(') { "(" } else { "" };
                out.push(format!("{open}{}", word.replace(bare, "[size]")));
            } else {
                out.push(word);
            }
        }
        lines.push(out.join(" "));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_replaced() {
        assert_eq!(
            redact("       node 24.1.0: downloaded 51.6 MB (4.2s)\n       Done (1m 05s)\n"),
            "       node 24.1.0: downloaded [size] ([time])\n       Done (1m [time])\n"
        );
    }
}

//! Podman's build stream, turned into what the person reads. Pure.
//!
//! Steps appear with the Dockerfile's own instructions and numbers; what was written into the Dockerfile for
//! the build CA, secrets and the labels does not appear. All else is the build's own output, indented as Heroku does.

use crate::{
    dockerfile::{Additions, Dockerfile},
    log::{Log, MAX_LINE, cut},
};

const INDENT: &str = "       ";

/// The state between two pieces of the stream.
pub(crate) struct Output<'a> {
    dockerfile: &'a Dockerfile,
    additions: Additions<'a>,
    log: Log,
    partial: String,
    step: Option<usize>,
    /// Inside a step that is not the person's.
    hidden: bool,
}

impl<'a> Output<'a> {
    pub(crate) fn new(dockerfile: &'a Dockerfile, additions: Additions<'a>, log_bytes: u64) -> Self {
        Self {
            dockerfile,
            additions,
            log: Log::new(log_bytes),
            partial: String::new(),
            step: None,
            hidden: false,
        }
    }

    /// Takes a piece of the stream; gives the lines to show.
    pub(crate) fn take(&mut self, piece: &str) -> Vec<String> {
        let mut lines = Vec::new();
        // Podman's own lines come whole; the build's output may have stopped in the middle of one.
        if !self.partial.is_empty() && (step_text(piece).is_some() || piece.starts_with("--> ")) {
            lines.extend(self.flush());
        }
        self.partial.push_str(piece);
        while let Some(end) = self.partial.find('\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            lines.extend(self.line(line.trim_end_matches('\n')));
        }
        if self.partial.len() > MAX_LINE {
            lines.extend(self.flush());
        }
        lines
    }

    /// The last line, if it has no end.
    pub(crate) fn flush(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.partial);
        if line.is_empty() { None } else { self.line(&line) }
    }

    /// The instruction the build is at: its line, and its text.
    pub(crate) fn current(&self) -> Option<(usize, String)> {
        let instruction = self.dockerfile.instructions.get(self.step?)?;
        Some((instruction.line, instruction.text()))
    }

    /// The last lines of output of the current step.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.log.tail()
    }

    fn line(&mut self, line: &str) -> Option<String> {
        if let Some(text) = step_text(line) {
            let found = self.dockerfile.find(self.additions, text, self.step);
            self.hidden = found.is_none();
            self.log.clear_tail();
            self.step = Some(found?);
            let (index, total) = (found?, self.dockerfile.instructions.len());
            let shown = cut(&self.dockerfile.instructions[index].text());
            return self.show(&format!("STEP {}/{total}: {shown}", index + 1));
        }
        if line.starts_with("COMMIT localhost/") {
            self.hidden = true;
        }
        if self.hidden {
            return None;
        }
        if let Some(rest) = line.strip_prefix("--> ") {
            return if rest.starts_with("Using cache ") {
                self.show("Using cache")
            } else {
                None
            };
        }
        self.log.program(line, INDENT)
    }

    fn show(&mut self, text: &str) -> Option<String> {
        self.log.show(text, INDENT)
    }
}

/// The instruction of `STEP 2/5: TEXT` or `[1/2] STEP 2/5: TEXT`.
fn step_text(line: &str) -> Option<&str> {
    let rest = match line.strip_prefix('[') {
        Some(bracket) => bracket.split_once("] ")?.1,
        None => line,
    };
    let (numbers, text) = rest.strip_prefix("STEP ")?.split_once(": ")?;
    let is_counter = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/');
    is_counter.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::TAIL;

    #[test]
    fn steps_are_shown_as_the_person_wrote_them_and_the_rest_indented() {
        let dockerfile = Dockerfile::parse(b"FROM a AS b\n\nRUN x && \\\n  y\nFROM b\nRUN x && y\n").unwrap();
        let app = "demo".parse().unwrap();
        let mut output = Output::new(&dockerfile, Additions::plain(&app, true), 10_000);
        let pieces = [
            "[1/2] STEP 1/10: FROM a AS b\n",
            "Trying to pull a...\n",
            "[1/2] STEP 2/10: ARG SSL_CERT_FILE=/run/pvdify/ca.crt\n",
            "--> Using cache 2ecc4776bdcc\n",
            "--> 2ecc4776bdc\n",
            "[1/2] STEP 9/10: RUN --mount=type=secret,id=pvdify-build-ca,target=/run/pvdify/ca.crt,mode=0444 x &&   y\n",
            "one\ntwo \u{1b}[31mred\u{1b}[0m\rthree\u{7}\n",
            "half",
            " a line",
            "--> 2ecc4776bdc\n",
            "[2/2] STEP 1/2: FROM b\n",
            "[2/2] STEP 2/2: RUN --mount=type=secret,id=pvdify-build-ca,target=/run/pvdify/ca.crt,mode=0444 x &&   y\n",
            "--> Using cache 8685fcda47ed\n",
            "[2/2] STEP 3/2: LABEL \"pvdify.installation\"=\"abc\"\n",
            "[2/2] COMMIT localhost/x:1\n",
            "COMMIT localhost/x:1\n",
            "Successfully tagged localhost/x:1\n",
            "611859405daebe263d7c53cacd50fb0b8bacb4288f5b8379def7923109326ba4\n",
        ];
        let shown: Vec<String> = pieces.iter().flat_map(|piece| output.take(piece)).collect();
        insta::assert_snapshot!(format!("|{}", shown.join("\n")), @r"
        |       STEP 1/4: FROM a AS b
               Trying to pull a...
               STEP 2/4: RUN x && y
               one
               three
               half a line
               STEP 3/4: FROM b
               STEP 4/4: RUN x && y
               Using cache
        ");
        assert_eq!(output.current(), Some((6, "RUN x && y".to_owned())));
    }

    #[test]
    fn a_log_is_cut_once_with_a_marker_and_its_last_lines_are_kept() {
        let dockerfile = Dockerfile::parse(b"FROM a").unwrap();
        let app = "demo".parse().unwrap();
        let mut output = Output::new(&dockerfile, Additions::plain(&app, false), 2048);
        output.take("STEP 1/1: FROM a\n");
        let shown: Vec<String> = (0..1000)
            .flat_map(|n| output.take(&format!("line {n}\n")))
            .collect();
        assert!(shown.len() < 300);
        assert_eq!(
            shown.last().unwrap(),
            "       ... the output is longer than 2 KiB: the rest is left out"
        );
        assert_eq!(output.tail().last().unwrap(), "line 999");
        assert_eq!(output.tail().len(), TAIL);
        let endless = output.take(&"x".repeat(100_000));
        assert_eq!(endless, Vec::<String>::new());
        assert!(output.partial.is_empty());
    }
}

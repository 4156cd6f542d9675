//! Dockerfiles, read before Podman reads them. Pure.
//!
//! Three uses: a mistake is answered with its line number before anything runs ([`Dockerfile::parse`]); what a
//! hostile or careless build must not do is refused ([`check`]); and the build CA and the app's own cache ids
//! are written in ([`rewrite`]) without any line of the person's changing its number in what they are shown.

mod check;
mod extension;
mod mount;
mod remote;
mod rewrite;

pub(crate) use check::Foreign;
pub(crate) use rewrite::{Additions, CA_SECRET, secret_id};

use thiserror::Error;

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// A mistake or a refusal, at its line.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Dockerfile line {line}: {what}")]
pub(crate) struct DockerfileError {
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl DockerfileError {
    pub(crate) fn new(line: usize, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { line, what }
    }
}

/// One instruction, its continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    /// The line it begins in, from 1.
    pub(crate) line: usize,
    /// In upper case.
    pub(crate) keyword: &'static str,
    /// What follows the keyword.
    pub(crate) arguments: String,
}

impl Instruction {
    /// The `--name=value` words before the rest, and the rest.
    fn flags(&self) -> (Vec<&str>, &str) {
        let mut flags = Vec::new();
        let mut rest = self.arguments.as_str();
        while rest.starts_with("--") {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            flags.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        (flags, rest)
    }

    /// As a person wrote it, on one line.
    pub(crate) fn text(&self) -> String {
        let words: Vec<&str> = self.arguments.split_whitespace().collect();
        format!("{} {}", self.keyword, words.join(" "))
    }
}

/// A Dockerfile that holds only known instructions.
#[derive(Debug)]
pub(crate) struct Dockerfile {
    pub(crate) instructions: Vec<Instruction>,
    /// The user that the first stage begins as, where its image says another one.
    pub(crate) user: Option<String>,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DockerfileError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
            DockerfileError::new(line, "is not UTF-8 text")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        directives(text)?;
        let mut instructions: Vec<Instruction> = Vec::new();
        let mut open: Option<(usize, String)> = None;
        for (index, raw) in text.lines().enumerate() {
            let line = raw.trim_end();
            // Also inside an instruction, comments and empty lines are passed over.
            if line.is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let (start, mut joined) = open.take().unwrap_or((index + 1, String::new()));
            // Joined as it stands, blanks at the next line's start and all: it may be inside quotes.
            if let Some(part) = line.strip_suffix('\\') {
                joined.push_str(part);
                open = Some((start, joined));
            } else {
                joined.push_str(line);
                instructions.push(instruction(start, joined.trim())?);
            }
        }
        if let Some((start, joined)) = open {
            instructions.push(instruction(start, joined.trim())?);
        }
        let Some(first) = instructions
            .iter()
            .find(|instruction| instruction.keyword != "ARG")
        else {
            return Err(DockerfileError::new(
                1,
                "the file has no instructions; it begins with FROM, as in FROM pvdify/run:trixie",
            ));
        };
        if first.keyword != "FROM" {
            let what = format!(
                "{} stands before FROM; a Dockerfile begins with FROM",
                first.keyword
            );
            return Err(DockerfileError::new(first.line, what));
        }
        Ok(Self {
            instructions,
            user: None,
        })
    }
}

/// Refuses the directives that may stand before all else and change how the rest is read.
fn directives(text: &str) -> Result<(), DockerfileError> {
    for (index, line) in text.lines().enumerate() {
        let comment = line.trim().strip_prefix('#');
        let Some((name, value)) = comment.and_then(|comment| comment.split_once('=')) else {
            break;
        };
        let what = match (name.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "\\") => continue,
            ("escape", _) => "# escape= other than \\ is not supported: end continued lines with \\",
            ("syntax", _) => "# syntax= loads another build program, which is not supported: remove the line",
            _ => break,
        };
        return Err(DockerfileError::new(index + 1, what));
    }
    Ok(())
}

fn instruction(line: usize, text: &str) -> Result<Instruction, DockerfileError> {
    let (word, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let Some(keyword) = KEYWORDS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(word))
    else {
        let shown: String = word.chars().take(40).collect();
        return Err(DockerfileError::new(line, format!("unknown instruction {shown}")));
    };
    let arguments = arguments.trim().to_owned();
    if arguments.is_empty() {
        return Err(DockerfileError::new(
            line,
            format!("{keyword} needs something after it"),
        ));
    }
    Ok(Instruction {
        line,
        keyword,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_joined_and_keep_the_line_they_begin_in() {
        let text = "\u{feff}# escape=\\\r\n\r\nARG V=1\r\nfrom x:$V AS build\r\n\r\nRUN a && \\\r\n  # why\r\n\r\n  b \\\r\n  c\r\nCMD [\"x\"]";
        let read = Dockerfile::parse(text.as_bytes()).unwrap();
        let shown: Vec<_> = read.instructions.iter().map(|i| (i.line, i.text())).collect();
        assert_eq!(
            shown,
            [
                (3, "ARG V=1".to_owned()),
                (4, "FROM x:$V AS build".to_owned()),
                (6, "RUN a && b c".to_owned()),
                (11, "CMD [\"x\"]".to_owned()),
            ]
        );
    }

    #[test]
    fn each_mistake_names_its_line() {
        let table: [(&[u8], &str); 9] = [
            (
                b"",
                "Dockerfile line 1: the file has no instructions; it begins with FROM, as in FROM pvdify/run:trixie",
            ),
            (
                b"# only\n\n",
                "Dockerfile line 1: the file has no instructions; it begins with FROM, as in FROM pvdify/run:trixie",
            ),
            (b"FROM x\n\nRUNN y", "Dockerfile line 3: unknown instruction RUNN"),
            (
                b"RUN x\nFROM y",
                "Dockerfile line 1: RUN stands before FROM; a Dockerfile begins with FROM",
            ),
            (b"FROM x\nRUN", "Dockerfile line 2: RUN needs something after it"),
            (
                b"FROM x\nRUN \\\n",
                "Dockerfile line 2: RUN needs something after it",
            ),
            (
                b"# syntax=docker/dockerfile:1\nFROM x",
                "Dockerfile line 1: # syntax= loads another build program, which is not supported: remove the line",
            ),
            (
                b"# escape=`\nFROM x",
                "Dockerfile line 1: # escape= other than \\ is not supported: end continued lines with \\",
            ),
            (b"FROM x\nRUN \xff", "Dockerfile line 2: is not UTF-8 text"),
        ];
        for (text, message) in table {
            assert_eq!(Dockerfile::parse(text).unwrap_err().to_string(), message);
        }
    }
}

//! The Procfile: one `type: command` a line, in Heroku's format.
//!
//! Comments (`#`), empty lines, a BOM, CRLF ends and tabs are taken; anything else that is no such line is
//! an error with its line number, because a silently dropped process is found out in production.

use crate::name::{ProcessType, ProcessTypeError};
use std::collections::BTreeMap;
use thiserror::Error;

/// Process type -> command line, run by the container's own shell.
pub type Procfile = BTreeMap<ProcessType, String>;

/// The longest Procfile read.
pub const MAX_PROCFILE_BYTES: usize = 64 * 1024;

/// What is wrong, and in which line.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProcfileError {
    #[error("Procfile line {line}: no colon; a line reads \"type: command\"")]
    NoColon { line: usize },
    #[error("Procfile line {line}: {source}")]
    Type { line: usize, source: ProcessTypeError },
    #[error("Procfile line {line}: {process} has no command")]
    NoCommand { line: usize, process: ProcessType },
    #[error("Procfile line {line}: {process} is given twice")]
    Twice { line: usize, process: ProcessType },
    #[error("Procfile is not UTF-8 text")]
    Encoding,
    #[error("Procfile has {0} bytes, at most 65536 are read")]
    TooLong(usize),
}

/// Reads a Procfile.
///
/// # Errors
/// [`ProcfileError`], naming the line.
pub fn parse(bytes: &[u8]) -> Result<Procfile, ProcfileError> {
    if bytes.len() > MAX_PROCFILE_BYTES {
        return Err(ProcfileError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ProcfileError::Encoding)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut procfile = Procfile::new();
    for (index, raw) in text.lines().enumerate() {
        let (line, content) = (index + 1, raw.trim());
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (name, command) = content.split_once(':').ok_or(ProcfileError::NoColon { line })?;
        let process: ProcessType = name
            .trim()
            .parse()
            .map_err(|source| ProcfileError::Type { line, source })?;
        let command = command.trim();
        if command.is_empty() {
            return Err(ProcfileError::NoCommand { line, process });
        }
        if procfile.contains_key(&process) {
            return Err(ProcfileError::Twice { line, process });
        }
        procfile.insert(process, command.to_owned());
    }
    Ok(procfile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procfile_with_bom_crlf_tabs_and_comments_is_read() {
        let procfile = parse(
            "\u{feff}# types\r\nweb:\tnode app.js --x=a:b\r\n\r\n worker : sh -c 'a && b'\r\n".as_bytes(),
        )
        .unwrap();
        let shown: Vec<_> = procfile.iter().map(|(t, c)| (t.as_str(), c.as_str())).collect();
        assert_eq!(
            shown,
            [("web", "node app.js --x=a:b"), ("worker", "sh -c 'a && b'")]
        );
    }

    #[test]
    fn each_mistake_names_its_line() {
        let table = [
            (
                "web: a\nworker",
                "Procfile line 2: no colon; a line reads \"type: command\"",
            ),
            ("web:", "Procfile line 1: web has no command"),
            ("web: a\nweb: b", "Procfile line 2: web is given twice"),
            (
                "../x: a",
                "Procfile line 1: a process type holds only letters, digits, - and _ and starts with a letter or digit, not with or holding '.'",
            ),
        ];
        for (text, message) in table {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
        }
        assert_eq!(parse(&[0xff]), Err(ProcfileError::Encoding));
    }
}

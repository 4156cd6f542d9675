//! What the client asks for: `old new ref` commands, its capabilities, whether its clone is shallow.
//!
//! Grammar: gitprotocol-pack, "Reference Update Request". The reading is bounded before anything is kept,
//! and each line is parsed by a pure function.

use super::pktline::{self, Packet};
use gix::{ObjectId, bstr::BString};
use std::io::{self, Read};
use thiserror::Error;

/// A ref's name is one line of `packed-refs` and of the report; git's own tools stop at path lengths.
const MAX_REF_NAME: usize = 1_024;
/// A shallow clone of an octopus history has a handful; the bound is on what a stranger may make us read.
const MAX_SHALLOW_LINES: usize = 10_000;

/// One ref to create (`old` is null), to move, or to delete (`new` is null).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) old: ObjectId,
    pub(crate) new: ObjectId,
    pub(crate) name: BString,
}

impl Command {
    pub(crate) fn is_delete(&self) -> bool {
        self.new.is_null()
    }
}

/// What of our offer the client took up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub(crate) report_status: bool,
    pub(crate) side_band: bool,
    pub(crate) atomic: bool,
}

/// One push's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) commands: Vec<Command>,
    pub(crate) capabilities: Capabilities,
    pub(crate) shallow: bool,
}

impl Request {
    /// A client that only deletes sends no pack (gitprotocol-pack).
    pub(crate) fn has_pack(&self) -> bool {
        self.commands.iter().any(|command| !command.is_delete())
    }
}

/// Why a request can't be read.
#[derive(Debug, Error)]
pub(crate) enum RequestError {
    #[error("the connection ended within the push's commands: {0}")]
    Read(#[source] io::Error),
    /// A git of SHA-256 objects finds fault with our advertisement and goes, before we know what it is.
    #[error(
        "git left without a word. If it complained of \"capabilities^{{}}\" or of the hash algorithm: \
         repositories of SHA-256 objects are not supported, only SHA-1, git's default"
    )]
    Silence,
    #[error("protocol error: expected old/new/ref, got {0:?}")]
    Line(String),
    #[error("one push updates at most {0} refs: push them in parts")]
    TooMany(usize),
    #[error("a ref's name has at most {MAX_REF_NAME} bytes")]
    LongName,
    #[error(
        "repositories of SHA-256 objects are not supported: Pvdify takes SHA-1 repositories, git's default"
    )]
    ObjectFormat,
    #[error("signed pushes are not supported: push without --signed")]
    PushCertificate,
}

/// Reads up to the flush after the commands; a pack may follow. No commands: the client had nothing to push.
pub(crate) fn read(input: &mut impl Read, max_commands: usize) -> Result<Request, RequestError> {
    let mut request = Request::default();
    let mut lines = 0;
    let read = |input: &mut _, lines: usize| {
        pktline::read(input).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof if lines == 0 => RequestError::Silence,
            _ => RequestError::Read(error),
        })
    };
    while let Packet::Data(line) = read(input, lines)? {
        lines += 1;
        if line.starts_with(b"shallow ") {
            if lines > MAX_SHALLOW_LINES {
                return Err(RequestError::TooMany(MAX_SHALLOW_LINES));
            }
            request.shallow = true;
            continue;
        }
        let command = if request.commands.is_empty() {
            let (command, capabilities) = split_capabilities(&line);
            request.capabilities = parse_capabilities(capabilities)?;
            command
        } else {
            &line[..]
        };
        if request.commands.len() == max_commands {
            return Err(RequestError::TooMany(max_commands));
        }
        request.commands.push(parse_command(command)?);
    }
    Ok(request)
}

fn split_capabilities(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|b| *b == 0) {
        Some(nul) => (&line[..nul], &line[nul + 1..]),
        None => (line, b""),
    }
}

fn parse_capabilities(text: &[u8]) -> Result<Capabilities, RequestError> {
    let mut taken = Capabilities::default();
    for word in text.split(|b| *b == b' ') {
        match word {
            b"report-status" | b"report-status-v2" => taken.report_status = true,
            b"side-band-64k" => taken.side_band = true,
            b"atomic" => taken.atomic = true,
            _ if word.starts_with(b"object-format=") && word != b"object-format=sha1" => {
                return Err(RequestError::ObjectFormat);
            }
            _ => {}
        }
    }
    Ok(taken)
}

fn parse_command(line: &[u8]) -> Result<Command, RequestError> {
    if line.starts_with(b"push-cert") {
        return Err(RequestError::PushCertificate);
    }
    let unreadable =
        || RequestError::Line(String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned());
    let mut parts = line.splitn(3, |b| *b == b' ');
    let mut part = || {
        parts
            .next()
            .filter(|part| !part.is_empty())
            .ok_or_else(unreadable)
    };
    let (old, new, name) = (part()?, part()?, part()?);
    if old.len() == 64 && old.iter().all(u8::is_ascii_hexdigit) {
        return Err(RequestError::ObjectFormat);
    }
    if name.len() > MAX_REF_NAME {
        return Err(RequestError::LongName);
    }
    let id = |hex: &[u8]| {
        if hex.len() == 40 {
            ObjectId::from_hex(hex).ok()
        } else {
            None
        }
    };
    Ok(Command {
        old: id(old).ok_or_else(unreadable)?,
        new: id(new).ok_or_else(unreadable)?,
        name: name.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    const NULL: &str = "0000000000000000000000000000000000000000";

    fn wire(lines: &[String]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lines {
            pktline::push(&mut wire, line.as_bytes());
        }
        wire.extend_from_slice(pktline::FLUSH);
        wire
    }

    #[test]
    fn commands_capabilities_and_the_start_of_the_pack_are_told_apart() {
        let mut wire = wire(&[
            format!("shallow {OLD}\n"),
            format!(
                "{NULL} {NEW} refs/heads/main\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2\n"
            ),
            format!("{OLD} {NULL} refs/heads/a b\n"),
        ]);
        wire.extend_from_slice(b"PACK");
        let mut input = &wire[..];
        let request = read(&mut input, 2).unwrap();
        assert_eq!(input, b"PACK");
        assert!(request.shallow && request.has_pack());
        assert_eq!(
            request.capabilities,
            Capabilities {
                report_status: true,
                side_band: true,
                atomic: false
            }
        );
        assert_eq!(request.commands[0].name, "refs/heads/main");
        assert!(request.commands[0].old.is_null() && !request.commands[0].is_delete());
        assert!(request.commands[1].is_delete());
        assert_eq!(
            request.commands[1].name, "refs/heads/a b",
            "judged later, with the other names"
        );
    }

    #[test]
    fn nothing_to_push_is_no_error_and_deletes_come_without_a_pack() {
        assert_eq!(read(&mut &b"0000"[..], 1).unwrap(), Request::default());
        let delete = wire(&[format!("{OLD} {NULL} refs/heads/x")]);
        assert!(!read(&mut &delete[..], 1).unwrap().has_pack());
    }

    #[test]
    fn each_rule_of_the_grammar_has_its_refusal() {
        let long = "x".repeat(2_000);
        let sha256 = "3".repeat(64);
        let table = [
            ("garbage".to_owned(), "expected old/new/ref"),
            (format!("{OLD} {NEW}"), "expected old/new/ref"),
            (format!("{OLD} {NEW} "), "expected old/new/ref"),
            (
                format!("zz{} {NEW} refs/heads/a", &OLD[2..]),
                "expected old/new/ref",
            ),
            (
                format!("{} {NEW} refs/heads/a", &OLD[1..]),
                "expected old/new/ref",
            ),
            (format!("{OLD} {NEW} {long}"), "at most 1024 bytes"),
            (format!("{sha256} {sha256} refs/heads/a"), "SHA-256"),
            (
                format!("{OLD} {NEW} refs/heads/a\0object-format=sha256"),
                "SHA-256",
            ),
            ("push-cert\0".to_owned(), "without --signed"),
        ];
        for (line, reason) in table {
            let error = read(&mut &wire(std::slice::from_ref(&line))[..], 10).unwrap_err();
            assert!(error.to_string().contains(reason), "{line:?}: {error}");
        }
        let many: Vec<_> = (0..3).map(|n| format!("{OLD} {NEW} refs/heads/b{n}")).collect();
        assert!(matches!(
            read(&mut &wire(&many)[..], 2),
            Err(RequestError::TooMany(2))
        ));
        assert!(matches!(read(&mut &b""[..], 2), Err(RequestError::Silence)));
        let cut = &wire(&many)[..100];
        assert!(matches!(read(&mut &cut[..], 2), Err(RequestError::Read(_))));
    }
}

//! One request head, checked byte for byte. Pure.
//!
//! hyper's parser is lenient where clients are sloppy: it takes bare line feeds, merges equal
//! `Content-Length`s, and drops `Content-Length` beside `Transfer-Encoding` so that nothing behind it can
//! tell. Each leniency is a chance that a backend reads the bytes another way (request smuggling), so here
//! a head passes only when every parser must read it alike.

use super::refusal::Refusal::{self, Expectation, Malformed, Method, TooLarge, Version};
use crate::host;

/// How the bytes after a head are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// What the guard needs of a head that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) framing: Framing,
    /// Asks for another protocol: what follows is unknown until the backend has answered.
    pub(crate) upgrade: bool,
}

/// Checks a whole head: request line, headers and the empty line, each ended by CR LF.
pub(crate) fn check(bytes: &[u8], max_headers: usize) -> Result<Head, Refusal> {
    let mut lines = Lines(bytes);
    let http11 = request_line(lines.next_line()?)?;
    let target = Target::of(bytes)?;
    let mut seen = Seen::default();
    let mut count = 0;
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        count += 1;
        if count > max_headers {
            return Err(TooLarge);
        }
        seen.header(line)?;
    }
    seen.conclude(http11, target)
}

/// Splits at CR LF; a line feed or carriage return alone is refused.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<&'a [u8], Refusal> {
        let end = self.0.iter().position(|b| *b == b'\n');
        let end = end.ok_or(Malformed("A line of the request's head has no end."))?;
        let line = self.0[..end].strip_suffix(b"\r").ok_or(Malformed(
            "A line of the request's head ends without a carriage return.",
        ))?;
        self.0 = &self.0[end + 1..];
        Ok(line)
    }
}

/// Whether it is HTTP/1.1 rather than 1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    const MALFORMED: Refusal = Malformed("The request line is not `METHOD target HTTP/1.1`.");
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MALFORMED);
    };
    if method.is_empty() || method.len() > 127 || !method.iter().all(|b| is_token(*b)) {
        return Err(MALFORMED);
    }
    if target.is_empty() || target.iter().any(|b| *b <= b' ' || matches!(b, 0x7f | b'#')) {
        return Err(Malformed("The request target holds a character that it can't."));
    }
    let http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Version);
        }
        _ => return Err(MALFORMED),
    };
    if method == b"CONNECT" {
        return Err(Method);
    }
    Ok(http11)
}

/// The four forms of RFC 9112 section 3.2, less authority-form, which only CONNECT has.
#[derive(Clone, Copy)]
enum Target<'a> {
    Local,
    /// Names its own host, which must be that of `Host`.
    Absolute(&'a [u8]),
}

impl<'a> Target<'a> {
    fn of(head: &'a [u8]) -> Result<Self, Refusal> {
        let mut words = head.split(|b| matches!(b, b' ' | b'\r'));
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        match target {
            [b'/', ..] => Ok(Self::Local),
            b"*" if method == b"OPTIONS" => Ok(Self::Local),
            _ => {
                let rest = strip_prefix_without_case(target, b"http://")
                    .or_else(|| strip_prefix_without_case(target, b"https://"))
                    .ok_or(Malformed("The request target is neither a path nor an http URL."))?;
                let end = rest
                    .iter()
                    .position(|b| matches!(b, b'/' | b'?'))
                    .unwrap_or(rest.len());
                Ok(Self::Absolute(&rest[..end]))
            }
        }
    }
}

fn strip_prefix_without_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What the header lines said so far.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    connection_upgrade: bool,
    upgrade: bool,
    expectation: bool,
}

impl<'a> Seen<'a> {
    fn header(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Malformed("A header line is folded onto the next."));
        }
        let colon = line.iter().position(|b| *b == b':');
        let (name, value) = line.split_at(colon.ok_or(Malformed("A header line has no colon."))?);
        let value = &value[1..];
        if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
            return Err(Malformed("A header's name holds a character that it can't."));
        }
        if value.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
            return Err(Malformed("A header's value holds a control character."));
        }
        self.known(name, value)
    }

    /// The headers that decide where a message ends, whose it is, or what follows it.
    fn known(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("host") => {
                if self.host.is_some() {
                    return Err(Malformed("There are two Host headers."));
                }
                let value = value.trim_ascii();
                if !host::is_valid(value) {
                    return Err(Malformed("The Host header is no host name."));
                }
                self.host = Some(value);
            }
            6 if is("expect") && !value.trim_ascii().eq_ignore_ascii_case(b"100-continue") => {
                self.expectation = true;
            }
            7 if is("upgrade") => {
                // h2c would hide further requests inside the tunnel from every rule applied here.
                self.upgrade = !list(value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
            }
            10 if is("connection") => {
                self.connection_upgrade |= list(value).any(|option| option.eq_ignore_ascii_case(b"upgrade"));
            }
            14 if is("content-length") => {
                if self.length.is_some() {
                    return Err(Malformed("There are two Content-Length headers."));
                }
                self.length = Some(content_length(trim_spaces(value))?);
            }
            14 if is("content_length") => return Err(LOOKALIKE),
            17 if is("transfer_encoding") => return Err(LOOKALIKE),
            17 if is("transfer-encoding") => {
                if self.chunked || !trim_spaces(value).eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed(
                        "The only Transfer-Encoding understood is one `chunked`.",
                    ));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(&self, http11: bool, target: Target<'_>) -> Result<Head, Refusal> {
        let Some(host) = self.host else {
            return Err(Malformed("There is no Host header."));
        };
        if let Target::Absolute(authority) = target
            && !authority.eq_ignore_ascii_case(host)
        {
            return Err(Malformed(
                "The Host header differs from the host of the request target.",
            ));
        }
        if self.expectation {
            return Err(Expectation);
        }
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => {
                return Err(Malformed("There are both Content-Length and Transfer-Encoding."));
            }
            (None, true) if !http11 => {
                return Err(Malformed("HTTP/1.0 has no Transfer-Encoding."));
            }
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
        };
        let upgrade = self.upgrade && self.connection_upgrade && http11 && framing == Framing::None;
        Ok(Head { framing, upgrade })
    }
}

/// CGI-like backends (WSGI, Rack, PHP) read `_` as `-`: to them these are the framing headers.
const LOOKALIKE: Refusal = Malformed("A header's name imitates one that frames the message.");

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let length = std::str::from_utf8(value)
        .ok()
        .filter(|text| (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    length.ok_or(Malformed("The Content-Length is no plain number."))
}

/// Spaces only: parsers differ on tabs around framing values.
fn trim_spaces(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|b| *b != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|b| *b != b' ').map_or(start, |at| at + 1);
    &value[start..end]
}

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(head: &str) -> Result<Head, Refusal> {
        check(head.as_bytes(), 100)
    }

    #[test]
    fn a_plain_head_passes_with_its_framing() {
        let framing = |head: &str| verdict(head).map(|head| head.framing);
        assert_eq!(framing("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(Framing::None));
        assert_eq!(framing("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), Ok(Framing::None));
        assert_eq!(
            framing("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
            Ok(Framing::None)
        );
        assert_eq!(
            framing("GET http://A:80/x HTTP/1.1\r\nHost: a:80\r\n\r\n"),
            Ok(Framing::None)
        );
        assert_eq!(
            framing("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n"),
            Ok(Framing::Length(12))
        );
        assert_eq!(
            framing("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Ok(Framing::Chunked)
        );
    }

    #[test]
    fn an_upgrade_is_one_only_when_the_connection_says_so_and_nothing_else_follows() {
        let upgrade = |headers: &str| {
            verdict(&format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).map(|head| head.upgrade)
        };
        assert_eq!(
            upgrade("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
            Ok(true)
        );
        assert_eq!(upgrade("Upgrade: websocket\r\n"), Ok(false));
        assert_eq!(upgrade("Connection: Upgrade\r\n"), Ok(false));
        assert_eq!(upgrade("Connection: Upgrade\r\nUpgrade: h2c\r\n"), Ok(false));
        assert_eq!(
            upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"),
            Ok(false)
        );
    }

    #[test]
    fn headers_are_counted() {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(100));
        assert_eq!(verdict(&head), Err(TooLarge));
    }
}

//! A request's head, read strictly: what two servers could read differently is refused.

use crate::escape;

/// Bytes of a head in all. Browsers send one or two KB; cookies make it more.
pub(crate) const MOST_HEAD: usize = 16 * 1024;
/// Bytes of the first line.
const MOST_LINE: usize = 8 * 1024;
const MOST_HEADERS: usize = 100;
/// A body that is not wanted is read up to here, to keep the connection; a larger one ends it.
const MOST_BODY: u64 = 64 * 1024;

/// What the server can do with a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Options,
    Other,
}

/// A request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// The method as it was sent, for the log; so is the target.
    pub(crate) verb: &'a str,
    pub(crate) target: &'a str,
    /// Decoded and normal; `*` stands for the server.
    pub(crate) path: String,
    pub(crate) query: Option<&'a str>,
    pub(crate) host: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    /// The client wants to send more on this connection, and may.
    pub(crate) keep_alive: bool,
    /// Bytes of a body that come after the head and are to be passed over.
    pub(crate) body: u64,
}

/// What some bytes are.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    /// Not a whole head yet.
    Partial,
    /// A request, and the length of its head.
    Whole(Request<'a>, usize),
    /// Nothing that can be answered but by this status.
    Bad(u16),
}

impl<'a> Request<'a> {
    /// The value of a header; of several, all of a list joined is not needed here: the first counts.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    /// A header that is a list, of several the values joined.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}

/// Reads the head at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut room = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut room);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => {
            let line = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .unwrap_or(bytes.len());
            return if line > MOST_LINE {
                Parsed::Bad(414)
            } else if bytes.len() >= MOST_HEAD {
                Parsed::Bad(431)
            } else {
                Parsed::Partial
            };
        }
        Err(httparse::Error::TooManyHeaders) => return Parsed::Bad(431),
        Err(httparse::Error::Version) => return Parsed::Bad(505),
        Err(_) => return Parsed::Bad(400),
    };
    if length > MOST_HEAD {
        return Parsed::Bad(431);
    }
    let (Some(method), Some(target), Some(minor)) = (head.method, head.path, head.version) else {
        return Parsed::Bad(400);
    };
    if target.len() > MOST_LINE {
        return Parsed::Bad(414);
    }
    match checked(method, target, minor, head.headers) {
        Ok(request) => Parsed::Whole(request, length),
        Err(status) => Parsed::Bad(status),
    }
}

fn checked<'a>(
    verb: &'a str,
    target: &'a str,
    minor: u8,
    headers: &[httparse::Header<'a>],
) -> Result<Request<'a>, u16> {
    let mut list = Vec::with_capacity(headers.len());
    for header in headers {
        // Names of encodings, etags, hosts: what is no UTF-8 is none of them, and is passed over.
        list.push((
            header.name,
            std::str::from_utf8(header.value).unwrap_or("").trim(),
        ));
    }
    let all = |name: &'static str| {
        list.iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    };
    let host = match (all("host").count(), minor) {
        (1, _) => all("host").next().unwrap_or(""),
        (0, 0) => "",
        _ => return Err(400),
    };
    if !host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    {
        return Err(400);
    }
    let (body, is_open) = body(
        &all("content-length").collect::<Vec<_>>(),
        all("transfer-encoding").next(),
    )?;
    let wants = |word: &str| {
        all("connection")
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(word))
    };
    let keep_alive = is_open && !wants("close") && (minor > 0 || wants("keep-alive"));
    let method = match verb {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    };
    let (path, query) = match (target, method) {
        ("*", Method::Options) => ("*".to_owned(), None),
        _ => escape::target(target).map_err(|escape::Malformed| 400u16)?,
    };
    Ok(Request {
        method,
        verb,
        target,
        path,
        query,
        host,
        headers: list,
        keep_alive,
        body,
    })
}

// The body's length, and whether the connection can be used after it.
fn body(lengths: &[&str], coding: Option<&str>) -> Result<(u64, bool), u16> {
    let Some(first) = lengths.first() else {
        return Ok((0, coding.is_none()));
    };
    let is_number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    let same = lengths.iter().all(|length| length == first);
    // Both a length and a coding: what a smuggled request begins with.
    if !is_number || !same || coding.is_some() {
        return Err(400);
    }
    match first.parse() {
        Ok(length) if length <= MOST_BODY => Ok((length, true)),
        _ => Ok((0, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        match parse(head.as_bytes()) {
            Parsed::Partial => 0,
            Parsed::Whole(..) => 200,
            Parsed::Bad(status) => status,
        }
    }

    fn whole<T>(head: &str, look: impl FnOnce(Request<'_>) -> T) -> T {
        match parse(head.as_bytes()) {
            Parsed::Whole(request, length) if length == head.len() => look(request),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_whole_at_its_empty_line() {
        let head = "GET /a%20b?c HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\naccept-encoding: gzip\r\n\r\n";
        for length in 0..head.len() {
            assert!(
                matches!(parse(&head.as_bytes()[..length]), Parsed::Partial),
                "{length}"
            );
        }
        whole(head, |request| {
            assert_eq!(
                (request.method, request.path.as_str(), request.query),
                (Method::Get, "/a b", Some("c"))
            );
            assert_eq!(request.list("ACCEPT-ENCODING").unwrap(), "br,gzip");
            assert!(request.keep_alive);
        });
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (headers, expected) in [
            ("", 400),
            ("Host: x\r\nHost: x\r\n", 400),
            ("Host: x y\r\n", 400),
            ("Host: x/../evil\r\n", 400),
            ("Host : x\r\n", 400),
            ("Host: x\r\n folded\r\n", 400),
            (
                "Host: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
                400,
            ),
            ("Host: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
            ("Host: x\r\nContent-Length: +1\r\n", 400),
            ("Host: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n", 200),
        ] {
            assert_eq!(
                status(&format!("GET / HTTP/1.1\r\n{headers}\r\n")),
                expected,
                "{headers}"
            );
        }
        assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status("GET\r\n\r\n"), 400);
        assert_eq!(status("GET /../x HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
        assert_eq!(status("GET * HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
        assert_eq!(status("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
        assert_eq!(status("\u{16}\u{3}\u{1}TLS\r\n\r\n"), 400);
    }

    #[test]
    fn a_head_has_its_limits() {
        let long = "x".repeat(MOST_LINE + 1);
        assert_eq!(status(&format!("GET /{long}")), 414);
        assert_eq!(status(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
        assert_eq!(
            status(&format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MOST_HEAD))),
            431
        );
        assert_eq!(
            status(&format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(MOST_HEAD))),
            431
        );
        assert_eq!(
            status(&format!(
                "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                "A: b\r\n".repeat(MOST_HEADERS)
            )),
            431
        );
    }

    #[test]
    fn a_connection_is_kept_when_both_can() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
            ),
            (
                "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
                false,
            ),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", true),
        ] {
            assert_eq!(whole(head, |request| request.keep_alive), expected, "{head}");
        }
    }
}

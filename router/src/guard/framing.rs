//! Where one request ends and the next begins. Pure: bytes in, a verdict out.
//!
//! A head is let through only when all of it passed, together with as much of its body as came with it:
//! a request with a bad first chunk is refused as a whole, so that the backend sees none of it.

use super::{
    chunks::Chunks,
    head::{self, Framing},
    refusal::Refusal::{self, Malformed, TooLarge},
};

/// What to do with the bytes that were scanned: the first `pass` are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) pass: usize,
    pub(super) then: Then,
}

/// What to do with the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Keep it: the head goes on in bytes that have not come yet. Or there is none.
    More,
    /// Keep it until the backend has said whether the protocol changes.
    Upgrade,
    /// Drop it and answer: a request that no backend has seen.
    RefuseHead(Refusal),
    /// Drop it and break off: a request whose beginning is under way.
    RefuseBody(Refusal),
}

enum State {
    /// `searched` bytes of the head hold no end.
    Head {
        searched: usize,
    },
    Length(u64),
    Chunked(Chunks),
}

pub(super) struct Scanner {
    state: State,
    max_head: usize,
    max_headers: usize,
    /// Heads that passed.
    pub(super) heads: u64,
}

impl Scanner {
    pub(super) fn new(max_head: usize, max_headers: usize) -> Self {
        Self {
            state: State::Head { searched: 0 },
            max_head,
            max_headers,
            heads: 0,
        }
    }

    /// Whether the client owes bytes of a body.
    pub(super) fn in_body(&self) -> bool {
        !matches!(self.state, State::Head { .. })
    }

    /// Scans on. `bytes` starts with what was kept of the last call.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Verdict {
        // The start of a head that passed in this very call: it can still be refused.
        let mut fresh_head = None;
        let mut at = 0;
        let verdict = |pass, then| Verdict { pass, then };
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Head { searched } => match find_end(rest, searched, self.max_head) {
                    Ok(None) => return verdict(at, Then::More),
                    Ok(Some(end)) => match head::check(skip_empty_line(&rest[..end]), self.max_headers) {
                        Ok(head) => {
                            self.heads += 1;
                            fresh_head = Some(at);
                            at += end;
                            self.state = match head.framing {
                                Framing::None => State::Head { searched: 0 },
                                Framing::Length(length) => State::Length(length),
                                Framing::Chunked => State::Chunked(Chunks::new()),
                            };
                            if head.upgrade {
                                return verdict(at, Then::Upgrade);
                            }
                        }
                        Err(refusal) => return verdict(at, Then::RefuseHead(refusal)),
                    },
                    Err(refusal) => return verdict(at, Then::RefuseHead(refusal)),
                },
                State::Length(left) => {
                    let step = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    at += step;
                    *left -= step as u64;
                    if *left == 0 {
                        self.state = State::Head { searched: 0 };
                    }
                }
                State::Chunked(chunks) => match chunks.read(rest) {
                    Ok((read, ended)) => {
                        at += read;
                        if ended {
                            self.state = State::Head { searched: 0 };
                        }
                    }
                    Err(refusal) => {
                        let Some(start) = fresh_head else {
                            return verdict(at, Then::RefuseBody(refusal));
                        };
                        self.heads -= 1;
                        return verdict(start, Then::RefuseHead(refusal));
                    }
                },
            }
        }
        verdict(at, Then::More)
    }
}

/// RFC 9112 section 2.2: one empty line before a request line is ignored; old clients send it after a body.
fn skip_empty_line(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\r\n").unwrap_or(head)
}

/// The length of the head that `bytes` starts with, once its empty line is there. A bare line feed is
/// refused here already: a head of such lines would never end.
fn find_end(bytes: &[u8], searched: &mut usize, max: usize) -> Result<Option<usize>, Refusal> {
    let mut from = *searched;
    while let Some(found) = bytes[from..].iter().position(|b| *b == b'\n') {
        let at = from + found;
        if at == 0 || bytes[at - 1] != b'\r' {
            return Err(Malformed(
                "A line of the request's head ends without a carriage return.",
            ));
        }
        let is_empty_line = at >= 3 && bytes[at - 2] == b'\n';
        if is_empty_line {
            *searched = 0;
            return if at < max { Ok(Some(at + 1)) } else { Err(TooLarge) };
        }
        from = at + 1;
    }
    *searched = bytes.len();
    if bytes.len() >= max {
        Err(TooLarge)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn scan(bytes: &str) -> Verdict {
        Scanner::new(4096, 100).scan(bytes.as_bytes())
    }

    #[test]
    fn whole_requests_pass_and_a_partial_head_is_kept() {
        assert_eq!(
            scan(GET),
            Verdict {
                pass: GET.len(),
                then: Then::More
            }
        );
        assert_eq!(
            scan(&format!("{GET}{GET}GET /")),
            Verdict {
                pass: 2 * GET.len(),
                then: Then::More
            }
        );
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(
            scan(&format!("{post}\r\n{GET}")),
            Verdict {
                pass: post.len() + 2 + GET.len(),
                then: Then::More
            }
        );
    }

    #[test]
    fn a_second_request_is_refused_without_the_first() {
        let verdict = scan(&format!("{GET}GET / HTTP/1.1\nHost: a\n\n"));
        assert_eq!(verdict.pass, GET.len());
        assert!(matches!(verdict.then, Then::RefuseHead(_)));
    }

    #[test]
    fn a_bad_chunk_that_came_with_its_head_refuses_the_head() {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let verdict = scan(&format!("{GET}{head}5\nhello"));
        assert_eq!(verdict.pass, GET.len());
        assert!(matches!(verdict.then, Then::RefuseHead(_)));

        let mut scanner = Scanner::new(4096, 100);
        assert_eq!(scanner.scan(head.as_bytes()).pass, head.len());
        let verdict = scanner.scan(b"5\nhello");
        assert!(matches!(verdict.then, Then::RefuseBody(_)));
    }

    #[test]
    fn a_head_is_found_however_it_is_cut() {
        for cut in 1..GET.len() {
            let mut scanner = Scanner::new(4096, 100);
            assert_eq!(scanner.scan(&GET.as_bytes()[..cut]).pass, 0, "{cut}");
            assert_eq!(scanner.scan(GET.as_bytes()).pass, GET.len(), "{cut}");
        }
    }

    #[test]
    fn a_head_without_end_is_too_large() {
        let verdict = scan(&format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}", "y".repeat(5000)));
        assert_eq!(
            verdict,
            Verdict {
                pass: 0,
                then: Then::RefuseHead(TooLarge)
            }
        );
    }

    #[test]
    fn nothing_after_an_upgrade_is_looked_at() {
        let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(
            scan(&format!("{upgrade}\0\0")),
            Verdict {
                pass: upgrade.len(),
                then: Then::Upgrade
            }
        );
    }
}

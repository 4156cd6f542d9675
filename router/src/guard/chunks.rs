//! A chunked body (RFC 9112 section 7.1), checked byte for byte. Pure.
//!
//! hyper re-encodes chunks, so extensions never reach a backend; what matters is that no two parsers can
//! disagree on where the body ends: no bare line feeds, no spaces in the size, no size that overflows.

use super::{
    head::is_token,
    refusal::Refusal::{self, Malformed},
};

/// 15 hex digits are below 2^60: no sum of them overflows.
const MAX_SIZE_DIGITS: u8 = 15;
/// Extensions of the whole body, and the trailer section: nobody sends more honestly.
const MAX_EXTRA_BYTES: u32 = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// Where in a chunked body the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    state: State,
    extra: u32,
}

const START: State = State::Size { digits: 0, size: 0 };

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            state: START,
            extra: 0,
        }
    }

    /// Reads on. Gives how many bytes belong to this body and whether it is at its end.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data { left } = self.state {
                let step = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += step;
                let left = left - step as u64;
                self.state = if left == 0 {
                    State::DataCr
                } else {
                    State::Data { left }
                };
                continue;
            }
            let byte = bytes[at];
            at += 1;
            if self.state == State::EndLf {
                return if byte == b'\n' {
                    Ok((at, true))
                } else {
                    Err(LINE_END)
                };
            }
            self.state = self.step(byte)?;
        }
        Ok((at, false))
    }

    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits, size }, _) if byte.is_ascii_hexdigit() => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(Malformed("A chunk's size is too large."));
                }
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                Ok(State::Size {
                    digits: digits + 1,
                    size: size * 16 + u64::from(digit),
                })
            }
            (State::Size { digits: 1.., size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Size { digits: 1.., size }, b';') => Ok(State::Extension { size }),
            (State::Size { .. }, _) => Err(Malformed("A chunk's size is no hexadecimal number.")),
            (State::Extension { size }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { .. }, _) => self.extra(byte, self.state),
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(START),
            (State::DataCr | State::DataLf, _) => Err(Malformed("A chunk is longer than its size.")),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart, _) if is_token(byte) => self.extra(byte, State::TrailerName),
            (State::TrailerName, b':') => self.extra(byte, State::TrailerValue),
            (State::TrailerName, _) if is_token(byte) => self.extra(byte, State::TrailerName),
            (State::TrailerStart | State::TrailerName, _) => Err(Malformed("A trailer is no `name: value`.")),
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, _) => self.extra(byte, State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::SizeLf { .. } | State::TrailerLf, _) => Err(LINE_END),
            // `read` handles these two itself.
            (State::Data { .. } | State::EndLf, _) => Ok(self.state),
        }
    }

    /// A byte of an extension or a trailer: bounded, and no control character.
    fn extra(&mut self, byte: u8, next: State) -> Result<State, Refusal> {
        self.extra += 1;
        if (byte < b' ' && byte != b'\t') || byte == 0x7f {
            return Err(Malformed(
                "A chunk's extension or a trailer holds a control character.",
            ));
        }
        if self.extra > MAX_EXTRA_BYTES {
            return Err(Malformed("The chunk extensions or trailers are too long."));
        }
        Ok(next)
    }
}

const LINE_END: Refusal = Malformed("A line of the chunked body does not end with CR LF.");

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `body` split at every place, which must not change the verdict.
    #[expect(clippy::panic_in_result_fn, reason = "a test's assertion")]
    fn read(body: &str) -> Result<(usize, bool), Refusal> {
        let whole = Chunks::new().read(body.as_bytes());
        for split in 0..body.len() {
            let mut chunks = Chunks::new();
            let first = chunks.read(&body.as_bytes()[..split]);
            let halves = match first {
                Ok((_, false)) => chunks
                    .read(&body.as_bytes()[split..])
                    .map(|(n, end)| (n + split, end)),
                ended => ended,
            };
            assert_eq!(halves, whole, "{body:?} split at {split}");
        }
        whole
    }

    #[test]
    fn a_well_formed_body_is_read_to_its_end_and_no_further() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=b\r\nhello\r\n00\r\nx-sum: 1\r\n\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(body), Ok((body.len(), true)), "{body:?}");
            let followed = format!("{body}GET /");
            assert_eq!(read(&followed), Ok((body.len(), true)), "{body:?}");
        }
        assert_eq!(read("5\r\nhel"), Ok((6, false)));
    }

    #[test]
    fn a_doubtful_body_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "\r\n",
            "x\r\n",
            "0x5\r\nhello\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5\r\nhelloo\r\n",
            "5\r\nhello\n0\r\n",
            "5;a\nhello\r\n",
            "5;\0\r\nhello\r\n",
            "5\r\rhello",
            "5\rX",
            "1000000000000000\r\n",
            "FFFFFFFFFFFFFFFFF\r\n",
            "0\r\nbad trailer: 1\r\n\r\n",
            "0\r\n: 1\r\n\r\n",
            "0\r\nx: 1\n\r\n",
            "0\r\n x: 1\r\n\r\n",
            "0\r\nx\r\n\r\n",
            "0\r\n\n",
            "0\r\n\rX",
            ";\r\n",
        ] {
            assert!(read(body).is_err(), "{body:?}");
        }
        let long = format!("5;{}\r\n", "x".repeat(20_000));
        assert!(Chunks::new().read(long.as_bytes()).is_err());
    }
}

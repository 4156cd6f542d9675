//! Two kinds of stream: newline-delimited JSON on the control socket, server-sent events on the REST API.
//!
//! Both give one parsed value at a time, bound what they hold of an unfinished line, and end with the body.

use crate::error::{Error, Result};
use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A route table of 2,000 hosts has about 300 KB; nothing sent on one line is larger than this.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Splits a body into lines.
struct Lines {
    response: reqwest::Response,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    async fn next(&mut self) -> Result<Option<BytesMut>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let mut line = self.buffer.split_to(end);
                self.buffer.advance(1);
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > MAX_LINE_BYTES {
                return Err(Error::Transport("a line of the stream is too long".to_owned()));
            }
            match self.response.chunk().await.map_err(Error::transport)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => self.ended = true,
            }
        }
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::Transport(format!("unreadable stream: {error}")))
}

/// A stream of newline-delimited JSON values.
pub struct Ndjson<T> {
    lines: Lines,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> Ndjson<T> {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            lines: Lines {
                response,
                buffer: BytesMut::new(),
                ended: false,
            },
            of: PhantomData,
        }
    }

    /// The next value; `None` at the body's end.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks or a line is no such value.
    pub async fn next(&mut self) -> Result<Option<T>> {
        while let Some(line) = self.lines.next().await? {
            if !line.is_empty() {
                return parse(&line).map(Some);
            }
        }
        Ok(None)
    }
}

/// A stream of server-sent events whose data is JSON (WHATWG HTML section 9.2).
pub struct SseEvents<T> {
    lines: Lines,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> SseEvents<T> {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            lines: Lines {
                response,
                buffer: BytesMut::new(),
                ended: false,
            },
            of: PhantomData,
        }
    }

    /// The next event's data; comments (keep-alives) are skipped; `None` at the body's end.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks or an event's data is no such value.
    pub async fn next(&mut self) -> Result<Option<T>> {
        while let Some(line) = self.lines.next().await? {
            if let Some(data) = line.strip_prefix(b"data:") {
                return parse(data).map(Some);
            }
        }
        Ok(None)
    }
}

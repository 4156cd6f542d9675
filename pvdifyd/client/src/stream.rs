//! Two kinds of stream: newline-delimited JSON on the control socket, server-sent events on the REST API.
//!
//! Both give one parsed value at a time, bound what they hold of an unfinished value, and end with the
//! body. A value that the body's end cuts off is dropped, never guessed at. `next` may be dropped while it
//! waits (in a timeout or a select) and called again: nothing of the stream is lost.

use crate::error::{Error, Result};
use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// A route table of 2,000 hosts has about 300 KB; nothing sent as one value is larger than this.
const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// Splits a body into lines.
struct Lines {
    response: reqwest::Response,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no line end: a long line is searched once, not at each chunk.
    searched: usize,
    ended: bool,
}

impl Lines {
    fn new(response: reqwest::Response) -> Self {
        Self {
            response,
            buffer: BytesMut::new(),
            searched: 0,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<BytesMut>> {
        loop {
            let unsearched = &self.buffer[self.searched..];
            if let Some(offset) = unsearched.iter().position(|b| *b == b'\n') {
                let mut line = self.buffer.split_to(self.searched + offset);
                self.buffer.advance(1);
                self.searched = 0;
                if line.last() == Some(&b'\r') {
                    line.truncate(line.len() - 1);
                }
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > MAX_VALUE_BYTES {
                return Err(too_long());
            }
            match self.response.chunk().await.map_err(Error::transport)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => self.ended = true,
            }
        }
    }
}

fn too_long() -> Error {
    Error::Transport("a line of the stream is too long".to_owned())
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
            lines: Lines::new(response),
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
    /// The data of the event that is being read; `None` before its first `data` line.
    data: Option<BytesMut>,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> SseEvents<T> {
    pub(crate) fn new(response: reqwest::Response) -> Self {
        Self {
            lines: Lines::new(response),
            data: None,
            of: PhantomData,
        }
    }

    /// The next event's data; comments (keep-alives) and events without data are skipped; `None` at the
    /// body's end.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection breaks or an event's data is no such value.
    pub async fn next(&mut self) -> Result<Option<T>> {
        while let Some(line) = self.lines.next().await? {
            if line.is_empty() {
                if let Some(data) = self.data.take() {
                    return parse(&data).map(Some);
                }
            } else if let Some(value) = data_of(&line) {
                match &mut self.data {
                    Some(data) => {
                        data.extend_from_slice(b"\n");
                        data.extend_from_slice(value);
                        if data.len() > MAX_VALUE_BYTES {
                            return Err(too_long());
                        }
                    }
                    none => *none = Some(BytesMut::from(value)),
                }
            }
        }
        Ok(None)
    }
}

/// The value of a `data` line; `None` for a comment or another field.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    if value.is_empty() {
        return Some(value);
    }
    let value = value.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

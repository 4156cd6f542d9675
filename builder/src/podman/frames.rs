//! What a container writes, told apart: Podman sends standard output and standard error over one connection,
//! each piece behind a header of eight bytes (stream, three zeros, length in network order).
//!
//! A piece is given on as it comes, however long it says to be, so a container can't make this grow.

use super::PodmanError;
use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, stream};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

const HEADER: usize = 8;
/// What is read of a connection at once, at most.
const PIECE: usize = 32 * 1024;

/// Where a container wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes as the container wrote them, with no regard to lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where.
    pub stream: OutputStream,
    /// What.
    pub bytes: Bytes,
}

/// The frames of a streamed answer.
pub(super) fn frames(
    response: Response<Incoming>,
) -> impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static {
    let state = (response.into_body(), Decoder::default());
    stream::try_unfold(state, |(mut body, mut decoder)| async move {
        loop {
            if let Some(frame) = decoder.next()? {
                return Ok(Some((frame, (body, decoder))));
            }
            match body.frame().await {
                None => return decoder.end().map(|()| None),
                Some(data) => {
                    if let Ok(data) = data?.into_data() {
                        decoder.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    })
}

/// The frames of a connection that a container has taken over.
pub(super) fn frames_of(
    connection: impl AsyncRead + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static {
    let state = (connection, Decoder::default());
    stream::try_unfold(state, |(mut connection, mut decoder)| async move {
        loop {
            if let Some(frame) = decoder.next()? {
                return Ok(Some((frame, (connection, decoder))));
            }
            decoder.buffer.reserve(PIECE);
            if read(&mut connection, &mut decoder.buffer).await? == 0 {
                return decoder.end().map(|()| None);
            }
        }
    })
}

/// What a terminal shows: both outputs in one, as they are.
pub(super) fn terminal_frames(
    connection: impl AsyncRead + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static {
    stream::try_unfold(connection, |mut connection| async move {
        let mut bytes = BytesMut::with_capacity(PIECE);
        let read = read(&mut connection, &mut bytes).await?;
        let frame = Frame {
            stream: OutputStream::Stdout,
            bytes: bytes.freeze(),
        };
        Ok((read > 0).then_some((frame, connection)))
    })
}

/// More bytes; none at the end. A process that ends without having read all of its input makes Podman reset the
/// connection: then too, all was said, and its exit status tells the rest.
async fn read(
    connection: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<usize, PodmanError> {
    match connection.read_buf(buffer).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        read => read.map_err(|error| PodmanError::Hijacked(error.to_string())),
    }
}

/// Cuts bytes into frames.
#[derive(Default)]
struct Decoder {
    buffer: BytesMut,
    /// The stream of the frame that is being read, and how much of it is still to come.
    open: Option<(OutputStream, usize)>,
}

impl Decoder {
    fn next(&mut self) -> Result<Option<Frame>, PodmanError> {
        loop {
            match self.open {
                Some((_, 0)) => self.open = None,
                Some(_) if self.buffer.is_empty() => return Ok(None),
                Some((stream, left)) => {
                    let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
                    self.open = Some((stream, left - bytes.len()));
                    return Ok(Some(Frame { stream, bytes }));
                }
                None if self.buffer.len() < HEADER => return Ok(None),
                None => self.open = Some(self.header()?),
            }
        }
    }

    fn header(&mut self) -> Result<(OutputStream, usize), PodmanError> {
        let unknown = |what: &str| PodmanError::Answer(format!("output with {what}"));
        let stream = match self.buffer.get_u32().to_be_bytes() {
            // 0 is standard input, echoed: what a terminal shows.
            [0 | 1, 0, 0, 0] => OutputStream::Stdout,
            [2, 0, 0, 0] => OutputStream::Stderr,
            // By 3, Podman itself says why it stops.
            [3, 0, 0, 0] => return Err(unknown("an error of Podman's in it")),
            _ => return Err(unknown("no frames")),
        };
        let length = usize::try_from(self.buffer.get_u32()).map_err(|_| unknown("too long a frame"))?;
        Ok((stream, length))
    }

    /// Whether the end is one, or the connection broke within a frame.
    fn end(&self) -> Result<(), PodmanError> {
        if self.buffer.is_empty() && self.open.is_none_or(|(_, left)| left == 0) {
            Ok(())
        } else {
            Err(PodmanError::Answer("output that ends within a frame".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    #[test]
    fn frames_are_the_same_wherever_the_bytes_are_cut() {
        let all = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\x03err";
        for cut in 0..all.len() {
            let mut decoder = Decoder::default();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for part in [&all[..cut], &all[cut..]] {
                decoder.buffer.extend_from_slice(part);
                while let Some(frame) = decoder.next().unwrap() {
                    match frame.stream {
                        Stdout => out.extend_from_slice(&frame.bytes),
                        Stderr => err.extend_from_slice(&frame.bytes),
                    }
                }
            }
            decoder.end().unwrap();
            assert_eq!((&out[..], &err[..]), (&b"one"[..], &b"err"[..]), "cut at {cut}");
        }
    }

    #[test]
    fn an_end_within_a_frame_and_bytes_that_are_no_frames_are_errors() {
        for (bytes, at_end) in [
            (&b"\x01\0\0\0\0\0\0\x03on"[..], true),
            (b"\x01\0\0", true),
            (b"plain text", false),
        ] {
            let mut decoder = Decoder::default();
            decoder.buffer.extend_from_slice(bytes);
            let read = std::iter::from_fn(|| decoder.next().transpose()).collect::<Result<Vec<_>, _>>();
            assert_eq!(read.is_ok(), at_end, "{bytes:?}");
            assert!(!at_end || decoder.end().is_err(), "{bytes:?}");
        }
    }
}

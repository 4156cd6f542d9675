//! A container's standard streams, both ways, over a connection that is no longer HTTP.
//!
//! What is written is given on byte for byte: no keys detach. Closing the input is the end of the process's
//! standard input and leaves the output open, which ends with the process. Dropping both halves leaves the process
//! running; a caller who does not want that ends it.

use super::path;
use crate::podman::{
    Libpod, PodmanError, Query,
    frames::{Frame, OutputStream, frames_of, terminal_frames},
    transport::Hijacked,
};
use futures_util::{StreamExt, TryStreamExt, future::ready, stream::BoxStream};
use pvdify_types::TerminalSize;
use std::fmt;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

/// As a query.
pub(super) fn query(size: TerminalSize) -> Query {
    Query::default().with("w", size.columns).with("h", size.rows)
}

/// Standard streams that were taken over.
pub struct Attached {
    /// What the process reads.
    pub input: AttachedInput,
    /// What it writes.
    pub output: AttachedOutput,
}

/// What a process writes, until it ends.
pub type AttachedOutput = BoxStream<'static, Result<Frame, PodmanError>>;

/// What a process reads.
pub struct AttachedInput(WriteHalf<Hijacked>);

impl fmt::Debug for AttachedInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttachedInput")
    }
}

impl AttachedInput {
    /// Writes all of it; waits as long as the process reads nothing.
    ///
    /// # Errors
    /// [`PodmanError::Hijacked`] when the process, or Podman, is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), PodmanError> {
        let written = self.0.write_all(bytes).await;
        written.map_err(|error| PodmanError::Hijacked(error.to_string()))
    }

    /// The end of the input. The process may be gone already.
    pub async fn close(mut self) {
        self.0.shutdown().await.ok();
    }
}

impl Attached {
    pub(super) fn new(connection: Hijacked, terminal: bool) -> Self {
        let (reader, writer) = tokio::io::split(connection);
        Self {
            input: AttachedInput(writer),
            output: output(reader, terminal),
        }
    }
}

fn output(reader: ReadHalf<Hijacked>, terminal: bool) -> AttachedOutput {
    match terminal {
        true => terminal_frames(reader).boxed(),
        false => frames_of(reader)
            .try_filter(|frame| ready(!is_podmans_own(frame)))
            .boxed(),
    }
}

/// Where a process ended without having read all of its input, Podman may add this to what it wrote.
fn is_podmans_own(frame: &Frame) -> bool {
    frame.stream == OutputStream::Stderr
        && frame
            .bytes
            .starts_with(b"Error: read unixpacket @->/proc/self/fd/")
}

impl Libpod {
    /// Takes over the standard streams of a container that was made with `stdin`, and with a terminal or not. One that
    /// has not been started is prepared, so that its first word is not missed.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn attach_both_ways(&self, container: &str, terminal: bool) -> Result<Attached, PodmanError> {
        if terminal {
            let streams = ["stdin", "stdout", "stderr"];
            let connection = self.hijack_attach(container, &streams).await?;
            return Ok(Attached::new(connection, true));
        }
        // A connection each: a process that ends without having read all of its input has the one reset on which the
        // input came, and what it wrote there would be lost with it.
        let output = self.hijack_attach(container, &["stdout", "stderr"]).await?;
        let input = self
            .hijack_attach(container, &["stdin", "stdout", "stderr"])
            .await?;
        let (mut unwanted, input) = tokio::io::split(input);
        // What the process writes comes there too, and it waits until that is read: until its end, and ours.
        tokio::spawn(async move { tokio::io::copy(&mut unwanted, &mut tokio::io::sink()).await });
        let (reader, _) = tokio::io::split(output);
        Ok(Attached {
            input: AttachedInput(input),
            output: self::output(reader, false),
        })
    }

    async fn hijack_attach(&self, container: &str, streams: &[&str]) -> Result<Hijacked, PodmanError> {
        // Left out, Podman looks for ctrl-p,ctrl-q in what is written, also in a file's bytes.
        let query = Query::default().with("stream", true).with("detachKeys", "");
        let query = streams
            .iter()
            .fold(query, |query, stream| query.with(stream, true));
        self.hijack(&query.on(&path(container, "/attach")), None::<&()>)
            .await
    }

    /// Sets the size of a container's terminal; also of one that is prepared and not started.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn resize_container(&self, container: &str, size: TerminalSize) -> Result<(), PodmanError> {
        let resize = query(size).on(&path(container, "/resize"));
        self.post_empty(&resize).await.map(|_| ())
    }
}

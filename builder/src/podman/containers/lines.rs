//! What a container writes, line by line.

use crate::podman::{Frame, OutputStream, PodmanError};
use futures_util::{Stream, TryStreamExt, stream};
use std::collections::VecDeque;

/// The longest line that is given as one.
const MAX_LINE: usize = 64 * 1024;

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// Where.
    pub stream: OutputStream,
    /// What; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// Lines as they are completed, from frames; the last ones of each stream also without an end. A line of more
/// than 64 KiB comes in parts.
pub fn output_lines(
    frames: impl Stream<Item = Result<Frame, PodmanError>> + Send + 'static,
) -> impl Stream<Item = Result<OutputLine, PodmanError>> + Send + 'static {
    let state = (Box::pin(frames), Lines::default(), false);
    stream::try_unfold(state, |(mut frames, mut lines, mut ended)| async move {
        loop {
            if let Some(line) = lines.done.pop_front() {
                return Ok(Some((line, (frames, lines, ended))));
            }
            if ended {
                return Ok(None);
            }
            match frames.try_next().await? {
                Some(frame) => lines.take(&frame),
                None => {
                    ended = true;
                    lines.flush();
                }
            }
        }
    })
}

/// Collects lines, each stream by itself: what one writes must not end up in the other's line.
#[derive(Default)]
struct Lines {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    done: VecDeque<OutputLine>,
}

impl Lines {
    fn take(&mut self, frame: &Frame) {
        let open = match frame.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        for part in frame.bytes.split_inclusive(|byte| *byte == b'\n') {
            open.extend_from_slice(part);
            let ended = open.pop_if(|byte| *byte == b'\n').is_some();
            if ended || open.len() >= MAX_LINE {
                self.done.push_back(line(frame.stream, open));
            }
        }
    }

    fn flush(&mut self) {
        for (stream, open) in [
            (OutputStream::Stdout, &mut self.stdout),
            (OutputStream::Stderr, &mut self.stderr),
        ] {
            if !open.is_empty() {
                self.done.push_back(line(stream, open));
            }
        }
    }
}

fn line(stream: OutputStream, open: &mut Vec<u8>) -> OutputLine {
    let text = String::from_utf8_lossy(open).into_owned();
    open.clear();
    OutputLine { stream, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};
    use bytes::Bytes;

    fn frame(stream: OutputStream, bytes: &'static str) -> Frame {
        let bytes = Bytes::from_static(bytes.as_bytes());
        Frame { stream, bytes }
    }

    #[tokio::test]
    async fn lines_of_two_streams_do_not_mix() {
        let frames = [
            frame(Stdout, "a\nhal"),
            frame(Stderr, "oh\n\n"),
            frame(Stdout, "f\n"),
            frame(Stderr, "last"),
        ];
        let lines = output_lines(stream::iter(frames.map(Ok)));
        let lines: Vec<(OutputStream, String)> = lines
            .map_ok(|line| (line.stream, line.text))
            .try_collect()
            .await
            .unwrap();
        let expected = [
            (Stdout, "a"),
            (Stderr, "oh"),
            (Stderr, ""),
            (Stdout, "half"),
            (Stderr, "last"),
        ];
        assert_eq!(lines, expected.map(|(stream, text)| (stream, text.to_owned())));
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut lines = Lines::default();
        let piece = Frame {
            stream: Stdout,
            bytes: Bytes::from(vec![b'x'; 48 * 1024]),
        };
        for _ in 0..4 {
            lines.take(&piece);
        }
        assert_eq!(lines.done.len(), 2);
        assert!(lines.stdout.is_empty());
    }
}

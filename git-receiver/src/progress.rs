//! What goes back to the pusher: lines, signs of life, the final report.
//!
//! A client that is gone, or that reads nothing for a minute, is written off: from then on every call
//! returns at once, so that a push which already builds comes to its end without it.

use crate::receive::pktline;
use gix::bstr::BString;
use std::{future::Future, pin::Pin, pin::pin, time::Duration};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Band 1 carries the report, band 2 the lines that git shows behind `remote: `.
const DATA: u8 = 1;
const PROGRESS: u8 = 2;
/// What stock git sends while a hook is silent: an empty packet, which clients skip.
const KEEP_ALIVE: &[u8] = b"0005\x01";
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// One half of an SSH channel.
pub(crate) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// The way back to one client.
pub(crate) struct Output {
    stdout: Writer,
    stderr: Writer,
    side_band: bool,
    gone: CancellationToken,
}

impl Output {
    /// Writes until `gone`, which others set too when the connection ends.
    pub(crate) fn new(stdout: Writer, stderr: Writer, gone: CancellationToken) -> Self {
        Self {
            stdout,
            stderr,
            side_band: false,
            gone,
        }
    }

    /// From here on lines go where the client asked for them.
    pub(crate) fn use_side_band(&mut self, side_band: bool) {
        self.side_band = side_band;
    }

    /// A line, or several; behind `remote: ` once the side-band is in use, plain before.
    pub(crate) async fn line(&mut self, text: &str) {
        let text = format!("{text}\n");
        if self.side_band {
            let mut packets = Vec::new();
            pktline::push_band(&mut packets, PROGRESS, text.as_bytes());
            self.raw(&packets).await;
        } else {
            write(&mut self.stderr, text.as_bytes(), &self.gone).await;
        }
    }

    /// Keeps routers and clients from thinking the connection dead.
    pub(crate) async fn keep_alive(&mut self) {
        if self.side_band {
            self.raw(KEEP_ALIVE).await;
        }
    }

    /// Waits for `work` and shows signs of life meanwhile.
    pub(crate) async fn alive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(KEEP_ALIVE_EVERY, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.keep_alive().await,
            }
        }
    }

    /// Bytes as they are, on standard output.
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        write(&mut self.stdout, bytes, &self.gone).await;
    }

    /// git's report-status: whether the pack was taken, then each ref's fate.
    pub(crate) async fn report(
        &mut self,
        unpacked: Result<(), &str>,
        refs: &[(BString, Result<(), String>)],
    ) {
        let packets = report(unpacked, refs);
        if self.side_band {
            let mut wrapped = Vec::new();
            pktline::push_band(&mut wrapped, DATA, &packets);
            wrapped.extend_from_slice(pktline::FLUSH);
            self.raw(&wrapped).await;
        } else {
            self.raw(&packets).await;
        }
    }
}

async fn write(writer: &mut Writer, bytes: &[u8], gone: &CancellationToken) {
    let written = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    tokio::select! {
        biased;
        () = gone.cancelled() => {}
        written = tokio::time::timeout(PATIENCE, written) => {
            if !matches!(written, Ok(Ok(()))) {
                gone.cancel();
            }
        }
    }
}

fn report(unpacked: Result<(), &str>, refs: &[(BString, Result<(), String>)]) -> Vec<u8> {
    let mut out = Vec::new();
    pktline::push(
        &mut out,
        format!("unpack {}\n", unpacked.err().unwrap_or("ok")).as_bytes(),
    );
    for (name, fate) in refs {
        let mut line = if fate.is_ok() {
            b"ok ".to_vec()
        } else {
            b"ng ".to_vec()
        };
        line.extend_from_slice(name);
        if let Err(reason) = fate {
            line.push(b' ');
            line.extend_from_slice(reason.as_bytes());
        }
        line.push(b'\n');
        pktline::push(&mut out, &line);
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_gits() {
        let refs = [
            ("refs/heads/main".into(), Ok(())),
            ("refs/tags/t".into(), Err("funny refname".to_owned())),
        ];
        let text = String::from_utf8(report(Ok(()), &refs)).unwrap();
        assert_eq!(
            text,
            "000eunpack ok\n0017ok refs/heads/main\n0021ng refs/tags/t funny refname\n0000"
        );
        assert_eq!(report(Err("damaged"), &[]), b"0013unpack damaged\n0000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_written_off_and_holds_no_one_up_again() {
        let (_unread, writer) = tokio::io::duplex(4);
        let gone = CancellationToken::new();
        let mut output = Output::new(Box::pin(writer), Box::pin(tokio::io::sink()), gone.clone());
        output.use_side_band(true);
        output.line("more than the client takes").await;
        assert!(gone.is_cancelled());
        let before = tokio::time::Instant::now();
        output.line("again").await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_filled_with_packets_that_clients_skip() {
        let (mut reader, writer) = tokio::io::duplex(1024);
        let mut output = Output::new(
            Box::pin(writer),
            Box::pin(tokio::io::sink()),
            CancellationToken::new(),
        );
        output.use_side_band(true);
        output
            .alive_while(tokio::time::sleep(Duration::from_secs(12)))
            .await;
        drop(output);
        let mut sent = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut sent)
            .await
            .unwrap();
        assert_eq!(sent, b"0005\x010005\x01");
    }
}

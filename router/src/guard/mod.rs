//! Strict HTTP/1 framing and timeouts, between the socket and hyper.
//!
//! Why a layer of its own: hyper mends what it reads (see `head`), so behind it the doubtful requests can't
//! be told from good ones. The guard looks at the same bytes first, in place, and hands hyper only whole heads that
//! passed. In the place of a refused one it hands up a stand-in, and tells the proxy through the
//! [`Exchange`] what to answer: so answers keep their order behind pipelined requests.
//!
//! What always holds:
//! - A head reaches hyper whole and checked, or not at all.
//! - Bytes after an upgrade request stay here until the backend has answered 101, or are checked as the next
//!   request when it answered anything else.
//! - Each wait on the client is bounded: between requests, inside a head, inside a body, and for it to read.

mod chunks;
mod exchange;
mod framing;
mod head;
mod refusal;

pub(crate) use exchange::{Busy, Exchange, Upgrade};
pub(crate) use refusal::Refusal;

use crate::{config::Limits, stall::Stall};
use bytes::{Buf, BytesMut};
use framing::{Scanner, Then};
use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_util::io::poll_read_buf;

/// Takes the place of a refused request; the proxy never looks at it.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\n\r\n";
/// Bytes kept from a client that speaks before its upgrade is granted.
const MAX_EARLY_BYTES: usize = 16 * 1024;
/// After the last answer the client gets this long, and this much, to stop sending: a socket closed with
/// unread bytes resets the connection, and the client may lose the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Http,
    /// An upgrade request is with the backend.
    Held,
    /// The protocol has changed; this is a pipe.
    Tunnel,
    /// A stand-in was handed up; nothing more is read.
    Refused,
    /// A body was broken off.
    Broken,
}

/// A client's connection as hyper may see it.
pub(crate) struct Guard<S> {
    socket: S,
    exchange: Arc<Exchange>,
    limits: Arc<Limits>,
    scanner: Scanner,
    mode: Mode,
    /// Read from the socket, not yet passed on: a partial head, or what follows an upgrade request.
    kept: BytesMut,
    /// To be passed on before anything else: what did not fit, or a stand-in.
    passed: BytesMut,
    head_since: Option<Instant>,
    reading: Stall,
    writing: Stall,
    /// Nothing of hyper's is between its buffer and the socket: an interim response may go in between.
    flushed: bool,
    interim: BytesMut,
    lingered: usize,
    lingering: Stall,
    saw_end: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    pub(crate) fn new(socket: S, exchange: Arc<Exchange>, limits: Arc<Limits>) -> Self {
        Self {
            socket,
            exchange,
            scanner: Scanner::new(limits.header_bytes, limits.header_count),
            limits,
            mode: Mode::Http,
            kept: BytesMut::new(),
            passed: BytesMut::new(),
            head_since: None,
            reading: Stall::default(),
            writing: Stall::default(),
            flushed: true,
            interim: BytesMut::new(),
            lingered: 0,
            lingering: Stall::default(),
            saw_end: false,
        }
    }

    /// HTTP: the common case reads into hyper's own buffer and looks at the bytes there.
    fn poll_http(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let got = if self.kept.is_empty() {
                let before = buf.filled().len();
                match Pin::new(&mut self.socket).poll_read(cx, buf) {
                    Poll::Ready(Ok(())) => {
                        let new = &buf.filled()[before..];
                        let got = new.len();
                        let verdict = self.scanner.scan(new);
                        self.kept.extend_from_slice(&new[verdict.pass..]);
                        buf.set_filled(before + verdict.pass);
                        self.follow(verdict.then);
                        got
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return self.poll_patience(cx, buf),
                }
            } else {
                match poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.kept) {
                    Poll::Ready(Ok(got)) => {
                        self.rescan();
                        self.pass_on(buf);
                        got
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return self.poll_patience(cx, buf),
                }
            };
            self.reading.progress();
            if got == 0 {
                self.saw_end = true;
                return Poll::Ready(Ok(()));
            }
            if !buf.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            match self.mode {
                Mode::Broken => return Poll::Ready(Err(ErrorKind::InvalidData.into())),
                Mode::Refused => {
                    self.pass_on(buf);
                    return Poll::Ready(Ok(()));
                }
                Mode::Http | Mode::Held | Mode::Tunnel => {}
            }
        }
    }

    /// Scans what was kept, now that there is more of it.
    fn rescan(&mut self) {
        let verdict = self.scanner.scan(&self.kept);
        self.passed.extend_from_slice(&self.kept[..verdict.pass]);
        self.kept.advance(verdict.pass);
        self.follow(verdict.then);
    }

    fn follow(&mut self, then: Then) {
        if self.kept.is_empty() {
            self.head_since = None;
        } else {
            self.head_since.get_or_insert_with(Instant::now);
        }
        match then {
            Then::More => {}
            Then::Upgrade => {
                self.mode = Mode::Held;
                self.exchange.await_upgrade(self.scanner.heads);
            }
            Then::RefuseHead(refusal) => self.refuse(refusal),
            Then::RefuseBody(refusal) => {
                self.exchange.refuse_body(refusal);
                self.kept.clear();
                self.mode = Mode::Broken;
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.exchange.refuse_head(self.scanner.heads + 1, refusal);
        self.kept.clear();
        self.passed.extend_from_slice(STAND_IN);
        self.mode = Mode::Refused;
    }

    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) {
        let fits = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed[..fits]);
        self.passed.advance(fits);
        if self.passed.is_empty() {
            // A read buffer per idle connection is what memory goes to.
            self.passed = BytesMut::new();
        }
    }

    /// Nothing came: how long may that last here?
    fn poll_patience(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(since) = self.head_since {
            if self
                .reading
                .poll_until(cx, since + self.limits.header_read)
                .is_ready()
            {
                self.refuse(Refusal::TooSlow);
                self.pass_on(buf);
                return Poll::Ready(Ok(()));
            }
        } else if self.scanner.in_body() {
            ready!(self.reading.poll_wait(cx, self.limits.stream_idle));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        } else if self.exchange.is_busy() {
            self.reading.progress();
        } else {
            // The end of an idle connection is no error: hyper closes it as if the client had.
            ready!(self.reading.poll_wait(cx, self.limits.idle));
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    /// The backend decides; meanwhile only the client's going away matters.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Mode>> {
        match self.exchange.upgrade() {
            Upgrade::Accepted => {
                self.passed.unsplit(std::mem::take(&mut self.kept));
                Poll::Ready(Ok(Mode::Tunnel))
            }
            Upgrade::Declined => {
                self.mode = Mode::Http;
                self.rescan();
                Poll::Ready(Ok(self.mode))
            }
            Upgrade::Waiting => {
                if self.kept.len() < MAX_EARLY_BYTES
                    && ready!(poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.kept))? == 0
                {
                    self.saw_end = true;
                    return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
                }
                Poll::Pending
            }
        }
    }

    /// Sends interim responses where hyper has nothing half-written. Elsewhere they are dropped: what hyper
    /// is writing may be the final response already.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(interim) = self.exchange.take_interim()
            && self.flushed
        {
            self.interim.extend_from_slice(&interim);
        }
        while !self.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.interim))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// A client that does not read is not waited for longer than one that does not write.
    fn poll_written<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.writing.progress();
            return poll;
        }
        ready!(self.writing.poll_wait(cx, self.limits.stream_idle));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.exchange.waker.register(cx.waker());
        loop {
            if !this.passed.is_empty() {
                this.pass_on(buf);
                return Poll::Ready(Ok(()));
            }
            match this.mode {
                Mode::Http => return this.poll_http(cx, buf),
                Mode::Held => this.mode = ready!(this.poll_held(cx))?,
                Mode::Tunnel => return Pin::new(&mut this.socket).poll_read(cx, buf),
                // Not the end: hyper would take that for a client gone, and drop the answer.
                Mode::Refused => return Poll::Pending,
                Mode::Broken => return Poll::Ready(Err(ErrorKind::InvalidData.into())),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = match this.poll_interim(cx) {
            Poll::Ready(Ok(())) => {
                this.flushed = false;
                Pin::new(&mut this.socket).poll_write_vectored(cx, bytes)
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        this.poll_written(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // hyper flushes the socket only when its own buffer is empty.
        this.flushed = true;
        let poll = match this.poll_interim(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.socket).poll_flush(cx),
            other => other,
        };
        this.poll_written(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        let client_may_send =
            this.mode == Mode::Refused || this.mode == Mode::Broken || this.scanner.in_body();
        if this.saw_end || !client_may_send {
            return Poll::Ready(Ok(()));
        }
        let mut scratch = [0; 4096];
        while this.lingered < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut this.socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => break,
                Poll::Ready(Ok(())) => this.lingered += buf.filled().len(),
                // Gone already: there is nobody left to lose the answer.
                Poll::Ready(Err(_)) => break,
                Poll::Pending => return this.lingering.poll_wait(cx, LINGER).map(Ok),
            }
        }
        Poll::Ready(Ok(()))
    }
}

//! What a connection may send before it has verified a key: enough for a login with a ring of keys, too little
//! for floods of key exchanges, offers or noise, each of which costs the server more than its sender.

use super::admission::Ticket;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A connection's stream that fails once its budget is spent without a key.
pub(crate) struct Budgeted {
    stream: TcpStream,
    ticket: Arc<Ticket>,
    left: usize,
}

impl Budgeted {
    pub(crate) fn new(stream: TcpStream, ticket: Arc<Ticket>, bytes: usize) -> Self {
        Self {
            stream,
            ticket,
            left: bytes,
        }
    }
}

impl AsyncRead for Budgeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, out))?;
        if !self.ticket.is_authenticated() {
            let count = out.filled().len() - before;
            let spent = || io::Error::new(io::ErrorKind::QuotaExceeded, "too much was sent without a key");
            self.left = self.left.checked_sub(count).ok_or_else(spent)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Budgeted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

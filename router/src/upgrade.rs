//! After a 101: two sockets and the bytes between them, until either side ends it or both fall silent.
//!
//! The lease goes with it, so an upgraded connection counts as in flight. A route change touches none: one to a
//! retired instance goes on until the instance or the client ends it.

use crate::{access_log::Record, backend::Lease};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::sleep,
};

/// Websocket messages are small; a larger buffer only costs memory for each open connection.
const BUFFER: usize = 8 * 1024;

/// Runs one upgraded connection to its end.
pub(crate) async fn tunnel(
    client: OnUpgrade,
    backend: OnUpgrade,
    idle: Duration,
    lease: Lease,
    mut record: Box<Record>,
) {
    let (client, backend) = match tokio::try_join!(client, backend) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade came to nothing");
            return;
        }
    };
    let moved = Arc::new(Moved::default());
    let mut client = TokioIo::new(client);
    let mut backend = Metered {
        io: TokioIo::new(backend),
        moved: Arc::clone(&moved),
    };
    {
        let copy = copy_bidirectional_with_sizes(&mut client, &mut backend, BUFFER, BUFFER);
        tokio::pin!(copy);
        loop {
            let before = moved.total();
            tokio::select! {
                // An end by reset is an end.
                _ended = &mut copy => break,
                () = sleep(idle) => {
                    if moved.total() == before {
                        record.fail("H15", "the upgraded connection was idle");
                        break;
                    }
                }
            }
        }
    }
    record.add_bytes(usize::try_from(moved.from_backend.load(Relaxed)).unwrap_or(usize::MAX));
    record.complete();
    drop(lease);
}

#[derive(Default)]
struct Moved {
    from_backend: AtomicU64,
    to_backend: AtomicU64,
}

impl Moved {
    fn total(&self) -> u64 {
        self.from_backend.load(Relaxed) + self.to_backend.load(Relaxed)
    }
}

/// Counts what passes: the backend's side sees both directions.
struct Metered {
    io: TokioIo<Upgraded>,
    moved: Arc<Moved>,
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        this.moved
            .from_backend
            .fetch_add((buf.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        this.moved.to_backend.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

//! Bodies on their way through, in frames, never gathered.
//!
//! What ends with a body hangs on it: the response body holds the lease, the connection (which goes back to the
//! pool only when the body was read to its end) and the access record.

use crate::{
    access_log::Record,
    backend::Lease,
    guard::Busy,
    headers,
    pool::{Pool, Sender},
    stall::Stall,
};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// A backend that sends more informational responses than this before its answer is broken.
const MAX_INTERIM: u32 = 64;
/// A backend that stays silent to `Expect: 100-continue` gets the body after this (RFC 9110 section 10.1.1: a
/// client is not to wait for ever).
const EXPECT_WAIT: Duration = Duration::from_secs(1);

/// How sending one request stands; shared by its body, its connection and who awaits the response.
#[derive(Default)]
pub(crate) struct Progress {
    /// The client's bytes so far.
    pub(crate) received: AtomicU64,
    sent: AtomicBool,
    client_failed: AtomicBool,
    interim: AtomicU32,
    /// Wakes who awaits the response: the request is out, or the backend floods.
    pub(crate) changed: Notify,
    gate: Option<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    open: bool,
    waker: Option<Waker>,
}

impl Progress {
    pub(crate) fn new(has_body: bool, expects_continue: bool) -> Self {
        let gate = (has_body && expects_continue).then(Mutex::default);
        Self {
            sent: AtomicBool::new(!has_body),
            gate,
            ..Self::default()
        }
    }

    /// The whole request is out (or the connection took all it wanted).
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Acquire)
    }

    pub(crate) fn set_sent(&self) {
        if !self.sent.swap(true, Release) {
            self.changed.notify_one();
        }
    }

    /// The client went away or broke its framing in the middle of the body.
    pub(crate) fn client_failed(&self) -> bool {
        self.client_failed.load(Acquire)
    }

    /// Counts an informational response. Whether it is one too many.
    pub(crate) fn count_interim(&self) -> bool {
        let flood = self.interim.fetch_add(1, Relaxed) >= MAX_INTERIM;
        if flood {
            self.changed.notify_one();
        }
        flood
    }

    pub(crate) fn is_flooded(&self) -> bool {
        self.interim.load(Relaxed) > MAX_INTERIM
    }

    /// The backend said 100: the body may follow.
    pub(crate) fn open_gate(&self) {
        if let Some(gate) = &self.gate {
            let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            gate.open = true;
            if let Some(waker) = gate.waker.take() {
                waker.wake();
            }
        }
    }

    fn poll_gate(&self, cx: &mut Context<'_>, wait: &mut Stall) -> Poll<()> {
        let Some(gate) = &self.gate else {
            return Poll::Ready(());
        };
        let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.open || wait.poll_wait(cx, EXPECT_WAIT).is_ready() {
            gate.open = true;
            return Poll::Ready(());
        }
        gate.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A request's body towards the backend.
pub(crate) enum RequestBody {
    Empty,
    Streaming {
        body: Incoming,
        progress: Arc<Progress>,
        wait: Stall,
    },
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Self::Streaming { body, progress, wait } = self.get_mut() else {
            return Poll::Ready(None);
        };
        ready!(progress.poll_gate(cx, wait));
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                progress
                    .received
                    .fetch_add(frame.data_ref().map_or(0, |data| data.len() as u64), Relaxed);
                if body.is_end_stream() || frame.is_trailers() {
                    progress.set_sent();
                }
                Some(Ok(clean_trailers(frame, true)))
            }
            Some(Err(error)) => {
                progress.client_failed.store(true, Release);
                progress.changed.notify_one();
                Some(Err(error))
            }
            None => {
                progress.set_sent();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { body, .. } => body.size_hint(),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // Whoever took it wants no more: the wait for the response begins.
        if let Self::Streaming { progress, .. } = self {
            progress.set_sent();
        }
    }
}

fn clean_trailers(mut frame: Frame<Bytes>, from_client: bool) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut()
        && from_client
    {
        headers::rewrite_trailers(trailers);
    }
    frame
}

/// A response's body towards the client.
pub(crate) enum ResponseBody {
    Empty,
    /// Ours.
    Page {
        text: Option<Bytes>,
        _record: Box<Record>,
    },
    /// A backend's.
    Streaming(Box<Streaming>),
}

/// A backend's body with all that lasts as long as it.
pub(crate) struct Streaming {
    body: Incoming,
    ended: bool,
    stall: Stall,
    stream_idle: Duration,
    connection: Option<Sender>,
    pool: Arc<Pool>,
    lease: Lease,
    record: Box<Record>,
    _busy: Option<Busy>,
}

impl ResponseBody {
    pub(crate) fn page(text: Bytes, record: Box<Record>) -> Self {
        Self::Page {
            text: Some(text).filter(|text| !text.is_empty()),
            _record: record,
        }
    }

    pub(crate) fn streaming(
        body: Incoming,
        stream_idle: Duration,
        connection: Sender,
        pool: Arc<Pool>,
        lease: Lease,
        record: Box<Record>,
        busy: Option<Busy>,
    ) -> Self {
        Self::Streaming(Box::new(Streaming {
            body,
            ended: false,
            stall: Stall::default(),
            stream_idle,
            connection: Some(connection),
            pool,
            lease,
            record,
            _busy: busy,
        }))
    }
}

impl Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.stall.poll_wait(cx, self.stream_idle));
            self.record
                .fail("H15", "the instance fell silent inside its response");
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        };
        self.stall.progress();
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                self.record.add_bytes(frame.data_ref().map_or(0, Bytes::len));
                self.ended |= frame.is_trailers();
                Some(Ok(clean_trailers(frame, false)))
            }
            Some(Err(error)) => {
                self.record.fail("H18", "the instance broke its response off");
                Some(Err(io::Error::other(error)))
            }
            None => {
                self.ended = true;
                None
            }
        })
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if self.ended || self.body.is_end_stream() {
            self.record.complete();
            if let Some(connection) = self.connection.take() {
                self.pool.put(self.lease.instance(), connection);
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Page { text, .. } => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Page { text, .. } => text.is_none(),
            Self::Streaming(streaming) => streaming.ended || streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Page { text, .. } => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}

/// When a wait for a response's head must end: `limit` after the request was sent, which for a request with
/// a body is not known yet at the start.
pub(crate) struct ResponseDeadline {
    limit: Duration,
    since: Instant,
}

impl ResponseDeadline {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: Instant::now(),
        }
    }

    /// Starts the wait anew: the request was sent just now, or is still being sent.
    pub(crate) fn restart(&mut self) {
        self.since = Instant::now();
    }

    pub(crate) fn at(&self) -> Instant {
        self.since + self.limit
    }
}

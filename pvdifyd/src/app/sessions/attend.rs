//! Carries bytes between a process and its client, and decides when a session is over.
//!
//! What a client sends waits here, at most one window of it, until the process reads it; what the process writes
//! waits there until the client has room. Sizes, pings and the end pass both by. However it ends, the process is ended
//! too before this returns; a client who waits for its exit status has it before that.

use crate::{
    app::error::Error,
    engine::{EngineError, Frame, Session, SessionInput, SessionProcess},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use pvdify_api::session::{FromServer, WINDOW};
use pvdify_types::TerminalSize;
use std::{
    future::pending,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Between SIGTERM and SIGKILL, for what is ended.
const GRACE: Duration = Duration::from_secs(10);

/// The other end.
pub struct Peer {
    /// What it says; closed: it is gone.
    pub input: mpsc::UnboundedReceiver<FromPeer>,
    /// What it is told.
    pub output: mpsc::UnboundedSender<ToPeer>,
}

/// What a client says once a session began.
#[derive(Debug)]
pub enum FromPeer {
    /// Input.
    Bytes(Bytes),
    /// The end of the input.
    Eof,
    /// The size of its terminal.
    Resize(TerminalSize),
    /// So many bytes of output were taken.
    Window(usize),
}

/// What a client is told.
#[derive(Debug)]
pub enum ToPeer {
    /// Output.
    Frame(Frame),
    /// All else.
    Message(FromServer),
}

/// When a session is over, whatever its process and its client would like.
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) idle: Duration,
    pub(super) stop: CancellationToken,
    pub(super) closing: CancellationToken,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    cause: Cause,
    /// Of the process; `None`: nobody can say.
    status: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Exited,
    PeerGone,
    Idle(Duration),
    TimeUp(Duration),
    Stopped,
    Closing,
    Failed(EngineError),
}

impl End {
    fn of(status: Result<i64, EngineError>) -> Self {
        match status {
            Ok(status) => Self {
                cause: Cause::Exited,
                status: Some(status),
            },
            Err(error) => Self {
                cause: Cause::Failed(error),
                status: None,
            },
        }
    }

    /// What the log says of it, in Heroku's words.
    pub(super) fn story(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(why) = self.cause.why() {
            lines.push(format!("Stopping all processes with SIGTERM: {why}"));
        }
        if let Some(status) = self.status {
            lines.push(format!("Process exited with status {status}"));
        }
        lines.push("State changed from up to complete".to_owned());
        lines
    }

    /// What the client is told last.
    pub(super) fn last_word(&self, name: &str) -> FromServer {
        match (self.status, self.cause.why()) {
            (Some(status), None) => FromServer::Exit { status },
            (_, why) => FromServer::Error {
                error: format!(
                    "{name} was ended: {}",
                    why.unwrap_or_else(|| "it is gone".to_owned())
                ),
                code: "session_ended".to_owned(),
                hint: String::new(),
            },
        }
    }
}

impl Cause {
    /// `None`: by itself.
    fn why(&self) -> Option<String> {
        Some(match self {
            Self::Exited => return None,
            Self::PeerGone => "its client went away".to_owned(),
            Self::Idle(limit) => format!("nothing was read or written for {}", minutes(*limit)),
            Self::TimeUp(limit) => format!("its time of {} is over", minutes(*limit)),
            Self::Stopped => "it was stopped".to_owned(),
            Self::Closing => "the server stops".to_owned(),
            Self::Failed(error) => format!("the container engine failed: {error}"),
        })
    }
}

fn minutes(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} seconds"),
        seconds if seconds < 7200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3600),
    }
}

/// Tells a client that its session did not begin.
pub(super) fn refuse(peer: &mpsc::UnboundedSender<ToPeer>, error: &Error) {
    let refusal = FromServer::Error {
        error: error.to_string(),
        code: error.code().to_owned(),
        hint: error.hint(),
    };
    tell(peer, ToPeer::Message(refusal));
}

/// Stays with a session to its end.
pub(super) async fn attend(session: Session, peer: Peer, name: &str, bounds: &Bounds) -> End {
    let Session {
        input,
        output,
        process,
    } = session;
    let Peer {
        input: from_peer,
        output: to_peer,
    } = peer;
    let started = FromServer::Started {
        name: name.to_owned(),
    };
    tell(&to_peer, ToPeer::Message(started));
    let shared = Shared::default();
    let (bytes, waiting) = mpsc::unbounded_channel();
    let (sizes, size) = watch::channel(None);
    let cause = tokio::select! {
        cause = show(output, &to_peer, &shared) => cause,
        cause = listen(from_peer, &bytes, &sizes, &shared) => cause,
        cause = feed(input, waiting, &to_peer, &shared) => cause,
        cause = resize(&*process, size) => cause,
        cause = bounds.over(&shared) => cause,
    };
    let mut end = match cause {
        // What was written is all there; its status comes at once, or it closed its output and goes on.
        Cause::Exited => tokio::select! {
            status = process.wait() => End::of(status),
            cause = bounds.over(&shared) => End { cause, status: None },
        },
        cause => End { cause, status: None },
    };
    tell(&to_peer, ToPeer::Message(end.last_word(name)));
    let ending = process.end(GRACE);
    let ended = if end.status.is_some() {
        ending.await
    } else {
        let (status, ended) = tokio::join!(tokio::time::timeout(GRACE * 2, process.wait()), ending);
        end.status = status.ok().and_then(Result::ok);
        ended
    };
    if let Err(error) = ended {
        tracing::warn!(name, %error, "what a session left was not removed; it is swept up later");
    }
    end
}

/// A client who is gone hears nothing; that it is gone is seen elsewhere.
fn tell(peer: &mpsc::UnboundedSender<ToPeer>, what: ToPeer) {
    peer.send(what).ok();
}

/// What the parts of one session know of each other.
struct Shared {
    /// Room that the client has.
    room: Arc<Semaphore>,
    /// Input that the process did not read yet.
    unread: AtomicUsize,
    /// When bytes last went either way.
    last: Mutex<Instant>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(WINDOW)),
            unread: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }
}

impl Shared {
    fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    async fn over(&self, shared: &Shared) -> Cause {
        let idle = async {
            loop {
                let until = shared.last() + self.idle;
                tokio::time::sleep_until(until).await;
                if shared.last() + self.idle <= Instant::now() {
                    return;
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(self.time) => Cause::TimeUp(self.time),
            () = idle => Cause::Idle(self.idle),
            () = self.stop.cancelled() => Cause::Stopped,
            () = self.closing.cancelled() => Cause::Closing,
        }
    }
}

/// What the process writes, as far as the client has room.
async fn show(
    mut output: BoxStream<'static, Result<Frame, EngineError>>,
    peer: &mpsc::UnboundedSender<ToPeer>,
    shared: &Shared,
) -> Cause {
    while let Some(frame) = output.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Cause::Failed(error),
        };
        shared.note();
        // A frame is far smaller than a window, which is u32.
        let size = u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX);
        match shared.room.acquire_many(size).await {
            Ok(room) => room.forget(),
            Err(_) => return Cause::PeerGone,
        }
        tell(peer, ToPeer::Frame(frame));
    }
    Cause::Exited
}

/// What the client says, until it is gone. One that sends more than it may is no client of ours.
async fn listen(
    mut peer: mpsc::UnboundedReceiver<FromPeer>,
    bytes: &mpsc::UnboundedSender<Option<Bytes>>,
    sizes: &watch::Sender<Option<TerminalSize>>,
    shared: &Shared,
) -> Cause {
    while let Some(said) = peer.recv().await {
        match said {
            FromPeer::Bytes(input) => {
                shared.note();
                let unread = shared.unread.fetch_add(input.len(), Ordering::Relaxed) + input.len();
                if unread > WINDOW {
                    return Cause::PeerGone;
                }
                // The process may have closed its input: then nobody takes it.
                bytes.send(Some(input)).ok();
            }
            FromPeer::Eof => {
                bytes.send(None).ok();
            }
            FromPeer::Resize(size) => {
                sizes.send_replace(Some(size));
            }
            FromPeer::Window(taken) => {
                let room = shared.room.available_permits();
                shared.room.add_permits(taken.min(WINDOW.saturating_sub(room)));
            }
        }
    }
    Cause::PeerGone
}

/// Gives the process its input. That it does not want it is no end: it may go on writing.
async fn feed(
    input: Box<dyn SessionInput>,
    mut waiting: mpsc::UnboundedReceiver<Option<Bytes>>,
    peer: &mpsc::UnboundedSender<ToPeer>,
    shared: &Shared,
) -> Cause {
    let mut input = Some(input);
    while let Some(bytes) = waiting.recv().await {
        let Some(bytes) = bytes else {
            if let Some(input) = input.take() {
                input.close().await;
            }
            continue;
        };
        if let Some(open) = &mut input
            && open.write(&bytes).await.is_err()
        {
            input = None;
        }
        shared.unread.fetch_sub(bytes.len(), Ordering::Relaxed);
        let taken = FromServer::Window { bytes: bytes.len() };
        tell(peer, ToPeer::Message(taken));
    }
    pending().await
}

/// The last size counts; a process that ended has none.
async fn resize(process: &dyn SessionProcess, mut size: watch::Receiver<Option<TerminalSize>>) -> Cause {
    while size.changed().await.is_ok() {
        let wanted = *size.borrow_and_update();
        if let Some(wanted) = wanted
            && let Err(error) = process.resize(wanted).await
        {
            tracing::debug!(%error, "a terminal was not resized");
        }
    }
    pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_session_ended_is_told_to_its_client_and_in_the_log() {
        let end = |cause, status| End { cause, status };
        let hour = Duration::from_secs(3600);
        let mut told = String::new();
        for end in [
            end(Cause::Exited, Some(3)),
            end(Cause::PeerGone, Some(143)),
            end(Cause::Idle(hour), Some(137)),
            end(Cause::TimeUp(hour * 24), None),
            end(Cause::Stopped, Some(143)),
            end(Cause::Closing, Some(0)),
            end(Cause::Failed(EngineError::Unavailable("gone".into())), None),
        ] {
            let word = serde_json::to_string(&end.last_word("run.1234")).unwrap();
            told.push_str(&format!("{word}\n  {}\n", end.story().join("\n  ")));
        }
        insta::assert_snapshot!(told, @r#"
        {"type":"exit","status":3}
          Process exited with status 3
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: its client went away","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: its client went away
          Process exited with status 143
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: nothing was read or written for 60 minutes","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: nothing was read or written for 60 minutes
          Process exited with status 137
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: its time of 24 hours is over","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: its time of 24 hours is over
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: it was stopped","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: it was stopped
          Process exited with status 143
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: the server stops","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: the server stops
          Process exited with status 0
          State changed from up to complete
        {"type":"error","error":"run.1234 was ended: the container engine failed: gone","code":"session_ended","hint":""}
          Stopping all processes with SIGTERM: the container engine failed: gone
          State changed from up to complete
        "#);
    }
}

//! `/apps/{name}/ps/run` and `/apps/{name}/ps/{instance}/exec`: sessions over a WebSocket.
//!
//! Here messages are read and written, and it is found out whether the client is there; what a session is, and when it
//! is over, `app/sessions` knows. Who may not, what is not there and what is one too many is refused before the
//! connection becomes a WebSocket, as by any other endpoint; the same middleware comes before it.

use super::{
    Web,
    error::{Answer, Refusal},
    extract::{AppPath, Caller},
};
use crate::{
    app::sessions::{FromPeer, Peer, Ticket, ToPeer},
    engine::OutputStream,
};
use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{
    SinkExt, StreamExt,
    future::pending,
    stream::{SplitSink, SplitStream},
};
use pvdify_api::session::{FromClient, FromServer, MAX_MESSAGE, PROTOCOL, STDERR, STDOUT, Start};
use std::{pin::pin, time::Duration};
use tokio::sync::mpsc;

/// Between two pings.
const PING: Duration = Duration::from_secs(15);
/// A client of whom nothing is heard, not even an answer to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a client may take to say what to start.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How long the last words may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(5);

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub(super) async fn run(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
    upgrade: Upgrade,
) -> Answer<Response> {
    let ticket = caller.run(&path.name).await?;
    open(&web, upgrade, ticket)
}

pub(super) async fn exec(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
    upgrade: Upgrade,
) -> Answer<Response> {
    let ticket = caller.exec(&path.name, &path.second).await?;
    open(&web, upgrade, ticket)
}

fn open(web: &Web, upgrade: Upgrade, ticket: Ticket) -> Answer<Response> {
    let refused = || {
        Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            format!("this is a WebSocket of the subprotocol {PROTOCOL}"),
        )
        .hint("use pvdify run or pvdify exec")
    };
    let upgrade = upgrade.map_err(|_| refused())?.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(refused());
    }
    let app = web.app.clone();
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    Ok(upgrade.on_upgrade(move |socket| async move { app.track(serve(socket, ticket)).await }))
}

async fn serve(socket: WebSocket, ticket: Ticket) {
    let (sink, mut stream) = socket.split();
    let (output, outgoing) = mpsc::unbounded_channel();
    let (incoming, input) = mpsc::unbounded_channel();
    let session = async move {
        let Ok(Some(start)) = tokio::time::timeout(FIRST_WORD, first_word(&mut stream)).await else {
            let error = FromServer::Error {
                error: "the first message is no start".to_owned(),
                code: "invalid_params".to_owned(),
                hint: String::new(),
            };
            // One that is gone hears nothing.
            output.send(ToPeer::Message(error)).ok();
            return;
        };
        let listening = async {
            listen(stream, incoming).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = ticket.attend(start, Peer { input, output }) => {}
            () = listening => {}
        }
    };
    let (mut session, mut sending) = (pin!(session), pin!(send(sink, outgoing)));
    tokio::select! {
        () = &mut session => {
            tokio::time::timeout(LAST_WORDS, sending).await.ok();
        }
        // It broke: the other half shows it too.
        () = &mut sending => session.await,
    }
}

async fn first_word(stream: &mut SplitStream<WebSocket>) -> Option<Start> {
    match read(stream).await? {
        Said::Start(start) => Some(start),
        Said::Later(_) => None,
    }
}

/// A message of a client.
enum Said {
    Start(Start),
    Later(FromPeer),
}

/// The next message; `None` when the client is gone, or is no client of ours.
async fn read(stream: &mut SplitStream<WebSocket>) -> Option<Said> {
    Some(match stream.next().await?.ok()? {
        Message::Binary(bytes) => Said::Later(FromPeer::Bytes(bytes)),
        Message::Text(text) => match serde_json::from_str(&text).ok()? {
            FromClient::Start(start) => Said::Start(start),
            FromClient::Resize(size) => Said::Later(FromPeer::Resize(size)),
            FromClient::Eof => Said::Later(FromPeer::Eof),
            FromClient::Window { bytes } => Said::Later(FromPeer::Window(bytes)),
        },
        // A sign of life, and no more.
        Message::Ping(_) | Message::Pong(_) => Said::Later(FromPeer::Window(0)),
        Message::Close(_) => return None,
    })
}

/// Gives on what the client says, until it is gone.
async fn listen(mut stream: SplitStream<WebSocket>, incoming: mpsc::UnboundedSender<FromPeer>) {
    while let Ok(Some(Said::Later(said))) = tokio::time::timeout(SILENCE, read(&mut stream)).await {
        if incoming.send(said).is_err() {
            return;
        }
    }
}

/// Sends what the client is told, and pings, until there is no more to say.
async fn send(mut sink: SplitSink<WebSocket, Message>, mut outgoing: mpsc::UnboundedReceiver<ToPeer>) {
    let mut pings = tokio::time::interval(PING);
    loop {
        let message = tokio::select! {
            told = outgoing.recv() => match told {
                Some(told) => message(told),
                None => break,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    sink.close().await.ok();
}

fn message(told: ToPeer) -> Message {
    match told {
        ToPeer::Frame(frame) => {
            let mut bytes = BytesMut::with_capacity(1 + frame.bytes.len());
            bytes.put_u8(match frame.stream {
                OutputStream::Stdout => STDOUT,
                OutputStream::Stderr => STDERR,
            });
            bytes.extend_from_slice(&frame.bytes);
            Message::Binary(bytes.freeze())
        }
        ToPeer::Message(message) => {
            let text = serde_json::to_string(&message).expect("wire types always serialise");
            Message::Text(text.into())
        }
    }
}

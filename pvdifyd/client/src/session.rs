//! A session with a process: a WebSocket over the connection of an ordinary request.
//!
//! The request goes by the one HTTP client as any other, with its token, its TLS and its proxies; once the server
//! agreed, its connection carries messages. Both halves may be used at the same time; a half that is dropped ends the
//! session once the other is too.

use crate::{
    Client,
    error::{Error, Result},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use pvdify_api::{
    paths,
    session::{FromClient, FromServer, MAX_MESSAGE, PROTOCOL, STDERR, STDOUT},
};
use pvdify_types::{AppName, ProcessType};
use reqwest::{Method, StatusCode, Upgraded, header};
use std::time::Duration;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

/// The server pings far more often: one of whom nothing is heard for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

type Socket = WebSocketStream<Upgraded>;

/// What a client says.
pub struct SessionSender(SplitSink<Socket, Message>);

/// What the server says.
pub struct SessionReceiver(SplitStream<Socket>);

/// One message of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEvent {
    /// The process wrote this to standard output.
    Stdout(Bytes),
    /// The process wrote this to standard error.
    Stderr(Bytes),
    /// All else.
    Message(FromServer),
}

impl Client {
    /// Opens a session with a one-off process, which the first message starts.
    ///
    /// # Errors
    /// [`Error::Refused`] as any call, [`Error::Transport`] when the server does not speak the protocol.
    pub async fn run(&self, app: &AppName) -> Result<(SessionSender, SessionReceiver)> {
        self.session(&paths::ps_run(app)).await
    }

    /// Opens a session with a command inside an instance, as `web.1`; in the same way.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn exec(
        &self,
        app: &AppName,
        process: &ProcessType,
        ordinal: u32,
    ) -> Result<(SessionSender, SessionReceiver)> {
        self.session(&paths::ps_exec(app, process, ordinal)).await
    }

    async fn session(&self, path: &str) -> Result<(SessionSender, SessionReceiver)> {
        let key = generate_key();
        let request = self
            .request(Method::GET, path)?
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let response = request.send().await.map_err(Error::transport)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::from_response(response).await);
        }
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let agreed = header(header::SEC_WEBSOCKET_ACCEPT) == Some(&derive_accept_key(key.as_bytes()))
            && header(header::SEC_WEBSOCKET_PROTOCOL) == Some(PROTOCOL);
        if !agreed {
            return Err(Error::Transport(format!("the server does not speak {PROTOCOL}")));
        }
        let upgraded = response.upgrade().await.map_err(Error::transport)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        let (sink, stream) = socket.split();
        Ok((SessionSender(sink), SessionReceiver(stream)))
    }
}

impl SessionSender {
    /// Says something.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection broke.
    pub async fn say(&mut self, message: &FromClient) -> Result<()> {
        let text = serde_json::to_string(message).expect("wire types always serialise");
        self.0.send(Message::Text(text.into())).await.map_err(broken)
    }

    /// Gives input; no more than the window allows.
    ///
    /// # Errors
    /// As [`SessionSender::say`].
    pub async fn input(&mut self, bytes: Bytes) -> Result<()> {
        self.0.send(Message::Binary(bytes)).await.map_err(broken)
    }
}

impl SessionReceiver {
    /// The next message; `None` when the server went away without a last word.
    ///
    /// # Errors
    /// [`Error::Transport`] when the connection broke, or what comes is not understood.
    pub async fn next(&mut self) -> Result<Option<SessionEvent>> {
        loop {
            let Ok(message) = tokio::time::timeout(SILENCE, self.0.next()).await else {
                return Err(Error::Transport("the server fell silent".to_owned()));
            };
            let event = match message.transpose().map_err(broken)? {
                None | Some(Message::Close(_)) => return Ok(None),
                Some(Message::Binary(mut bytes)) => match bytes.first().copied() {
                    Some(STDOUT) => SessionEvent::Stdout(bytes.split_off(1)),
                    Some(STDERR) => SessionEvent::Stderr(bytes.split_off(1)),
                    _ => return Err(Error::Transport("output of no known kind".to_owned())),
                },
                Some(Message::Text(text)) => SessionEvent::Message(
                    serde_json::from_str(&text)
                        .map_err(|error| Error::Transport(format!("unreadable message: {error}")))?,
                ),
                // Answered by the socket itself.
                Some(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            };
            return Ok(Some(event));
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "made to stand in map_err")]
fn broken(error: tungstenite::Error) -> Error {
    Error::Transport(error.to_string())
}

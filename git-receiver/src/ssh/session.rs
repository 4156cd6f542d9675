//! One SSH connection: a verified key, then `exec git-receive-pack`, and nothing else.
//!
//! Every request that is not that is answered, so that no client waits: shells with a friendly line, the
//! rest (terminals, environment, subsystems, forwarding, agents, X11) with the protocol's refusal.

use super::{
    admission::Ticket,
    auth::{self, Identity},
    server::Shared,
};
use crate::{command, push};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, Pty,
    server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey},
};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The user of all pushes, as with every git host: the key says who it is.
const USER: &str = "git";
/// One client's channels at once: several pushes may share a connection (OpenSSH's ControlMaster).
const MAX_CHANNELS: usize = 10;
/// RFC 4254 section 5.2: SSH_EXTENDED_DATA_STDERR.
const STDERR: u32 = 1;

/// The state of one connection.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    ticket: Arc<Ticket>,
    identity: Option<Identity>,
    user: String,
    channels: HashMap<ChannelId, Slot>,
    /// Cancelled with the connection: pushes that receive or wait end, those that build go on.
    gone: CancellationToken,
    _ends: DropGuard,
}

/// A channel that was opened. Its one command takes the channel out.
struct Slot {
    channel: Option<Channel<Msg>>,
    gone: CancellationToken,
}

impl Connection {
    pub(crate) fn new(shared: Arc<Shared>, peer: SocketAddr, ticket: Arc<Ticket>) -> Self {
        let gone = CancellationToken::new();
        Self {
            shared,
            peer,
            ticket,
            identity: None,
            user: String::new(),
            channels: HashMap::new(),
            _ends: gone.clone().drop_guard(),
            gone,
        }
    }

    /// What a client must hear instead of being served.
    fn obstacle(&self) -> Option<String> {
        match &self.identity {
            Some(Identity::Known(_)) if self.user == USER => None,
            Some(Identity::Known(_)) => Some(format!(
                "The SSH user is {USER:?}, not {:?}: use ssh://{USER}@HOST:PORT/NAME.git",
                self.user
            )),
            Some(Identity::Unasked) | None => Some(
                "Pvdify's control plane can't be reached: nothing was changed, try again in a moment."
                    .to_owned(),
            ),
        }
    }
}

/// Ends a channel with one line and exit status 1.
fn dismiss(session: &mut Session, channel: ChannelId, line: &str) -> Result<(), russh::Error> {
    session.channel_success(channel)?;
    session.extended_data(channel, STDERR, format!(" !     {line}\n").into_bytes())?;
    session.exit_status_request(channel, 1)?;
    session.eof(channel)?;
    session.close(channel)
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if auth::is_acceptable(offer.algorithm) {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if !auth::is_acceptable(key.algorithm) {
            return Ok(Auth::reject());
        }
        self.identity = auth::identify(&self.shared.control, key.public_key, self.peer).await;
        user.clone_into(&mut self.user);
        Ok(if self.identity.is_some() {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_succeeded(&mut self, _session: &mut Session) -> Result<(), Self::Error> {
        self.ticket.authenticated();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.len() >= MAX_CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        } else {
            let gone = self.gone.child_token();
            self.channels.insert(
                channel.id(),
                Slot {
                    channel: Some(channel),
                    gone,
                },
            );
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(slot) = self.channels.remove(&channel) {
            slot.gone.cancel();
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some((channel, gone)) = self
            .channels
            .get_mut(&id)
            .and_then(|slot| Some((slot.channel.take()?, slot.gone.clone())))
        else {
            return session.channel_failure(id);
        };
        if let Some(line) = self.obstacle() {
            return dismiss(session, id, &line);
        }
        let Some(Identity::Known(pusher)) = self.identity.clone() else {
            return session.channel_failure(id);
        };
        let app = match command::parse(data) {
            Ok(app) => app,
            Err(refusal) => {
                tracing::info!(peer = %self.peer, key = %pusher.name, %refusal, "a command was refused");
                return dismiss(session, id, &refusal.to_string());
            }
        };
        session.channel_success(id)?;
        let handle = session.handle();
        let shared = Arc::clone(&self.shared);
        let guard = self.ticket.push();
        self.shared.pushes.spawn(async move {
            let push = push::Push {
                shared: &shared,
                pusher: &pusher,
                app: &app,
                gone,
            };
            let status = push.run(channel).await;
            // Fails when the client is gone, and then has no one to tell.
            handle.exit_status_request(id, status).await.ok();
            handle.eof(id).await.ok();
            handle.close(id).await.ok();
            drop(guard);
        });
        Ok(())
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let line = self
            .obstacle()
            .unwrap_or_else(|| "Pvdify takes git pushes only.".to_owned());
        dismiss(session, channel, &line)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}

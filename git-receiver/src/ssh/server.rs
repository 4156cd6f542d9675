//! Listens, admits, and ends connections; keeps the repositories' house.

use super::{
    admission::{Admission, Ticket},
    budget::Budgeted,
    host_key,
    session::Connection,
};
use crate::{config::Config, config::Limits, consolidate::consolidate, error::Error, repo::Repositories};
use pvdify_client::Client;
use russh::{
    MethodKind, MethodSet, Preferred, SshId,
    keys::{Algorithm, PrivateKey},
    server::run_stream,
};
use std::{
    borrow::Cow,
    future::Future,
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(3_600);
/// Until the control plane answered once: at a common start it may be a moment behind.
const HOUSEKEEPING_RETRY: Duration = Duration::from_secs(5);
/// A dead client is noticed after three of these.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// At a stop, for clients to read the last bytes.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) control: Client,
    pub(crate) repositories: Repositories,
    pub(crate) limits: Limits,
    pub(crate) pushes: TaskTracker,
}

/// The SSH server, listening.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    fingerprint: String,
    ssh: Arc<russh::server::Config>,
    shared: Arc<Shared>,
}

impl Server {
    /// Takes the address and the folder, makes the host key if there is none, removes what an earlier
    /// server left half-way. The control plane is not asked yet: it may start later.
    ///
    /// # Errors
    /// When the address or the folder is in use, or the host key can't be read or written.
    pub async fn bind(config: Config, control: Client) -> Result<Self, Error> {
        let listen = |cause| Error::Listen {
            address: config.listen,
            cause,
        };
        let key = host_key::load_or_create(&config.host_key)?;
        let repositories = Repositories::open(&config.repos)?;
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self {
            listener,
            address,
            fingerprint: host_key::fingerprint(&key),
            ssh: Arc::new(ssh_config(key, &config.limits)),
            shared: Arc::new(Shared {
                control,
                repositories,
                limits: config.limits,
                pushes: TaskTracker::new(),
            }),
        })
    }

    /// The address taken, with the port that port 0 became.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// `SHA256:...`, for people to compare at their first connection.
    #[must_use]
    pub fn host_key_fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Serves until `shutdown`, then lets pushes under way finish for a while.
    ///
    /// # Errors
    /// None at present: a connection that can't be accepted is logged and the next one is waited for.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let _stops_all = stop.clone().drop_guard();
        let house = tokio::spawn(keep_house(Arc::clone(&self.shared), stop.clone()));
        let limits = &self.shared.limits;
        let admission = Arc::new(Admission::new(
            limits.connections,
            limits.unauthenticated_per_address,
        ));
        let connections = TaskTracker::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match admission.admit(peer.ip()) {
                    Some(ticket) => {
                        connections.spawn(serve(
                            Arc::clone(&self.ssh),
                            Arc::clone(&self.shared),
                            stream,
                            peer,
                            ticket,
                            stop.clone(),
                        ));
                    }
                    None => tracing::warn!(%peer, "an SSH connection was refused: all places are taken"),
                },
                Err(error) => {
                    // Out of file handles, mostly: wait for some to come back rather than spin.
                    tracing::error!(%error, "an SSH connection can't be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        drop(self.listener);
        self.shared.pushes.close();
        if tokio::time::timeout(limits.shutdown_grace, self.shared.pushes.wait())
            .await
            .is_err()
        {
            tracing::warn!("pushes under way are left: their clients see the connection end");
        }
        // Clients close by themselves when they have read how their push ended.
        connections.close();
        if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
            stop.cancel();
            connections.wait().await;
        }
        // The folder's lock goes with the last holder: the next server may start at once.
        stop.cancel();
        if let Err(error) = house.await {
            tracing::error!(%error, "the housekeeping ended early");
        }
        Ok(())
    }
}

/// One connection, from its first byte to its last: also one that sends nothing, or never stops.
async fn serve(
    ssh: Arc<russh::server::Config>,
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    ticket: Ticket,
    stop: CancellationToken,
) {
    let grace = shared.limits.login_grace;
    let ticket = Arc::new(ticket);
    let (stream, socket) = match split_off_socket(stream) {
        Ok(both) => both,
        Err(error) => {
            tracing::warn!(%peer, %error, "an SSH connection can't be set up");
            return;
        }
    };
    let stream = Budgeted::new(stream, Arc::clone(&ticket), shared.limits.unauthenticated_bytes);
    let handler = Connection::new(shared, peer, Arc::clone(&ticket));
    let served = async {
        let session = run_stream(ssh, stream, handler).await?;
        session.await
    };
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        reason = ticket.overstayed(grace) => {
            tracing::info!(%peer, reason, "an SSH connection is ended");
            None
        }
        () = ticket.end.cancelled() => None,
        () = stop.cancelled() => None,
    };
    if let Some(ended) = ended {
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "an SSH connection ended");
        }
    } else {
        // russh waits for its client; a socket that is shut down ends it whatever it waits for.
        if let Err(error) = socket.shutdown(Shutdown::Both) {
            tracing::debug!(%peer, %error, "an SSH connection was gone already");
        }
        if let Err(error) = served.await {
            tracing::debug!(%peer, %error, "an SSH connection was ended");
        }
    }
}

/// The stream, and a second handle on its socket that can end it.
fn split_off_socket(stream: TcpStream) -> std::io::Result<(TcpStream, std::net::TcpStream)> {
    stream.set_nodelay(true)?;
    let socket = stream.into_std()?;
    let other = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, other))
}

/// Removes the repositories of apps that live no more, and looks after the others': at the start, then hourly.
/// At a stop a round of the second is waited for: it gives up soon, and holds the folder until then.
async fn keep_house(shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let Some(removed) = stop.run_until_cancelled(remove_dead(&shared)).await else {
            return;
        };
        let wait = match removed {
            Ok(()) => {
                consolidate_all(&shared, &stop).await;
                HOUSEKEEPING_EVERY
            }
            Err(error) => {
                tracing::debug!(%error, "dead apps' repositories stay for now");
                HOUSEKEEPING_RETRY
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

async fn remove_dead(shared: &Arc<Shared>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let candidates = shared.repositories.apps()?;
    let living = shared.control.living_apps().await?.ids;
    let shared = Arc::clone(shared);
    let removed =
        tokio::task::spawn_blocking(move || shared.repositories.remove_dead(candidates, &living)).await??;
    for app in removed {
        tracing::info!(%app, "the repository of a deleted app was removed");
    }
    Ok(())
}

/// After the removal of the dead, which it must not run beside: it takes what is there for living.
async fn consolidate_all(shared: &Arc<Shared>, stop: &CancellationToken) {
    let (shared, stop) = (Arc::clone(shared), stop.clone());
    let done = tokio::task::spawn_blocking(move || {
        for app in shared.repositories.apps()? {
            if stop.is_cancelled() {
                break;
            }
            match consolidate(&shared.repositories, &app, shared.limits.packs, &stop) {
                Ok(0) => {}
                Ok(packs) => tracing::info!(%app, packs, "the packs of pushes were made one"),
                Err(_) if stop.is_cancelled() => {}
                Err(error) => tracing::warn!(%app, %error, "the packs of pushes stay as they are"),
            }
        }
        Ok::<_, std::io::Error>(())
    });
    match done.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the repositories can't be listed"),
        Err(error) => tracing::error!(%error, "the consolidation of packs broke"),
    }
}

fn ssh_config(key: PrivateKey, limits: &Limits) -> russh::server::Config {
    let sha1_rsa = Algorithm::Rsa { hash: None };
    let preferred = Preferred::default();
    let algorithms: Vec<_> = preferred
        .key
        .iter()
        .filter(|a| **a != sha1_rsa)
        .cloned()
        .collect();
    russh::server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Pvdify")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // A key is refused in the time it takes; there is no secret to guess that a delay would protect.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: limits.auth_attempts,
        keys: vec![key],
        preferred: Preferred {
            key: Cow::Owned(algorithms),
            ..preferred
        },
        // Builds are silent for minutes: a dead peer is told by unanswered keep-alives alone.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEP_ALIVE),
        keepalive_max: 2,
        nodelay: true,
        // Room for a fast line over a long distance: 100 Mbit/s at 300 ms.
        window_size: 4 << 20,
        ..Default::default()
    }
}

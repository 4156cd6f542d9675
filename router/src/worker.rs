//! One thread of the router: a runtime, a listening socket, a pool, and the connections it accepted.
//!
//! A connection stays on its thread, with all that its requests need; threads share the routes alone.

use crate::{
    admission::Admission,
    config::Limits,
    guard::{Exchange, Guard},
    headers::Origin,
    pool::Pool,
    proxy::Connection,
    routes::Routes,
    trust::Network,
    upstream::Upstream,
};
use futures_util::FutureExt;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, sync::OwnedSemaphorePermit};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// After an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often idle connections to instances are looked over.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) routes: Arc<Routes>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) trusted: Vec<Network>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) threads: usize,
    /// Take no more; finish what is open.
    pub(crate) stop: CancellationToken,
    /// Time is up.
    pub(crate) abort: CancellationToken,
}

/// Runs a thread until the stop; gives back when its last connection is done, or the time for that is up.
pub(crate) fn run(listener: TcpListener, shared: &Arc<Shared>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(Worker::new(shared).run(listener))
}

struct Worker {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
    http: http1::Builder,
    tasks: TaskTracker,
}

impl Worker {
    fn new(shared: &Arc<Shared>) -> Self {
        let limits = &shared.limits;
        let share = limits.pool_idle_per_instance.div_ceil(shared.threads);
        let upstream = Upstream {
            routes: Arc::clone(&shared.routes),
            pool: Arc::new(Pool::new(share, limits.pool_idle)),
            limits: Arc::clone(limits),
        };
        let mut http = http1::Builder::new();
        // The guard has the clock, and counts with the same limit.
        http.header_read_timeout(None);
        if limits.header_count > 100 {
            // Up to its default of 100, hyper keeps them on the stack.
            http.max_headers(limits.header_count);
        }
        Self {
            shared: Arc::clone(shared),
            upstream: Arc::new(upstream),
            http,
            tasks: TaskTracker::new(),
        }
    }

    async fn run(self, listener: TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let reaper = tokio::spawn(reap(Arc::clone(&self.upstream.pool), self.shared.routes.swaps()));
        loop {
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => break,
                (room, accepted) = self.accept(&listener) => match accepted {
                    Ok((stream, peer)) => self.spawn(stream, peer, room),
                    Err(error) if is_of_the_peer(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, "can't accept connections; raise the limit of open files (ulimit -n) if this stays");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        self.accept_the_waiting(&listener).await;
        drop(listener);
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.shared.abort.cancelled() => {}
        }
        reaper.abort();
        Ok(())
    }

    /// Above the limit nothing is accepted: the kernel's queue holds back whom there is no room for.
    async fn accept(
        &self,
        listener: &tokio::net::TcpListener,
    ) -> (OwnedSemaphorePermit, io::Result<(TcpStream, SocketAddr)>) {
        let room = self.shared.admission.room().await;
        (room, listener.accept().await)
    }

    /// A socket that closes resets the connections in its queue; those clients have sent their requests already.
    async fn accept_the_waiting(&self, listener: &tokio::net::TcpListener) {
        // The runtime learns of new connections only between two turns.
        tokio::task::yield_now().await;
        while let Some((room, Ok((stream, peer)))) = self.accept(listener).now_or_never() {
            self.spawn(stream, peer, room);
        }
    }

    fn spawn(&self, stream: TcpStream, peer: SocketAddr, room: OwnedSemaphorePermit) {
        let peer = peer.ip().to_canonical();
        let trusted = self.shared.trusted.iter().any(|network| network.contains(peer));
        let Some(place) = self.shared.admission.admit(room, peer, trusted) else {
            return;
        };
        let Ok(local) = stream.local_addr() else { return };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            return;
        }
        let exchange = Arc::new(Exchange::default());
        let connection = Arc::new(Connection {
            upstream: Arc::clone(&self.upstream),
            exchange: Arc::clone(&exchange),
            origin: Origin {
                peer,
                trusted,
                https: false,
                port: local.port(),
            },
            tunnels: self.tasks.clone(),
            place: Arc::new(place),
        });
        let guarded = Guard::new(stream, exchange, Arc::clone(&self.shared.limits));
        let service = service_fn(move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, Infallible>(connection.serve(request).await) }
        });
        let serving = self
            .http
            .serve_connection(TokioIo::new(guarded), service)
            .with_upgrades();
        let stop = self.shared.stop.clone();
        self.tasks.spawn(async move {
            tokio::pin!(serving);
            let ended = tokio::select! {
                ended = &mut serving => ended,
                () = stop.cancelled() => {
                    serving.as_mut().graceful_shutdown();
                    serving.await
                }
            };
            if let Err(error) = ended {
                tracing::trace!(%error, "a client's connection ended early");
            }
        });
    }
}

/// The connection failed while it waited; the listening socket is well.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn reap(pool: Arc<Pool>, mut swaps: tokio::sync::watch::Receiver<()>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(REAP_EVERY) => {}
            changed = swaps.changed() => if changed.is_err() { return },
        }
        pool.reap();
    }
}

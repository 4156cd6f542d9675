//! The whole router: bound, run, stopped.

use crate::{
    admission::Admission,
    config::Config,
    feed, listen,
    routes::Routes,
    worker::{self, Shared},
};
use pvdify_client::Client;
use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why the router does not run.
#[derive(Debug, Error)]
pub enum Error {
    /// The address can't be listened on.
    #[error("can't listen on {address} for HTTP: {cause}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The system's word.
        cause: io::Error,
    },
    /// A thread could not start, or ended by itself.
    #[error("a thread of the router failed: {0}")]
    Thread(io::Error),
}

/// A router that is bound to its port and knows the last good table.
pub struct Server {
    listeners: Vec<TcpListener>,
    local: SocketAddr,
    config: Config,
    routes: Arc<Routes>,
    control: Client,
}

impl Server {
    /// Binds the port and reads the last good table. The control plane need not be there.
    ///
    /// # Errors
    /// When the address is taken or not allowed.
    pub async fn bind(config: Config, control: Client) -> Result<Self, Error> {
        let threads = match config.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let listening = |cause| Error::Listen {
            address: config.listen,
            cause,
        };
        let listeners = listen::bind(config.listen, threads).map_err(listening)?;
        let local = listeners[0].local_addr().map_err(listening)?;
        let routes = Arc::new(Routes::new(feed::load(config.state_file.clone()).await));
        Ok(Self {
            listeners,
            local,
            config,
            routes,
            control,
        })
    }

    /// Where it listens: tells the port that was taken for port 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown`, then takes no more connections, finishes what is open within
    /// [`crate::Limits::shutdown`], and returns. Dropping the future stops at once.
    ///
    /// # Errors
    /// When a thread can't start or ends by itself.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let limits = Arc::new(self.config.limits);
        let shared = Arc::new(Shared {
            routes: Arc::clone(&self.routes),
            admission: Arc::new(Admission::new(
                limits.max_connections,
                limits.max_connections_per_address,
            )),
            limits: Arc::clone(&limits),
            trusted: self.config.trusted_proxies,
            threads: self.listeners.len(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
        });
        // However this future ends, the threads do.
        let _stop = shared.stop.clone().drop_guard();
        let _abort = shared.abort.clone().drop_guard();

        let (ended, mut endings) = mpsc::unbounded_channel();
        let mut running = 0;
        for listener in self.listeners {
            let (shared, ended) = (Arc::clone(&shared), ended.clone());
            let work = move || {
                let ending = worker::run(listener, &shared);
                // Nobody listens once the router is being dropped.
                drop(ended.send(ending));
            };
            thread::Builder::new()
                .name(format!("router-{running}"))
                .spawn(work)
                .map_err(Error::Thread)?;
            running += 1;
        }
        drop(ended);

        let feeding = feed::run(self.routes, self.control, self.config.state_file);
        tokio::pin!(feeding, shutdown);
        tokio::select! {
            () = &mut shutdown => {}
            () = &mut feeding => {}
            ending = endings.recv() => return Err(Error::Thread(died(ending))),
        }

        shared.stop.cancel();
        let time_is_up = tokio::time::sleep(limits.shutdown);
        tokio::pin!(time_is_up);
        while running > 0 {
            tokio::select! {
                ending = endings.recv() => {
                    running -= 1;
                    ending.unwrap_or_else(|| Err(died(None))).map_err(Error::Thread)?;
                }
                () = &mut time_is_up, if !shared.abort.is_cancelled() => {
                    tracing::warn!("requests were still under way when the time to stop was up");
                    shared.abort.cancel();
                }
                () = &mut feeding => {}
            }
        }
        Ok(())
    }
}

/// A thread that is to run until the stop has ended before it.
fn died(ending: Option<io::Result<()>>) -> io::Error {
    match ending {
        Some(Err(error)) => error,
        Some(Ok(())) | None => io::Error::other("it ended by itself"),
    }
}

//! Starts the threads, and ends them.

use crate::{
    limits::Limits,
    site::Site,
    worker::{Shared, Worker},
};
use rustix::{
    event::{EventfdFlags, eventfd},
    net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt},
    process::{Resource, getrlimit},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

// Descriptors for what is no connection: contents kept open, each thread's own.
const RESERVED: u64 = 400;
const MOST: u64 = 8192;

/// A running server.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Server {
    /// Serves `site` on all addresses of the machine (IPv6 and IPv4), at `port`; 0 takes a free one.
    pub fn start(site: Site, port: u16, limits: Limits) -> io::Result<Self> {
        let (listener, address) = listener(port)?;
        let threads = thread::available_parallelism()
            .map_or(2, NonZero::get)
            .clamp(2, 8);
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = files.saturating_sub(RESERVED).clamp(64, MOST) as usize / threads;
        let shared = Arc::new(Shared {
            site,
            listener,
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            stopping: AtomicBool::new(false),
            limits,
            most,
        });
        let threads = (0..threads)
            .map(|number| {
                let worker = Worker::new(Arc::clone(&shared))?;
                thread::Builder::new()
                    .name(format!("worker-{number}"))
                    .stack_size(512 * 1024)
                    .spawn(move || worker.run())
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            shared,
            address,
            threads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends: no new connections, what is under way is finished, within the limit. Returns when all is over.
    pub fn stop(self) -> io::Result<()> {
        self.shared.stopping.store(true, Ordering::Release);
        rustix::io::write(&self.shared.stop, &1u64.to_ne_bytes())?;
        for thread in self.threads {
            thread
                .join()
                .map_err(|_| io::Error::other("a thread ended by a fault"))??;
        }
        Ok(())
    }
}

// One socket for both families where the machine has IPv6.
fn listener(port: u16) -> io::Result<(OwnedFd, SocketAddr)> {
    let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port);
    let v4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let bound = |address: SocketAddr| {
        let family = if address.is_ipv6() {
            AddressFamily::INET6
        } else {
            AddressFamily::INET
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, false)?;
        }
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        Ok::<_, rustix::io::Errno>(socket)
    };
    let socket = bound(v6).or_else(|_| bound(v4))?;
    listen(&socket, 1024)?;
    let address = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((socket, address))
}

//! What the router is told once, at its start.

use crate::trust::Network;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Where the router listens, what it remembers and what it allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Plain HTTP. Port 0 takes a free one: see [`crate::Server::local_addr`].
    pub listen: SocketAddr,
    /// The last good table, served at once after a start; written by temp file, fsync and rename.
    pub state_file: PathBuf,
    /// One runtime each; 0 takes a thread for each core.
    pub threads: usize,
    /// What one client, one request or one backend may take.
    pub limits: Limits,
    /// Peers whose `X-Forwarded-*` headers are believed. None by default: anyone can send them.
    pub trusted_proxies: Vec<Network>,
}

/// Bounds on every input, and on every wait.
///
/// Memory for heads is at most `max_connections` x `header_bytes` (10,000 x 64 KiB = 640 MiB), which needs
/// that many attackers, each inside the `header_read` time; bodies are streamed and take one read buffer each.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Request line and headers together; more is answered 431.
    pub header_bytes: usize,
    /// Header lines; more is answered 431.
    pub header_count: usize,
    /// From a head's first byte to its last; longer is answered 408.
    pub header_read: Duration,
    /// How long a client may keep a connection open between requests.
    pub idle: Duration,
    /// How long either side may be silent inside a body or an upgraded connection (Heroku: 55 s).
    pub stream_idle: Duration,
    /// From the request's last byte to the response's first (Heroku's H12: 30 s); longer is answered 504.
    pub response_header: Duration,
    /// To open a connection to an endpoint (Heroku: 5 s), before the next one is tried.
    pub connect: Duration,
    /// Client connections, over all threads; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Client connections of one IPv4 address or one IPv6 /64; further ones are closed at once. Trusted proxies
    /// have no such bound.
    pub max_connections_per_address: usize,
    /// Idle connections kept to one instance, over all threads.
    pub pool_idle_per_instance: usize,
    /// How long an idle connection to an instance is kept.
    pub pool_idle: Duration,
    /// How long a stop waits for requests and upgraded connections under way.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_count: 100,
            header_read: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            stream_idle: Duration::from_secs(55),
            response_header: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            max_connections: 10_000,
            // Offices and mobile networks share one address; three quarters stay for everybody else.
            max_connections_per_address: 2_500,
            pool_idle_per_instance: 64,
            pool_idle: Duration::from_secs(30),
            shutdown: Duration::from_secs(30),
        }
    }
}

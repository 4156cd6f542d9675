//! Where the receiver listens and keeps its repositories, and every limit on what a client may cost.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What a [`Server`](crate::Server) needs to start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where SSH is served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Holds the bare repositories `<app_id>.git` and the quarantines. One server at a time.
    pub repos: PathBuf,
    /// The server's ed25519 key in OpenSSH's format; created with mode 0600 when absent.
    pub host_key: PathBuf,
    /// See [`Limits`].
    pub limits: Limits,
}

/// The bounds of one client's demands. One push holds at most about four objects of `object_bytes` in
/// memory at a time (base, delta, result, and the copy on its way into the tar), whatever its pack's size.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The pack as it comes over the wire.
    pub pack_bytes: u64,
    /// One object, inflated. Also bounds zlib and delta bombs; no larger file can be pushed.
    pub object_bytes: usize,
    /// Ref updates in one push.
    pub commands: usize,
    /// All files of the deployed tree together, as a checkout would have them.
    pub source_bytes: u64,
    /// Files of the deployed tree: a tree may name one subtree again and again.
    pub source_files: u64,
    /// How long a push that holds the app's turn may send nothing before it has sent its pack.
    pub receive_idle: Duration,
    /// How long it may take until its pack is here, however steadily that comes: whoever trickles holds the app's
    /// turn as well as whoever is silent.
    pub receive_total: Duration,
    /// Pushes that may wait for one app's turn.
    pub waiting_pushes: usize,
    /// Packs of one repository, each push leaves one; more are made one when nothing is pushed.
    pub packs: usize,
    /// Refused authentication attempts of one connection. Agents offer every key they hold.
    pub auth_attempts: usize,
    /// From connection to verified key.
    pub login_grace: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Connections of one address that have not verified a key yet; a further one ends the oldest, so that
    /// idle ones never lock a real login out.
    pub unauthenticated_per_address: usize,
    /// What a connection may send before it has verified a key: a login takes 2 to 50 KiB, more with more keys.
    pub unauthenticated_bytes: usize,
    /// How long a stop waits for pushes that are under way.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack_bytes: 2 << 30,
            object_bytes: 100 << 20,
            commands: 1_000,
            source_bytes: 4 << 30,
            source_files: 500_000,
            // git is silent while it compresses a large history.
            receive_idle: Duration::from_secs(300),
            // The largest pack in this time needs 5 Mbit/s.
            receive_total: Duration::from_secs(3_600),
            waiting_pushes: 20,
            packs: 50,
            auth_attempts: 20,
            login_grace: Duration::from_secs(30),
            connections: 1_024,
            unauthenticated_per_address: 64,
            unauthenticated_bytes: 256 << 10,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

//! The HTTP front door: host name to endpoints, streaming, websockets, drain.
//!
//! Read top to bottom, this is the way of a request:
//!
//! ```text
//! listen ─ worker ─ guard ──── hyper ─ proxy ─┬─ routes   host -> app -> instance, leased
//!          (a core)  strict     HTTP/1.1      ├─ headers  hop-by-hop, X-Forwarded-*, X-Request-Id
//!                    framing                  ├─ upstream pooled or new connection, retries
//!                                             ├─ body     streams, both ways
//!                                             └─ upgrade  raw bytes after 101
//! feed: control plane -> state file -> routes (one swap) -> report
//! ```
//!
//! What always holds:
//! - Connections are bounded, in all and of one address (`admission`); each wait on a client is too (`guard`).
//! - A table is swapped whole; requests under way keep the instance that they have.
//! - An instance is reported drained only when no request, response body or upgraded connection uses it.
//! - The last good table is served whatever becomes of the control plane.
//! - No byte of a request with doubtful framing reaches a backend.
//! - Bodies are never buffered.

mod access_log;
mod admission;
mod backend;
mod body;
mod config;
mod error_page;
mod feed;
mod guard;
mod headers;
mod host;
mod listen;
mod pool;
mod proxy;
mod routes;
mod server;
mod stall;
mod trust;
mod upgrade;
mod upstream;
mod worker;

pub use config::{Config, Limits};
pub use server::{Error, Server};
pub use trust::{Network, NetworkError};

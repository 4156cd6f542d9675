//! The router through real sockets: a scripted control plane, scripted backends, raw clients.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test's helper can't do, the test can't"
)]

mod access_log;
mod admission;
mod bodies;
mod control;
mod drain;
mod failures;
mod feed;
mod forwarded;
mod framing;
mod harness;
mod heads;
mod load;
mod pages;
mod stop;
mod websocket;

//! The server through real sockets.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod codings;
mod connections;
mod files;
mod harness;
mod hostile;
mod program;
mod ranges;
mod rules;

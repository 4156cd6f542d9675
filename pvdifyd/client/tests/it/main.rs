//! The client against real HTTP servers that answer what a test scripts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

mod calls;
mod server;
mod stream;

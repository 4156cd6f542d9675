//! Pushes by the real door: OpenSSH and git against the server, a scripted control plane behind it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helper fails its test by a panic"
)]

mod attacks;
mod client;
mod consolidation;
mod control;
mod floods;
mod patience;
mod pushes;
mod raw_packs;
mod raw_requests;
mod refusals;
mod rig;
mod survival;
mod wire;

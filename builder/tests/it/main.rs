//! The builder against a real Podman with storage of its own, and a real registry over its store.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod attached;
mod builds;
mod containers;
mod exporting;
mod harness;
mod imports;
mod interrupted;
mod layers;
mod limits;
mod sandboxes;
mod stack;
mod whole;

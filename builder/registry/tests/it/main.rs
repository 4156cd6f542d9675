//! The registry by its doors: HTTP as the spec says it, real clients, and the store's own interface.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod access;
mod clients;
mod garbage;
mod harness;
mod manifests;
mod podman;
mod uploads;

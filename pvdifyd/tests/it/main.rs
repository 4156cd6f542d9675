//! The control plane through its real doors: the REST API over loopback TCP, the control socket over a Unix
//! socket, both with the project's own client; behind them a scripted image source and a scripted reconciler.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod auth;
mod bad_inputs;
mod bindings;
mod buildpacks;
mod builds;
mod config;
mod config_versions;
mod control;
mod coverage;
mod crash;
mod dashboard;
mod happy;
mod harness;
mod key_rotation;
mod one_offs;
mod releases;
mod scripted_sessions;
mod sessions;
mod stack;
mod volumes;

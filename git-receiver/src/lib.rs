//! Receives pushes: an SSH server that speaks git-receive-pack, on gix, with no git program beside it.
//!
//! A push, top to bottom: `ssh` verifies a key -> `command` reads `git-receive-pack '/app.git'` ->
//! `push` asks the control plane whether this key may push there, waits for the app's turn, and drives
//! `receive` (advertise, commands, pack into quarantine, checks) -> `policy` decides what each ref
//! command means -> `build` streams the commit's tree as a tar to the control plane's build -> only when
//! that released, the objects leave the quarantine and the refs move, both durably.
//!
//! What always holds: a refused or interrupted push leaves the repository exactly as it was; a ref that was
//! reported `ok` is on disk; an identity is that of a key whose signature was verified, never of one that
//! was merely offered; nothing from the client becomes a path, an option or a line of a shell.

mod build;
mod command;
mod config;
mod consolidate;
mod error;
mod policy;
mod progress;
mod push;
mod receive;
mod repo;
mod source;
mod ssh;

pub use config::{Config, Limits};
pub use error::Error;
pub use ssh::Server;

//! The scenarios' harness: a whole Pvdify of one's own, driven through the doors that people use.
//!
//! [`Platform`] starts the real `pvdifyd --dev` on free ports with a state directory of its own and removes
//! every container, network and image of it when dropped, also when the test failed. [`Pusher`] is a person
//! with a key and a working copy who uses stock `git` and `ssh`; [`Load`] is that person's visitors.
//! Nothing here reaches into Pvdify: what a scenario claims, a user could see.

#![expect(clippy::panic, reason = "a scenario can't go on without its harness")]

mod apps;
mod binaries;
mod load;
mod platform;
mod podman;
mod pusher;

pub use apps::{probe_with, probe_with_dockerfile, write_probe};
pub use binaries::{repository_root, run};
pub use load::{Load, LoadReport};
pub use platform::{Output, Part, Platform};
pub use pusher::{Pushed, Pusher};

//! The scenarios' harness: a whole Pvdify of one's own, driven through the doors that people use.
//!
//! [`Platform`] starts the real `pvdifyd --dev` on free ports with a state directory of its own and removes
//! every process, container, network and image of it when dropped, also when the test failed. [`Pusher`] is a person
//! with a key and a working copy who uses stock `git` and `ssh`; [`Load`] is that person's visitors.
//! Nothing here reaches into Pvdify: what a scenario claims, a user could see.

#![expect(clippy::panic, reason = "a scenario can't go on without its harness")]

mod apps;
mod binaries;
mod command_line;
mod disk;
mod faults;
pub mod leftovers;
mod load;
mod part;
mod platform;
mod pusher;
mod reference;
mod terminal;
mod visits;

pub use apps::{ENDLESS_BUILD, probe_with, probe_with_dockerfile, write_probe};
pub use binaries::{build_programs, repository_root, run};
pub use command_line::Output;
pub use disk::SmallDisk;
pub use faults::FsyncFaults;
pub use load::{Load, LoadReport};
pub use part::Part;
pub use platform::Platform;
pub use pusher::{Pushed, Pusher, UnderWay};
pub use reference::{Pack, reference};
pub use terminal::Terminal;

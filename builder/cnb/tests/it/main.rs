//! The rules of the specification, as tables. Where the reference lifecycle has a table of its own for a rule, its
//! cases are here too, in our words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

mod build;
mod descriptor;
mod env;
mod extension;
mod libcnb;
mod project;
mod resolve;
mod restore;
mod target;
mod trial;

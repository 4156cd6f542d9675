//! The real binary against a server that speaks the API's shapes and answers what a test scripts.
//!
//! What a person sees is compared as a whole: exit code, stdout, stderr.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

mod apps;
mod bindings;
mod buildpacks;
mod cli;
mod config;
mod config_read;
mod connection;
mod deploy;
mod domains;
mod git;
mod help;
mod keys;
mod logs;
mod naming;
mod ps;
mod releases;
mod samples;
mod server;
mod storage;

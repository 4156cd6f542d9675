//! The control plane, and the process that holds the parts together.
//!
//! `http` (every route on one page) calls `app` (use cases; no HTTP, no SQL), which keeps everything in
//! `store` (SQLite). `reconcile` compares what should run with what `engine` shows and acts. `logs` keeps
//! what instances and Pvdify say of them, `volumes` the data of apps. `garbage` removes the images that no release needs any more. `boot`
//! builds all of it in order and stops it in reverse.

pub mod app;
pub mod args;
pub mod boot;
pub mod config;
pub mod doctor;
pub mod engine;
pub mod garbage;
pub mod http;
pub mod key_command;
pub mod logs;
pub mod reconcile;
pub mod stack_command;
pub mod store;
pub mod tokens_command;
pub mod volumes;

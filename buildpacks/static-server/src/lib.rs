//! A tiny HTTP/1.1 server for static sites: what a folder's `site.json` says, and nothing else.
//!
//! All decisions are made when a site is built (`buildpack-static`): which files there are, their types, hashes
//! and compressed forms, redirects, headers. So a request is a look into a table, and a response is bytes from
//! memory or `sendfile`. [`Site`] is the table, [`Server`] the threads; between them `request` -> `route` ->
//! `response` are plain functions, and `connection` and `worker` the only code that touches sockets.

mod auth;
mod connection;
mod date;
mod escape;
mod limits;
pub mod manifest;
mod negotiate;
mod pattern;
mod range;
mod request;
mod response;
mod route;
mod segment;
mod server;
mod site;
mod worker;

pub use limits::Limits;
pub use server::Server;
pub use site::{Site, Unusable};

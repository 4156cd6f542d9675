//! The apt buildpack through `bin/detect` and `bin/build`, with this machine's apt and a repository of our own.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod builds;
mod repository;

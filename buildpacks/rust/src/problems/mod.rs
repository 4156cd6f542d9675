//! What Cargo and the sources of Rust say when they fail, turned into what happened, why, and what to do.

mod cargo;
mod toolchain;

pub(crate) use cargo::{cargo, is_lock_outdated, manifest, no_programs};
pub(crate) use toolchain::{no_channel, no_components, no_download, no_rust, no_targets};

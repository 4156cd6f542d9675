//! What our buildpacks share: how they speak, fail, download, choose versions and keep layers.
//!
//! Why one crate: a person who pushes sees one product, whatever the language. So every buildpack prints
//! through [`output`], fails with a [`Failure`] of three parts, and gets its tools through [`toolchain`].
//!
//! What always holds: no shell is started; what is downloaded is compared with a digest known before; a
//! layer that is kept is not touched, so that the platform knows it again without reading it.

pub mod archive;
pub mod command;
pub mod detect;
pub mod diagnosis;
pub mod download;
pub mod env;
pub mod failure;
pub mod files;
pub mod fingerprint;
pub mod hook;
pub mod layer;
pub mod output;
pub mod process;
pub mod procfile;
#[cfg(feature = "testing")]
pub mod testing;
pub mod toolchain;
pub mod version;

pub use command::Command;
pub use failure::{Failure, Result};

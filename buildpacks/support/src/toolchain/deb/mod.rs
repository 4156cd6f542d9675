//! Debian packages in a layer, without root: resolved by the image's own apt and sources, unpacked by
//! `dpkg-deb -x`, their paths given for the environment.
//!
//! In three parts: what apt says will come ([`Planned`]), apt itself ([`Apt`]), and what is unpacked made to work
//! where it lies ([`layer_env`]). What always holds: no package's script runs, so what one would set up
//! (alternatives, caches, users) is not there.

mod apt;
mod planned;
mod unpacked;

pub use apt::{Apt, Base};
pub use planned::{Planned, file_names, version_of};
pub(super) use unpacked::relocate;
pub use unpacked::{dpkg_deb, layer_env};

// The list of the run image's packages (dpkg's status file), put into the build image when both are made.
pub(super) const RUN_STATUS: &str = "/usr/share/pvdify/run-image.dpkg-status";
pub(super) const BUILD_STATUS: &str = "/var/lib/dpkg/status";

//! Why the server can't start or go on; what a pusher is told lives beside what refuses it.

use std::{io, net::SocketAddr, path::PathBuf};
use thiserror::Error;

/// Why [`Server::bind`](crate::Server::bind) or [`Server::run`](crate::Server::run) failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("can't listen for SSH on {address}: {cause}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's words.
        cause: io::Error,
    },
    /// A file or folder of the receiver.
    #[error("{path}: {cause}", path = path.display())]
    Storage {
        /// Which.
        path: PathBuf,
        /// The system's words.
        cause: io::Error,
    },
    /// Two receivers on one folder would sweep each other's quarantines.
    #[error("another git-receiver serves {path}: stop it first", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The host key's file holds no usable key.
    #[error("{path} holds no usable SSH host key ({reason}): mend or remove it; without it a new one is made and clients are warned of the change", path = path.display())]
    HostKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// Names the path that an I/O error is about, which the system's own words leave out.
    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Storage { path, cause }
    }
}

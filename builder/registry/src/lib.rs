//! A registry of images: a content-addressed store on disk and the OCI Distribution 1.1 server over it.
//!
//! [`Store`] is the truth; [`router`] only speaks the protocol. What always holds:
//!
//! - A file under a digest's name holds the bytes of that digest: it is hashed while it is written, flushed to
//!   the disk, then renamed into place. A half-written blob has no name that anyone asks for.
//! - Whatever was answered with 201 survives a power cut.
//! - A blob is seen only in the repositories it was pushed or mounted to, so a digest alone opens nothing.
//! - No request is held in memory but a manifest, and that is at most 4 MiB.
//! - Collecting garbage never takes what a kept manifest needs, nor what is younger than the grace time.

mod access;
mod http;
mod manifest;
mod name;
mod store;

pub use access::{Access, Action, Credentials};
pub use http::router;
pub use manifest::{Kind, MAX_MANIFEST_BYTES, ManifestError, References};
pub use name::{NameError, Reference, Repository, Tag, TagError};
pub use store::{BlobWriter, Collected, Damage, DamageKind, Manifest, Store, StoreError, WrittenBlob};

//! Who may do what: asked for every request, answered by the control plane.
//!
//! The registry keeps no users. A refusal is answered with 401 and a Basic challenge, whether the password
//! was wrong or the repository is someone else's, so that a refusal tells nothing about what exists.

use futures_util::future::BoxFuture;

/// What a request does to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read blobs, manifests, tags and referrers.
    Pull,
    /// Write blobs and manifests.
    Push,
    /// Take blobs, manifests or tags away.
    Delete,
}

/// A name and a password, as they came in the `Authorization: Basic` header.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The name.
    pub user: &'a str,
    /// The password; compare it in constant time.
    pub password: &'a str,
}

/// Decides each request.
pub trait Access: Send + Sync + 'static {
    /// Whether `action` is allowed. `repository` is `None` for `/v2/` and the catalog, which belong to no one.
    ///
    /// Refuse `/v2/` without credentials, even if some repositories are open to all: its challenge is what makes
    /// Podman and Docker send a password at all.
    fn allows<'a>(
        &'a self,
        credentials: Option<Credentials<'a>>,
        repository: Option<&'a str>,
        action: Action,
    ) -> BoxFuture<'a, bool>;
}

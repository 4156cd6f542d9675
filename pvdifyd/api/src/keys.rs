//! `/keys`: the SSH public keys that may push.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A registered SSH key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SshKey {
    /// `SHA256:` and unpadded base64, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The key's comment, or what was given.
    pub name: String,
    /// `ssh-ed25519 AAAA...` without comment.
    pub public_key: String,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was added.
    pub created_at: OffsetDateTime,
}

/// `POST /keys`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddKey {
    /// One line in OpenSSH's public key format.
    pub public_key: String,
    /// Overrides the key's comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

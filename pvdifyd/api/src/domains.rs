//! `/apps/{name}/domains`.

use pvdify_types::{DomainStatus, Hostname};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

/// A domain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Domain {
    #[schema(value_type = String)]
    /// The host name.
    pub domain: Hostname,
    #[schema(value_type = String)]
    /// `pending` or `active`.
    pub status: DomainStatus,
    /// The certificate; `null` while the domain is served over plain HTTP.
    pub certificate: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    /// When it was added.
    pub created_at: OffsetDateTime,
}

/// `POST /apps/{name}/domains`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddDomain {
    /// Parsed as a host name.
    pub domain: String,
}

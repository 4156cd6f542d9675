//! A domain's states.

use serde::{Deserialize, Serialize};

/// Whether requests for a domain reach its app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainStatus {
    /// In the database, not yet in the router's table.
    Pending,
    /// The router answers for it.
    Active,
}

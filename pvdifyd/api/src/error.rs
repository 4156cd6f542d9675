//! The error body that every answer of 400 and above carries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What failed, on what, what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// One sentence for the person.
    pub error: String,
    /// A stable word for programs, as `not_found` or `invalid_params`.
    pub code: String,
    /// What to do next; empty where there is nothing to say.
    #[serde(default)]
    pub hint: String,
    /// Found again in the server's log.
    #[serde(default)]
    pub request_id: String,
}

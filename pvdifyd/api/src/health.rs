//! `/health`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The server answers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`; a server that is not does not answer.
    pub status: String,
    /// Pvdify's version.
    pub version: String,
}

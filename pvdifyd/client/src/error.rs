//! What a call can end in: no connection, or the server's own refusal.

use pvdify_api::ErrorBody;
use thiserror::Error;

/// A call's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The address is no http or https URL.
    #[error("{0:?} is no http:// or https:// URL")]
    Url(String),
    /// Nothing answered, or the connection broke.
    #[error("can't reach Pvdify: {0}")]
    Transport(String),
    /// The server refused, and said why.
    #[error("{}", body.error)]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its words.
        body: ErrorBody,
    },
}

impl Error {
    /// Keeps the innermost cause, which names what to mend; the outer ones repeat the URL.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Transport(cause.to_string())
    }

    pub(crate) async fn from_response(response: reqwest::Response) -> Self {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        let body = serde_json::from_str(&text).unwrap_or_else(|_| ErrorBody {
            error: format!("the server answered {status}"),
            code: "unexpected".to_owned(),
            hint: "is the address that of a Pvdify API?".to_owned(),
            request_id: String::new(),
        });
        Self::Refused {
            status: status.as_u16(),
            body,
        }
    }

    /// The HTTP status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Url(_) | Self::Transport(_) => None,
        }
    }
}

//! Why a request was refused before any backend saw it.

use http::StatusCode;

/// Each is answered once, and the connection is closed: after a doubtful head there is no knowing where the
/// next one starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request breaks a rule of RFC 9110 or 9112; the text says which.
    Malformed(&'static str),
    /// Head larger than the limit, or too many header lines.
    TooLarge,
    /// The head did not come in time.
    TooSlow,
    /// CONNECT: this is no forward proxy.
    Method,
    /// `Expect` other than `100-continue`.
    Expectation,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    Version,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        }
    }

    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Malformed(reason) => reason,
            Self::TooLarge => "The request's headers are too large.",
            Self::TooSlow => "The request's headers did not arrive in time.",
            Self::Method => "CONNECT is not supported.",
            Self::Expectation => "The only expectation that can be met is 100-continue.",
            Self::Version => "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
        }
    }
}

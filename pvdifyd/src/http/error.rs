//! Refusals as responses. Every answer of 400 and above has the one JSON body, also those that axum gives.
//!
//! A [`Refusal`] carries its body as an extension of the response; the outermost layer writes it, because
//! only that one knows the request's id.

use crate::app::{self, Kind};
use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use pvdify_api::ErrorBody;

/// Why not.
#[derive(Clone, Debug)]
pub(super) struct Refusal(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    headers: HeaderMap,
    words: Words,
}

/// The body, but for the request's id.
#[derive(Clone, Debug)]
struct Words {
    error: String,
    code: &'static str,
    hint: String,
}

/// A handler's result.
pub(super) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, error: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            headers: HeaderMap::new(),
            words: Words {
                error: error.into(),
                code,
                hint: String::new(),
            },
        }))
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.words.hint = hint.into();
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed on this request",
        )
        .hint("the server's log has the cause, under the request id")
    }
}

impl From<app::Error> for Refusal {
    fn from(error: app::Error) -> Self {
        let status = match error.kind() {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Changed => StatusCode::PRECONDITION_FAILED,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if error.kind() == Kind::Internal {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "a request failed");
        }
        Self::new(status, error.code(), error.to_string()).hint(error.hint())
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let Parts {
            status,
            headers,
            words,
        } = *refusal.0;
        let mut response = (status, headers).into_response();
        response.extensions_mut().insert(words);
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.into()
    }
}

/// Gives a response of 400 and above its body.
pub(super) fn complete(response: Response, method: &Method, path: &str, request_id: &str) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let words = parts
        .extensions
        .remove::<Words>()
        .unwrap_or_else(|| by_status(status, method, path));
    let body = Json(ErrorBody {
        error: words.error,
        code: words.code.to_owned(),
        hint: words.hint,
        request_id: request_id.to_owned(),
    });
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    let mut response = body.into_response();
    *response.status_mut() = status;
    for (name, value) in &parts.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

/// What axum refused by itself.
fn by_status(status: StatusCode, method: &Method, path: &str) -> Words {
    let path: String = path.chars().take(200).collect();
    let (error, code) = match status {
        StatusCode::NOT_FOUND => (format!("there is no {path}"), "not_found"),
        StatusCode::METHOD_NOT_ALLOWED => (format!("{path} does not take {method}"), "method_not_allowed"),
        StatusCode::PAYLOAD_TOO_LARGE => ("the body is too large".to_owned(), "too_large"),
        other if other.is_server_error() => ("the server failed on this request".to_owned(), "internal"),
        _ => ("the request can't be read".to_owned(), "bad_request"),
    };
    Words {
        error,
        code,
        hint: String::new(),
    }
}

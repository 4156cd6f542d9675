//! What the router answers itself: small, the same for every app, and silent about the inside.
//!
//! The codes are Heroku's (`H10`...), since runbooks and monitors know them; they stand in the header
//! `Pvdify-Error` too. No page names an app, an address or another host.

use crate::{guard::Refusal, headers::X_REQUEST_ID};
use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, VARY},
};

const PVDIFY_ERROR: HeaderName = HeaderName::from_static("pvdify-error");

/// Why the router answers in the place of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Refused(Refusal),
    UnknownHost,
    /// No table was heard of yet.
    Starting,
    Maintenance,
    NoInstance,
    /// No instance took a connection.
    Unreachable,
    /// An instance closed the connection without an answer.
    NoAnswer,
    /// An instance's answer was no HTTP that can be passed on.
    BadAnswer,
    Timeout,
}

impl Failure {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::UnknownHost => StatusCode::NOT_FOUND,
            Self::Starting | Self::Maintenance | Self::NoInstance | Self::Unreachable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoAnswer | Self::BadAnswer => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Heroku's code where it has one.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Refused(Refusal::TooSlow) => "H28",
            Self::Refused(_) => "H26",
            Self::UnknownHost => "no-such-app",
            Self::Starting => "H99",
            Self::Maintenance => "H80",
            Self::NoInstance => "H14",
            Self::Unreachable => "H21",
            Self::NoAnswer => "H13",
            Self::BadAnswer => "H17",
            Self::Timeout => "H12",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Refused(_) => "Bad request",
            Self::UnknownHost => "No such app",
            Self::Starting => "Starting",
            Self::Maintenance => "Down for maintenance",
            Self::NoInstance | Self::Unreachable => "Not running",
            Self::NoAnswer | Self::BadAnswer => "Application error",
            Self::Timeout => "Timed out",
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason(),
            Self::UnknownHost => "No app answers at this address. If it is yours, check its domains.",
            Self::Starting => {
                "The server has just started and does not know its apps yet. Try again in a moment."
            }
            Self::Maintenance => "This app is closed for maintenance. It will be back.",
            Self::NoInstance => "This app has no running web process.",
            Self::Unreachable => "This app's web process takes no connections. Try again in a moment.",
            Self::NoAnswer => "The app closed the connection without an answer.",
            Self::BadAnswer => "The app's answer could not be understood.",
            Self::Timeout => "The app did not answer in time.",
        }
    }
}

/// The page for a failure, in the form that the request's `Accept` prefers.
pub(crate) fn page(
    failure: Failure,
    request_id: &HeaderValue,
    accept: Option<&HeaderValue>,
) -> Response<Bytes> {
    let id = request_id.to_str().unwrap_or_default();
    let (title, text, code) = (failure.title(), failure.text(), failure.code());
    let (content_type, body) = if prefers_html(accept) {
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}}\
             small{{color:#666}}</style><h1>{title}</h1><p>{text}<p><small>{code} &middot; request {id}</small></html>\n"
        );
        ("text/html; charset=utf-8", body)
    } else {
        (
            "text/plain; charset=utf-8",
            format!("{title}\n{text}\n{code}, request {id}\n"),
        )
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = failure.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(PVDIFY_ERROR, HeaderValue::from_static(code));
    headers.insert(X_REQUEST_ID, request_id.clone());
    match failure {
        Failure::Refused(refusal) => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
            if refusal == Refusal::Method {
                headers.insert(
                    ALLOW,
                    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                );
            }
        }
        Failure::Starting | Failure::Unreachable => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        _ => {}
    }
    response
}

/// Whether `Accept` ranks HTML above plain text (RFC 9110 section 12.5.1). Curl's `*/*` gets text.
fn prefers_html(accept: Option<&HeaderValue>) -> bool {
    let mut html = 0.0;
    let mut text = 0.0;
    let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
    for item in accept.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
            .unwrap_or(1.0);
        match range {
            "text/html" | "application/xhtml+xml" => html = quality.max(html),
            "text/plain" => text = quality.max(text),
            _ => {}
        }
    }
    html > text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_goes_only_to_who_prefers_it() {
        let prefers = |accept: &'static str| prefers_html(Some(&HeaderValue::from_static(accept)));
        assert!(prefers(
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        ));
        assert!(prefers("text/plain;q=0.5, text/html;q=0.6"));
        assert!(!prefers("*/*"));
        assert!(!prefers("application/json"));
        assert!(!prefers("text/html;q=0.2, text/plain"));
        assert!(!prefers("text/html;q=0"));
        assert!(!prefers_html(None));
    }

    #[test]
    fn every_page_says_what_happened_with_its_code_and_id_and_no_more() {
        let id = HeaderValue::from_static("0123456789abcdef0123");
        let failures = [
            Failure::Refused(Refusal::TooLarge),
            Failure::UnknownHost,
            Failure::Starting,
            Failure::Maintenance,
            Failure::NoInstance,
            Failure::Unreachable,
            Failure::NoAnswer,
            Failure::BadAnswer,
            Failure::Timeout,
        ];
        for accept in ["*/*", "text/html"] {
            let accept = HeaderValue::from_static(accept);
            for failure in failures {
                let page = page(failure, &id, Some(&accept));
                let body = String::from_utf8(page.body().to_vec()).unwrap();
                assert!(
                    body.contains(failure.text()) && body.contains(failure.code()),
                    "{failure:?}"
                );
                assert!(body.contains("0123456789abcdef0123"), "{failure:?}");
                assert!(page.status().as_u16() >= 400);
                assert_eq!(page.headers()["cache-control"], "no-store");
            }
        }
    }
}

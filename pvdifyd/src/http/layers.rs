//! What every request of the API passes through, outermost first.

use super::{
    Web, auth,
    error::{self, Answer, Refusal},
    hosts,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
};
use std::{any::Any, time::Instant};
use tower_http::catch_panic::CatchPanicLayer;

/// The largest body; a whole set of config vars has at most 256 KiB, and JSON may escape each byte.
const BODY_LIMIT: usize = 1 << 20;

/// Puts them on. The last `layer` is the first that a request meets.
pub(super) fn around(routes: Router<Web>, web: &Web) -> Router<Web> {
    routes
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn(unmatched))
        .layer(from_fn_with_state(web.clone(), hosts::check))
        .layer(from_fn(auth::refuse_token_in_query))
        .layer(from_fn(security_headers))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(finish))
}

/// Numbers the request, gives errors their body, and logs it: path without query, never a body or a header.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    let response = next.run(request).await;
    let mut response = error::complete(response, &method, &path, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", value);
    }
    let (status, millis) = (response.status().as_u16(), started.elapsed().as_millis());
    tracing::info!(request_id = %id, %method, path, status, millis, "request");
    response
}

/// Only answers of config vars have an ETag to be matched by a change. Elsewhere whatever version a client asks for is
/// not the present one (RFC 9110 section 13.1.1); to pass over the condition would be the lost update that it is there
/// to stop.
async fn unmatched(request: Request, next: Next) -> Answer<Response> {
    const MATCHED: &str = "/api/v1/apps/{name}/config";
    let path = request.extensions().get::<MatchedPath>();
    if path.is_some_and(|path| path.as_str().starts_with(MATCHED)) {
        return Ok(next.run(request).await);
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let asks = request
        .headers()
        .get_all(header::IF_MATCH)
        .iter()
        .any(|tags| tags.as_bytes() != b"*");
    if changes && asks {
        return Err(Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "the version in If-Match is not the present one: only config vars have versions",
        )
        .hint("leave If-Match out; each change is applied to what is there"));
    }
    Ok(next.run(request).await)
}

/// A panic in a handler is one failed request. Its message went to the log by the panic hook.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    error::Refusal::internal().into()
}

/// Against sniffing, framing and leaking; the dashboard's pages set a policy of their own.
async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-opener-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

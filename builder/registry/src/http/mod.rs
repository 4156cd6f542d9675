//! The OCI Distribution 1.1 server: one handler that reads the path, asks for access, and hands on.
//!
//! | path | methods | where |
//! |---|---|---|
//! | `/v2/`, `/v2/_catalog`, `/v2/<name>/tags/list`, `/v2/<name>/referrers/<digest>` | GET | [`lists`] |
//! | `/v2/<name>/blobs/<digest>` | GET HEAD DELETE | [`blobs`] |
//! | `/v2/<name>/blobs/uploads/`, `/v2/<name>/blobs/uploads/<id>` | POST; GET PATCH PUT DELETE | [`uploads`] |
//! | `/v2/<name>/manifests/<reference>` | GET HEAD PUT DELETE | [`manifests`] |

mod blobs;
mod credentials;
mod error;
mod lists;
mod manifests;
mod path;
mod uploads;

use crate::{
    access::{Access, Action},
    name::Repository,
    store::Store,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use error::{Code, Failure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use path::Endpoint;
use std::sync::Arc;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

#[derive(Clone)]
struct Registry {
    store: Store,
    access: Arc<dyn Access>,
}

/// The server, to be served as it is or merged into another router: every path begins with `/v2`.
pub fn router(store: Store, access: Arc<dyn Access>) -> Router {
    Router::new()
        .route("/v2", any(handle))
        .route("/v2/", any(handle))
        .route("/v2/{*rest}", any(handle))
        .with_state(Registry { store, access })
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response {
    let mut response = match respond(&registry, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    };
    response.headers_mut().insert(
        HeaderName::from_static("docker-distribution-api-version"),
        HeaderValue::from_static("registry/2.0"),
    );
    response
}

async fn respond(registry: &Registry, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let endpoint = Endpoint::parse(parts.uri.path());
    // Whoever is not let in learns nothing about paths either.
    authorise(registry, endpoint.as_ref().ok(), &parts).await?;
    let endpoint = endpoint?;
    let allowed = allowed_methods(&endpoint);
    if !allowed.contains(&parts.method) {
        return Err(method_not_allowed(allowed));
    }
    match &endpoint {
        Endpoint::Base | Endpoint::Catalog | Endpoint::Tags(_) | Endpoint::Referrers(..) => {
            lists::respond(registry, &endpoint, parts.uri.query()).await
        }
        Endpoint::Blob(name, digest) => blobs::respond(registry, name, digest, &parts).await,
        Endpoint::Manifest(name, reference) => {
            manifests::respond(registry, name, reference, &parts, body).await
        }
        Endpoint::Uploads(name) => uploads::begin(registry, name, &parts, body).await,
        Endpoint::Upload(name, id) => uploads::respond(registry, name, *id, &parts, body).await,
    }
}

fn allowed_methods(endpoint: &Endpoint) -> &'static [Method] {
    const READ: &[Method] = &[Method::GET, Method::HEAD];
    match endpoint {
        Endpoint::Base | Endpoint::Catalog | Endpoint::Tags(_) | Endpoint::Referrers(..) => READ,
        Endpoint::Blob(..) => &[Method::GET, Method::HEAD, Method::DELETE],
        Endpoint::Manifest(..) => &[Method::GET, Method::HEAD, Method::PUT, Method::DELETE],
        Endpoint::Uploads(_) => &[Method::POST],
        Endpoint::Upload(..) => &[Method::GET, Method::PATCH, Method::PUT, Method::DELETE],
    }
}

fn method_not_allowed(allowed: &[Method]) -> Failure {
    let list: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let list = list.join(", ");
    let failure = Failure::new(Code::MethodNotAllowed, format!("this path takes {list}"));
    match HeaderValue::from_str(&list) {
        Ok(value) => failure.with(header::ALLOW, value),
        Err(_) => failure,
    }
}

/// What the request is about to do, as [`Access`] is asked.
fn action(endpoint: Option<&Endpoint>, method: &Method) -> Action {
    match (endpoint, method) {
        // An upload under way belongs to whoever pushes, its end as much as its status.
        (Some(Endpoint::Upload(..) | Endpoint::Uploads(_)), _) | (_, &Method::PUT) => Action::Push,
        (_, &Method::DELETE) => Action::Delete,
        _ => Action::Pull,
    }
}

async fn authorise(registry: &Registry, endpoint: Option<&Endpoint>, parts: &Parts) -> Result<(), Failure> {
    let repository = endpoint.and_then(Endpoint::repository);
    let action = action(endpoint, &parts.method);
    if may(registry, &parts.headers, repository, action).await {
        return Ok(());
    }
    let challenge = HeaderValue::from_static("Basic realm=\"pvdify registry\", charset=\"UTF-8\"");
    Err(Failure::new(
        Code::Unauthorized,
        "this needs a name and password that are allowed to do it",
    )
    .with(header::WWW_AUTHENTICATE, challenge))
}

/// Whether the sender of these headers may do it.
async fn may(
    registry: &Registry,
    headers: &HeaderMap,
    repository: Option<&Repository>,
    action: Action,
) -> bool {
    let given = credentials::read(headers);
    let given = given.as_ref().map(credentials::Given::as_credentials);
    let repository = repository.map(Repository::as_str);
    registry.access.allows(given, repository, action).await
}

fn header_value(text: impl AsRef<str>) -> HeaderValue {
    // Names, digests and ids are all printable ASCII; anything else is left out rather than sent broken.
    HeaderValue::from_str(text.as_ref()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn empty(status: http::StatusCode) -> Response {
    (status, Body::empty()).into_response()
}

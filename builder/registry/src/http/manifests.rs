//! Manifests: GET, HEAD, PUT, DELETE, by tag and by digest.

use super::{CONTENT_DIGEST, Code, Failure, Registry, empty, header_value, lists::query};
use crate::{
    manifest::MAX_MANIFEST_BYTES,
    name::{Reference, Repository, Tag},
    store::{Manifest, StoreError},
};
use axum::{body::Body, response::Response};
use http::{Method, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Tags in one request, more than the ten that the spec asks for.
const MAX_TAGS: usize = 32;

pub(super) async fn respond(
    registry: &Registry,
    name: &Repository,
    reference: &str,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let method = &parts.method;
    let Ok(reference) = reference.parse::<Reference>() else {
        return Err(bad_reference(method, reference));
    };
    match *method {
        Method::PUT => put(registry, name, &reference, parts, body).await,
        Method::DELETE => {
            registry.store.delete_manifest(name, &reference).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        _ => match registry.store.manifest(name, &reference).await? {
            Some(manifest) => Ok(found(&manifest, *method == Method::HEAD)),
            None => Err(StoreError::ManifestUnknown.into()),
        },
    }
}

/// What can't be a reference can't be found; only writing it is a mistake worth its own text.
fn bad_reference(method: &Method, reference: &str) -> Failure {
    if reference.contains(':') {
        let text = "only sha256 digests are taken: \"sha256:\" and 64 lower-case hex digits";
        Failure::new(Code::DigestInvalid, text)
    } else if *method == Method::PUT {
        Failure::new(Code::TagInvalid, crate::TagError.to_string())
    } else {
        StoreError::ManifestUnknown.into()
    }
}

fn found(manifest: &Manifest, head: bool) -> Response {
    let body = if head {
        Body::empty()
    } else {
        Body::from(manifest.bytes.clone())
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header_value(&manifest.media_type));
    headers.insert(
        header::CONTENT_LENGTH,
        header_value(manifest.bytes.len().to_string()),
    );
    headers.insert(CONTENT_DIGEST, header_value(&manifest.digest));
    headers.insert(header::ETAG, header_value(format!("\"{}\"", manifest.digest)));
    response
}

async fn put(
    registry: &Registry,
    name: &Repository,
    reference: &Reference,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let mut tags = Vec::new();
    for (_, value) in query(parts.uri.query()).filter(|(key, _)| key == "tag") {
        let tag: Tag = value
            .parse()
            .map_err(|error: crate::TagError| Failure::new(Code::TagInvalid, error.to_string()))?;
        tags.push(tag);
    }
    if tags.len() > MAX_TAGS {
        let text = format!("at most {MAX_TAGS} tags go in one request");
        return Err(Failure::new(Code::TagInvalid, text));
    }
    let asked: Vec<String> = tags.iter().map(Tag::to_string).collect();
    if let Reference::Tag(tag) = reference {
        tags.push(tag.clone());
    }
    let media_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let bytes = read_body(body).await?;
    let stored = registry
        .store
        .put_manifest_tagged(name, reference, tags, media_type.as_deref(), bytes)
        .await;
    let (digest, references) = match stored {
        Err(StoreError::BlobUnknown(blob)) => {
            let text = format!("the manifest names {blob}, which is not in the repository: push it first");
            return Err(Failure::new(Code::ManifestBlobUnknown, text));
        }
        other => other?,
    };
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(
        header::LOCATION,
        header_value(format!("/v2/{name}/manifests/{digest}")),
    );
    headers.insert(CONTENT_DIGEST, header_value(&digest));
    if let Some(subject) = references.subject {
        headers.insert("oci-subject", header_value(subject));
    }
    if !asked.is_empty() {
        headers.insert("oci-tag", header_value(asked.join(", ")));
    }
    Ok(response)
}

async fn read_body(body: Body) -> Result<Vec<u8>, Failure> {
    match Limited::new(body, MAX_MANIFEST_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::new(
            Code::ManifestTooLarge,
            format!("a manifest has at most {MAX_MANIFEST_BYTES} bytes"),
        )),
        Err(error) => Err(Failure::new(
            Code::ManifestInvalid,
            format!("the body broke off: {error}"),
        )),
    }
}

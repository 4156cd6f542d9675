//! Uploads: begin (also whole in one POST, also by mount), status, append, finish, cancel.

use super::{CONTENT_DIGEST, Code, Failure, Registry, empty, header_value, path};
use crate::{
    access::Action,
    http::{lists::query, may},
    name::Repository,
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use pvdify_types::Digest;
use std::{io, time::Duration};
use uuid::Uuid;

/// A sender that gives nothing for this long is gone.
const IDLE: Duration = Duration::from_secs(60);

pub(super) async fn begin(
    registry: &Registry,
    name: &Repository,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    let (mut digest, mut mount, mut from) = (None, None, None);
    for (key, value) in query(parts.uri.query()) {
        match key.as_str() {
            "digest" => digest = Some(path::digest(&value)?),
            "mount" => mount = value.parse::<Digest>().ok(),
            "from" => from = value.parse::<Repository>().ok(),
            _ => {}
        }
    }
    if let (Some(mount), Some(from)) = (mount, from) {
        // Not allowed, not there: both go on as an upload, so the answer tells nothing about `from`.
        let may_read = may(registry, &parts.headers, Some(&from), Action::Pull).await;
        if may_read && registry.store.mount_blob(&from, name, &mount).await? {
            return Ok(created(name, &mount));
        }
    }
    let Some(digest) = digest else {
        let id = registry.store.start_upload(name).await?;
        return Ok(accepted(StatusCode::ACCEPTED, name, id, 0));
    };
    let body = body_stream(body);
    registry
        .store
        .write_blob(name, Some(&digest), Box::pin(body))
        .await?;
    Ok(created(name, &digest))
}

pub(super) async fn respond(
    registry: &Registry,
    name: &Repository,
    id: Uuid,
    parts: &Parts,
    body: Body,
) -> Result<Response, Failure> {
    match parts.method {
        Method::GET => {
            let size = registry.store.upload_size(name, id).await?;
            Ok(accepted(StatusCode::NO_CONTENT, name, id, size))
        }
        Method::DELETE => {
            registry.store.cancel_upload(name, id).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::PATCH => {
            let size = append(registry, name, id, parts, body).await?;
            Ok(accepted(StatusCode::ACCEPTED, name, id, size))
        }
        _ => {
            let given = query(parts.uri.query()).find(|(key, _)| key == "digest");
            let Some((_, text)) = given else {
                return Err(Failure::new(
                    Code::DigestInvalid,
                    "the upload's end must say ?digest=sha256:...",
                ));
            };
            let digest = path::digest(&text)?;
            append(registry, name, id, parts, body).await?;
            registry.store.finish_upload(name, id, &digest).await?;
            Ok(created(name, &digest))
        }
    }
}

async fn append(
    registry: &Registry,
    name: &Repository,
    id: Uuid,
    parts: &Parts,
    body: Body,
) -> Result<u64, Failure> {
    let range = content_range(&parts.headers)?;
    let body = Box::pin(body_stream(body));
    match registry.store.append_upload(name, id, range, body).await {
        Err(crate::StoreError::Range { size }) => Err(Failure::from(crate::StoreError::Range { size })
            .with(header::RANGE, received(size))
            .with(header::LOCATION, location(name, id))),
        other => Ok(other?),
    }
}

/// First and last byte of a chunk: `<start>-<end>`, also with RFC 9110's `bytes ` and `/<size>` around.
fn content_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Failure> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let parse = || {
        let text = value.to_str().ok()?;
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split('/').next()?;
        let (start, end) = text.split_once('-')?;
        let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
        (start <= end).then_some((start, end))
    };
    parse()
        .map(Some)
        .ok_or_else(|| Failure::new(Code::RangeInvalid, "Content-Range reads <first byte>-<last byte>"))
}

fn body_stream(body: Body) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let frames = Box::pin(body.into_data_stream());
    futures_util::stream::unfold(Some(frames), |frames| async {
        let mut frames = frames?;
        match tokio::time::timeout(IDLE, frames.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(frames))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

fn location(name: &Repository, id: Uuid) -> HeaderValue {
    header_value(format!("/v2/{name}/blobs/uploads/{id}"))
}

/// What has arrived, as the spec writes it; `0-0` also stands for nothing.
fn received(size: u64) -> HeaderValue {
    header_value(format!("0-{}", size.saturating_sub(1)))
}

fn accepted(status: StatusCode, name: &Repository, id: Uuid, size: u64) -> Response {
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location(name, id));
    headers.insert(header::RANGE, received(size));
    headers.insert("docker-upload-uuid", header_value(id.to_string()));
    response
}

fn created(name: &Repository, digest: &Digest) -> Response {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(
        header::LOCATION,
        header_value(format!("/v2/{name}/blobs/{digest}")),
    );
    headers.insert(CONTENT_DIGEST, header_value(digest));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_says_where_it_belongs() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_RANGE, text.parse().unwrap());
            content_range(&headers)
        };
        assert_eq!(read("0-9").unwrap(), Some((0, 9)));
        assert_eq!(read("bytes 5-9/100").unwrap(), Some((5, 9)));
        assert_eq!(content_range(&HeaderMap::new()).unwrap(), None);
        for bad in ["9-5", "a-b", "5", "-5", ""] {
            assert_eq!(read(bad).unwrap_err().code(), Code::RangeInvalid, "{bad}");
        }
    }
}

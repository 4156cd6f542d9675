//! Blobs: HEAD, GET with one Range, DELETE.
//!
//! A whole blob is hashed on its way out and its last piece is held back until the hash fits, so that a blob
//! which the disk spoilt ends as a broken transfer and never as wrong bytes.

use super::{CONTENT_DIGEST, Code, Failure, Registry, empty, header_value};
use crate::name::Repository;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use pvdify_types::Digest;
use sha2::{Digest as _, Sha256};
use std::io;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Read from disk at a time.
const READ_BUFFER: usize = 256 * 1024;

pub(super) async fn respond(
    registry: &Registry,
    name: &Repository,
    digest: &Digest,
    parts: &Parts,
) -> Result<Response, Failure> {
    match parts.method {
        Method::DELETE => {
            registry.store.delete_blob(name, digest).await?;
            Ok(empty(StatusCode::ACCEPTED))
        }
        Method::HEAD => {
            // A HEAD is what a push asks before it relies on the blob.
            registry.store.has_blob(name, digest).await?;
            let (_, size) = registry.store.open_blob(name, digest).await?;
            Ok(with_headers(empty(StatusCode::OK), digest, size))
        }
        _ => get(registry, name, digest, &parts.headers).await,
    }
}

async fn get(
    registry: &Registry,
    name: &Repository,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let (file, size) = registry.store.open_blob(name, digest).await?;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(READ_BUFFER);
    let wanted = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| parse_range(text, size));
    match wanted {
        None => {
            let body = Body::from_stream(verified(file, digest.clone()));
            Ok(with_headers(response(StatusCode::OK, body), digest, size))
        }
        Some(Wanted::None) => Err(
            Failure::new(Code::RangeOfBlob, format!("the blob has {size} bytes"))
                .with(header::CONTENT_RANGE, header_value(format!("bytes */{size}"))),
        ),
        Some(Wanted::Part { start, end }) => {
            let failed = |error: io::Error| Failure::from(crate::StoreError::from(error));
            file.seek(io::SeekFrom::Start(start)).await.map_err(failed)?;
            let length = end - start + 1;
            let part = tokio_util::io::ReaderStream::with_capacity(file.take(length), READ_BUFFER);
            let mut answer = with_headers(
                response(StatusCode::PARTIAL_CONTENT, Body::from_stream(part)),
                digest,
                length,
            );
            answer.headers_mut().insert(
                header::CONTENT_RANGE,
                header_value(format!("bytes {start}-{end}/{size}")),
            );
            Ok(answer)
        }
    }
}

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn with_headers(mut response: Response, digest: &Digest, length: u64) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, header_value(length.to_string()));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CONTENT_DIGEST, header_value(digest));
    headers.insert(header::ETAG, header_value(format!("\"{digest}\"")));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response
}

/// The file's content, one piece behind the reading, and an error in place of the last piece if the hash is wrong.
fn verified(file: tokio::fs::File, digest: Digest) -> impl Stream<Item = io::Result<Bytes>> {
    struct Reading {
        file: tokio::fs::File,
        hasher: Sha256,
        held: Option<Bytes>,
    }
    let state = Some(Reading {
        file,
        hasher: Sha256::new(),
        held: None,
    });
    stream::try_unfold(state, move |state| {
        let digest = digest.clone();
        async move {
            let Some(mut reading) = state else { return Ok(None) };
            loop {
                let mut buffer = Vec::with_capacity(READ_BUFFER);
                let count = reading.file.read_buf(&mut buffer).await?;
                if count == 0 {
                    let hex = hex::encode(reading.hasher.finalize());
                    if hex != digest.hex() {
                        tracing::error!(blob = %digest, "a stored blob is damaged on disk; its transfer was broken off");
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "the stored blob is damaged",
                        ));
                    }
                    return Ok(reading.held.take().map(|last| (last, None)));
                }
                reading.hasher.update(&buffer);
                if let Some(piece) = reading.held.replace(buffer.into()) {
                    return Ok(Some((piece, Some(reading))));
                }
            }
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// No byte of the blob is in the range.
    None,
    /// First and last byte.
    Part { start: u64, end: u64 },
}

/// One range of RFC 9110 section 14.1.2; `None`, which means the whole blob, for several or for another unit.
fn parse_range(text: &str, size: u64) -> Option<Wanted> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok())?
    };
    let (start, end) = match (number(first), number(last)) {
        (Some(start), Some(end)) if start <= end => (start, end.min(size.saturating_sub(1))),
        (Some(start), None) if last.is_empty() => (start, size.saturating_sub(1)),
        (None, Some(suffix)) if first.is_empty() => {
            if suffix == 0 {
                return Some(Wanted::None);
            }
            (size.saturating_sub(suffix), size.saturating_sub(1))
        }
        _ => return None,
    };
    Some(if start >= size {
        Wanted::None
    } else {
        Wanted::Part { start, end }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_blob_or_ignored() {
        let part = |start, end| Some(Wanted::Part { start, end });
        let table = [
            ("bytes=0-3", part(0, 3)),
            ("bytes=5-", part(5, 9)),
            ("bytes=5-99", part(5, 9)),
            ("bytes=-4", part(6, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=10-", Some(Wanted::None)),
            ("bytes=-0", Some(Wanted::None)),
            ("bytes=3-1", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("items=0-1", None),
            ("bytes=99999999999999999999-", None),
        ];
        for (text, wanted) in table {
            assert_eq!(parse_range(text, 10), wanted, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Some(Wanted::None));
    }
}

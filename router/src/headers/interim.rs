//! Informational responses (1xx), which hyper's server has no way to send.

use super::connection::strip_hop_by_hop;
use http::{HeaderMap, StatusCode, Version, header::CONTENT_LENGTH};

/// An informational response as bytes; see [`crate::guard::Exchange::send_interim`].
pub(crate) fn interim_head(version: Version, status: StatusCode, headers: &HeaderMap) -> Option<Vec<u8>> {
    if version < Version::HTTP_11 {
        return None;
    }
    let mut headers = headers.clone();
    strip_hop_by_hop(&mut headers);
    headers.remove(CONTENT_LENGTH);
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_str(),
        status.canonical_reason().unwrap_or("Interim")
    )
    .into_bytes();
    for (name, value) in &headers {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

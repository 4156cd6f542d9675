//! What a proxy says of its client: `X-Forwarded-*`, and nobody else may say it.
//!
//! A trusted peer's values are kept and added to; of all other peers they are removed before ours are added, in
//! every spelling that some backend takes for the real one.

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};
use std::net::IpAddr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    /// The peer speaks for its own clients.
    pub(crate) trusted: bool,
    pub(crate) https: bool,
    pub(crate) port: u16,
}

/// Removes what only a proxy may say. Of a trusted one the usual four are kept; nobody's lookalikes are,
/// which CGI-like backends (WSGI, Rack, PHP) can't tell from the real: `X_Forwarded_For`.
pub(super) fn strip_spoofed(headers: &mut HeaderMap, trusted: bool) {
    let spoofed: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_spoofed(name.as_str(), trusted))
        .cloned()
        .collect();
    for name in spoofed {
        headers.remove(name);
    }
}

fn is_spoofed(name: &str, trusted: bool) -> bool {
    // `proxy` becomes HTTP_PROXY in a CGI-like backend, which then sends its own requests there.
    if matches!(name, "forwarded" | "proxy" | "x-request-start") {
        return true;
    }
    if name.contains('_') {
        let plain = name.replace('_', "-");
        return is_spoofed(&plain, false) || plain == super::X_REQUEST_ID.as_str();
    }
    let kept = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-host",
    ];
    (name.starts_with("x-forwarded-") && !(trusted && kept.contains(&name))) || name == "x-real-ip"
}

/// Says whom the request came from, and how.
pub(super) fn add_forwarded(headers: &mut HeaderMap, origin: Origin) {
    let peer = origin.peer.to_string();
    // Only a trusted peer's values are still here.
    let chain: Vec<&str> = headers
        .get_all(&X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let chain = if chain.is_empty() {
        peer
    } else {
        format!("{}, {peer}", chain.join(", "))
    };
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    let proto = if origin.https { "https" } else { "http" };
    keep_one(headers, &X_FORWARDED_PROTO, || {
        Some(HeaderValue::from_static(proto))
    });
    keep_one(headers, &X_FORWARDED_PORT, || {
        Some(HeaderValue::from(origin.port))
    });
    let host = headers.get(HOST).cloned();
    keep_one(headers, &X_FORWARDED_HOST, || host);
}

/// Keeps a trusted peer's single value; any other number of them is replaced by ours.
fn keep_one(headers: &mut HeaderMap, name: &HeaderName, ours: impl FnOnce() -> Option<HeaderValue>) {
    if headers.get_all(name).iter().count() == 1 {
        return;
    }
    headers.remove(name);
    if let Some(ours) = ours() {
        headers.insert(name, ours);
    }
}

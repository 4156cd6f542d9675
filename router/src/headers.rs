//! The headers that change on the way, both ways. Pure.
//!
//! Order matters: what `Connection` names goes first, then what clients may not say, and only then ours is
//! added; so no `Connection: X-Forwarded-For` can take ours away.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
        UPGRADE, VIA,
    },
};
use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};
use uuid::Uuid;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 pvdify");

/// Valid for one connection only (RFC 9110 section 7.6.1 and its history). `Trailer` is not among them: it
/// announces what follows a body that is passed on.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// What a request came over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    /// The peer speaks for its own clients.
    pub(crate) trusted: bool,
    pub(crate) https: bool,
    pub(crate) port: u16,
}

/// How the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Onward {
    pub(crate) chunked: bool,
    pub(crate) upgrade: bool,
}

/// Heroku's rule: a client's own request id is kept when it is 20 to 200 characters that can stand in any log.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_request_id(id.as_bytes()) => id.clone(),
        _ => HeaderValue::from_str(
            Uuid::now_v7()
                .hyphenated()
                .encode_lower(&mut Uuid::encode_buffer()),
        )
        .expect("a UUID is hexadecimal digits and hyphens"),
    }
}

fn is_request_id(id: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-+/=_.".contains(b);
    (20..=200).contains(&id.len()) && id.iter().all(plain)
}

/// Makes a client's headers those for the backend.
pub(crate) fn rewrite_request(
    headers: &mut HeaderMap,
    origin: Origin,
    id: &HeaderValue,
    onward: Onward,
    now: SystemTime,
) {
    let takes_trailers = has_token(headers, &TE, "trailers");
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    strip_spoofed(headers, origin.trusted);

    if onward.chunked {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.append(CONNECTION, HeaderValue::from_static("te"));
    }
    if let (true, Some(protocol)) = (onward.upgrade, protocol) {
        headers.insert(UPGRADE, protocol);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
    add_forwarded(headers, origin);
    headers.insert(X_REQUEST_ID, id.clone());
    let epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    headers.insert(
        X_REQUEST_START,
        HeaderValue::from(u64::try_from(epoch.as_millis()).unwrap_or(u64::MAX)),
    );
    headers.append(VIA, OUR_VIA);
}

/// Whether a response's body can be passed on: nobody was asked for codings other than chunked, and the client
/// would not learn of them.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Makes a backend's headers those for the client.
pub(crate) fn rewrite_response(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 section 6.3: the length beside it is void, and must not be passed on.
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
    headers.append(VIA, OUR_VIA);
}

/// Makes the headers of a 101 those for the client.
pub(crate) fn rewrite_switch(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned();
    strip_hop_by_hop(headers);
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
}

/// What a client may not say in a header, it may not say in a trailer.
pub(crate) fn rewrite_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    strip_spoofed(trailers, false);
    for name in [HOST, CONTENT_LENGTH, X_REQUEST_ID, VIA] {
        trailers.remove(name);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Without these the message means another one; no honest sender names them.
        .filter(|name| ![HOST, CONTENT_LENGTH, VIA].contains(name) && *name != X_REQUEST_ID)
        .filter(|name| !name.as_str().starts_with("x-forwarded-"))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Removes what only a proxy may say. Of a trusted one the usual four are kept; nobody's lookalikes are,
/// which CGI-like backends (WSGI, Rack, PHP) can't tell from the real: `X_Forwarded_For`.
fn strip_spoofed(headers: &mut HeaderMap, trusted: bool) {
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
        return is_spoofed(&plain, false) || plain == X_REQUEST_ID.as_str();
    }
    let kept = [
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-host",
    ];
    (name.starts_with("x-forwarded-") && !(trusted && kept.contains(&name))) || name == "x-real-ip"
}

fn add_forwarded(headers: &mut HeaderMap, origin: Origin) {
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

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// An informational response as bytes; see [`crate::guard::Exchange::send_interim`].
pub(crate) fn interim_head(
    version: Version,
    status: http::StatusCode,
    headers: &HeaderMap,
) -> Option<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Onward = Onward {
        chunked: false,
        upgrade: false,
    };

    fn origin(trusted: bool) -> Origin {
        Origin {
            peer: [192, 0, 2, 7].into(),
            trusted,
            https: false,
            port: 80,
        }
    }

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    fn rewritten(lines: &[(&str, &str)], trusted: bool, onward: Onward) -> HeaderMap {
        let mut map = headers(lines);
        let id = request_id(&map);
        rewrite_request(
            &mut map,
            origin(trusted),
            &id,
            onward,
            UNIX_EPOCH + std::time::Duration::from_millis(1234),
        );
        map
    }

    #[test]
    fn a_client_can_not_speak_as_a_proxy() {
        let map = rewritten(
            &[
                ("host", "a"),
                ("x-forwarded-for", "6.6.6.6"),
                ("x_forwarded_for", "6.6.6.6"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil"),
                ("x-forwarded-prefix", "/evil"),
                ("forwarded", "for=6.6.6.6"),
                ("x-real-ip", "6.6.6.6"),
                ("proxy", "http://evil"),
                ("x-request-start", "1"),
            ],
            false,
            PLAIN,
        );
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert_eq!(map["x-forwarded-host"], "a");
        assert_eq!(map["x-forwarded-port"], "80");
        assert_eq!(map["x-request-start"], "1234");
        assert_eq!(map["via"], "1.1 pvdify");
        for gone in [
            "forwarded",
            "x-real-ip",
            "proxy",
            "x-forwarded-prefix",
            "x_forwarded_for",
        ] {
            assert!(!map.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn a_trusted_proxy_speaks_for_its_clients() {
        let map = rewritten(
            &[
                ("host", "a"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-port", "443"),
                ("forwarded", "x"),
            ],
            true,
            PLAIN,
        );
        assert_eq!(map["x-forwarded-for"], "1.1.1.1, 192.0.2.7");
        assert_eq!(map["x-forwarded-proto"], "https");
        assert_eq!(map["x-forwarded-port"], "443");
        assert_eq!(map["x-forwarded-host"], "a");
        assert!(!map.contains_key("forwarded"));
    }

    #[test]
    fn what_connection_names_goes_but_nothing_that_is_ours() {
        let map = rewritten(
            &[
                ("host", "a"),
                (
                    "connection",
                    "close, X-Secret, x-forwarded-for, host, content-length, via, x-request-id",
                ),
                ("x-secret", "1"),
                ("content-length", "3"),
                ("keep-alive", "timeout=5"),
                ("proxy-authorization", "x"),
                ("upgrade", "websocket"),
            ],
            false,
            PLAIN,
        );
        for gone in [
            "connection",
            "x-secret",
            "keep-alive",
            "proxy-authorization",
            "upgrade",
        ] {
            assert!(!map.contains_key(gone), "{gone}");
        }
        for stays in ["host", "content-length", "x-forwarded-for", "via", "x-request-id"] {
            assert!(map.contains_key(stays), "{stays}");
        }
    }

    #[test]
    fn framing_trailers_and_upgrade_are_said_anew() {
        let map = rewritten(
            &[("host", "a"), ("te", "gzip, trailers"), ("connection", "te")],
            false,
            Onward {
                chunked: true,
                upgrade: false,
            },
        );
        assert_eq!(map["te"], "trailers");
        assert_eq!(map["transfer-encoding"], "chunked");
        let map = rewritten(
            &[("host", "a"), ("connection", "Upgrade"), ("upgrade", "websocket")],
            false,
            Onward {
                chunked: false,
                upgrade: true,
            },
        );
        assert_eq!(map["connection"], "upgrade");
        assert_eq!(map["upgrade"], "websocket");
    }

    #[test]
    fn a_request_id_is_kept_only_when_it_is_harmless() {
        let kept = |id: &str| request_id(&headers(&[("x-request-id", id)])) == id;
        assert!(kept("abcdefghij0123456789"));
        assert!(kept(&"a/b+c=d-e_f.".repeat(10)));
        assert!(!kept("tooshort"));
        assert!(!kept(&"a".repeat(201)));
        assert!(!kept("abcdefghij 0123456789"));
        assert!(!kept("abcdefghij\"0123456789"));
        let two = headers(&[
            ("x-request-id", "abcdefghij0123456789"),
            ("x-request-id", "abcdefghij0123456789"),
        ]);
        assert_eq!(request_id(&two).len(), 36);
    }
}

//! The headers that change on the way, both ways. Pure.
//!
//! Order matters: what `Connection` names goes first ([`connection`]), then what clients may not say, and only
//! then ours is added ([`forwarded`]); so no `Connection: X-Forwarded-For` can take ours away.

mod connection;
mod forwarded;
mod interim;
mod request_id;

pub(crate) use forwarded::Origin;
pub(crate) use interim::interim_head;
pub(crate) use request_id::request_id;

use connection::{has_token, strip_hop_by_hop};
use forwarded::{add_forwarded, strip_spoofed};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE, VIA},
};
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");
const OUR_VIA: HeaderValue = HeaderValue::from_static("1.1 pvdify");

/// How the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Onward {
    pub(crate) chunked: bool,
    pub(crate) upgrade: bool,
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

    pub(super) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
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
}

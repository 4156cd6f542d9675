//! To which names the API and the dashboard answer.
//!
//! A stranger can point a name of theirs at this server (DNS rebinding): then a browser takes their page for one
//! of ours and lets it read what we answer. The `Host` still says their name, so a name that is not ours is
//! refused before anything else looks at the request. An address is no name that could be pointed anywhere.
//! `--dev`, which wants no token, answers to loopback names alone. Health is told to whoever asks.

use super::{
    Web,
    error::{Answer, Refusal},
};
use axum::{
    extract::{Request, State},
    http::{StatusCode, header, uri::Authority},
    middleware::Next,
    response::Response,
};
use pvdify_types::route::host_without_port;
use std::{collections::BTreeSet, net::IpAddr};

/// Asked by load balancers and watchdogs, under whatever name they know.
const OPEN: [&str; 2] = ["/health", "/api/v1/health"];
/// A name is shown up to here.
const SHOWN: usize = 100;

/// The names, lower case.
#[derive(Clone, Debug)]
pub(super) enum Hosts {
    /// Of a `--dev` server.
    Loopback,
    /// Of an installed one: these, besides `localhost` and any address.
    Named(BTreeSet<String>),
}

impl Hosts {
    pub(super) fn new(dev: bool, names: &[String]) -> Self {
        if dev {
            Self::Loopback
        } else {
            Self::Named(names.iter().map(|name| name.to_ascii_lowercase()).collect())
        }
    }

    /// Whether a `Host` of this value, or a request line with it, is for us.
    fn fits(&self, host: &str) -> bool {
        match self {
            Self::Loopback => is_loopback(host),
            Self::Named(names) => {
                is_loopback(host)
                    || address(host).is_some()
                    || names.contains(&host_without_port(host).to_ascii_lowercase())
            }
        }
    }

    fn refuse(&self, host: Option<&str>) -> Refusal {
        let (error, hint) = match (self, host) {
            (Self::Loopback, _) => (
                "this server answers to localhost alone".to_owned(),
                "start it without --dev to reach it by another name",
            ),
            (Self::Named(_), host) => (
                match host {
                    Some(host) => {
                        let shown: String = host.chars().take(SHOWN).collect();
                        format!("this server does not answer to {shown:?}")
                    }
                    None => "the request names no host".to_owned(),
                },
                "reach it by its address, or list the name in PVDIFY_API_HOSTS on the server",
            ),
        };
        Refusal::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", error).hint(hint)
    }
}

/// Lets a request pass whose every name of a host is ours.
pub(super) async fn check(State(web): State<Web>, request: Request, next: Next) -> Answer<Response> {
    if !OPEN.contains(&request.uri().path()) {
        // An absolute request line overrides the Host header (RFC 9112 section 3.2.2): both must fit.
        let line = request.uri().authority().map(Authority::as_str);
        let mut hosts = request.headers().get_all(header::HOST).iter().peekable();
        if hosts.peek().is_none() {
            return Err(web.hosts.refuse(None));
        }
        let named = hosts.map(|host| host.to_str().unwrap_or_default());
        for host in named.chain(line) {
            if !web.hosts.fits(host) {
                return Err(web.hosts.refuse(Some(host)));
            }
        }
    }
    Ok(next.run(request).await)
}

/// Whether a `Host` names this machine to itself.
pub(super) fn is_loopback(host: &str) -> bool {
    host_without_port(host).eq_ignore_ascii_case("localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

fn address(host: &str) -> Option<IpAddr> {
    let name = host_without_port(host);
    match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?.parse().ok().map(IpAddr::V6),
        None => name.parse().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dev_server_answers_to_loopback_names_alone() {
        let hosts = Hosts::new(true, &["example.com".to_owned()]);
        for good in [
            "localhost",
            "LOCALHOST:9443",
            "127.0.0.1",
            "127.9.9.9:1",
            "[::1]:9443",
            "[::1]",
        ] {
            assert!(hosts.fits(good), "{good}");
        }
        for bad in [
            "",
            "demo.localhost",
            "localhost.evil.com",
            "10.0.0.1",
            "0.0.0.0",
            "127.0.0.1.evil.com",
            "example.com",
        ] {
            assert!(!hosts.fits(bad), "{bad}");
        }
    }

    #[test]
    fn a_server_answers_to_its_names_to_localhost_and_to_any_address() {
        let names = ["apps.example.com", "pvdify.apps.example.com", "Intranet"].map(str::to_owned);
        let hosts = Hosts::new(false, &names);
        for good in [
            "apps.example.com",
            "Pvdify.Apps.Example.Com:9443",
            "apps.example.com.",
            "intranet:443",
            "localhost:9443",
            "127.0.0.1:9443",
            "192.0.2.7",
            "[2001:db8::1]:9443",
        ] {
            assert!(hosts.fits(good), "{good}");
        }
        for bad in [
            "",
            ":9443",
            "evil.example",
            "demo.apps.example.com",
            "example.com",
            "apps.example.com.evil.example",
            "apps.example.com@evil.example",
            "evil.example@apps.example.com",
            "192.0.2.7.evil.example",
            "0x7f.1",
            "[apps.example.com]",
            "[127.0.0.1]",
            "apps.example.com:x",
            "apps.example.com, evil.example",
        ] {
            assert!(!hosts.fits(bad), "{bad}");
        }
    }
}

//! Who asks: a bearer token, or a loopback peer of a `--dev` server.
//!
//! `--dev` trusts the machine's own programs, not its browser: a page from elsewhere can reach loopback by
//! its own script (then the browser adds a foreign `Origin`) or by a DNS name that points there (then the
//! `Host` is that name). Both are refused. A token is no cookie: no browser adds it by itself.

use super::{
    Web,
    error::{Answer, Refusal},
    hosts,
};
use crate::app::{Principal, tokens::Presented};
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong tokens that one address may present in a [`WINDOW`]. A right one is always taken.
const MAX_STRANGERS: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered: a bound on memory.
const MAX_ADDRESSES: usize = 10_000;

/// Finds out who asks and hands the application on in their hands.
pub(super) async fn authenticate(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Answer<Response> {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let principal = match bearer(request.headers())? {
        Some(token) => with_token(&web, &token, peer).await?,
        None => without_token(&web, request.headers(), peer)?,
    };
    request.extensions_mut().insert(web.app.acting(principal));
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Answer<Option<String>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim().to_owned())
    });
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(unauthorised("the Authorization header reads \"Bearer TOKEN\"")),
    }
}

async fn with_token(web: &Web, token: &str, peer: Option<IpAddr>) -> Answer<Principal> {
    let problem = match web.app.authenticate(token).await? {
        Presented::Valid(principal) => return Ok(principal),
        Presented::Expired(at) => format!("this token expired {} ago", since(at)),
        Presented::Unknown => "this token is not known: it was revoked, or is of another server".to_owned(),
        Presented::Malformed => "this is no token: one has pvd_ and 43 characters".to_owned(),
    };
    if peer.is_some_and(|peer| web.strangers.too_many(peer)) {
        return Err(Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many wrong tokens from this address",
        )
        .hint("wait a minute")
        .header(header::RETRY_AFTER, "60"));
    }
    Err(unauthorised(problem))
}

fn without_token(web: &Web, headers: &HeaderMap, peer: Option<IpAddr>) -> Answer<Principal> {
    let local = web.settings.dev && peer.is_some_and(|peer| peer.is_loopback());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| local && hosts::is_loopback(host)) else {
        return Err(unauthorised("this needs a token"));
    };
    match headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or_default())
    {
        None => Ok(Principal::LocalDev),
        Some(origin) if origin == format!("http://{host}") => Ok(Principal::LocalDev),
        Some(_) => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "a page of another origin asked for this",
        )),
    }
}

fn unauthorised(error: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", error)
        .hint("make one on the server with pvdifyd token create, and set PVDIFY_TOKEN")
        .header(header::WWW_AUTHENTICATE, "Bearer")
}

/// As `3 d`.
fn since(millis: i64) -> String {
    let seconds = (crate::store::now() - millis).max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// URLs stand in logs, histories and referrers.
pub(super) async fn refuse_token_in_query(request: Request, next: Next) -> Answer<Response> {
    let named = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        ["token", "access_token", "api_key", "authorization"]
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word))
    };
    if request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(named))
    {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "token_in_query",
            "a token does not belong into a URL",
        )
        .hint("send it as Authorization: Bearer TOKEN, and revoke the one that was sent"));
    }
    Ok(next.run(request).await)
}

/// Addresses that presented wrong tokens. Keyed by the peer, never by a header.
#[derive(Default)]
pub(super) struct Strangers {
    seen: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Strangers {
    /// Counts one more.
    fn too_many(&self, peer: IpAddr) -> bool {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_ADDRESSES {
            seen.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        let (since, count) = seen.entry(peer).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count > MAX_STRANGERS
    }
}

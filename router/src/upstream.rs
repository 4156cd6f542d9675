//! One request's way to an instance: which connection, what may be tried again, how long to wait.
//!
//! Tried again:
//! - on another instance, when no connection came up: not a byte was sent, so any method may;
//! - on the same, when the connection gave the request back unsent;
//! - on the same, once, when a *reused* connection was closed before a byte of the answer, and the request
//!   is idempotent and has no body: then it was most likely closed while idle (RFC 9110 section 9.2.2).
//!
//! A request that could not be tried again takes a reused connection only when it was in use a moment ago:
//! an instance that closes idle connections does not close those.

use crate::{
    backend::{Instance, Lease},
    body::{Progress, RequestBody, ResponseDeadline},
    config::Limits,
    error_page::Failure,
    guard::Exchange,
    headers,
    pool::{Pool, Sender},
    routes::{NoRoute, Routes},
    stall::Stall,
};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use pvdify_types::{AppName, InstanceId};
use std::{io, sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::Instant};

/// No server closes a connection that was used so short a time ago.
const SURELY_OPEN: Duration = Duration::from_secs(1);

/// Instances tried for one request (Heroku: 10): each may take the whole connect timeout.
const MAX_TRIED: usize = 10;

/// What a thread's requests share.
pub(crate) struct Upstream {
    pub(crate) routes: Arc<Routes>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) limits: Arc<Limits>,
}

/// A request ready to go, apart from where.
pub(crate) struct Outgoing {
    pub(crate) host: String,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The client's body; none when it announced none.
    pub(crate) body: Option<Incoming>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) upgrade: bool,
    /// Where informational responses go, if the client can take any.
    pub(crate) interim: Option<(Arc<Exchange>, Version)>,
}

/// An instance's answer, with what it holds.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Sender,
    pub(crate) lease: Lease,
}

/// Filled in on the way, for the access log.
#[derive(Default)]
pub(crate) struct Trace {
    pub(crate) app: Option<AppName>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) connect: Option<Duration>,
}

/// How one attempt ended.
enum Attempt {
    Answered(Box<(Response<Incoming>, Sender)>),
    /// The request came back untouched.
    Unsent(Box<Request<RequestBody>>),
    /// It may have been seen.
    Failed(Failure),
}

impl Upstream {
    /// Sends a request to an instance of its host's app and gives the answer's head.
    pub(crate) async fn send(&self, outgoing: Outgoing, trace: &mut Trace) -> Result<Answer, Failure> {
        let replayable = outgoing.body.is_none() && outgoing.method.is_idempotent() && !outgoing.upgrade;
        let max_age = if replayable { Duration::MAX } else { SURELY_OPEN };
        let Outgoing {
            host,
            upgrade,
            progress,
            interim,
            ..
        } = &outgoing;
        let (host, upgrade, progress, interim) =
            (host.clone(), *upgrade, Arc::clone(progress), interim.clone());
        let mut request = outgoing.into_request();
        let mut tried = Vec::new();
        let mut may_replay = replayable;
        while tried.len() < MAX_TRIED {
            let (lease, app) = self
                .routes
                .lease(&host, &tried)
                .map_err(|none| failure_of(none, trace))?;
            let instance = Arc::clone(lease.instance());
            trace.app = Some(app);
            trace.instance = Some(instance.id.clone());

            let pooled = if upgrade {
                None
            } else {
                self.pool.take(&instance, max_age)
            };
            let reused = pooled.is_some();
            let sender = match pooled {
                Some(sender) => sender,
                None => match self.connect(&instance, upgrade, trace).await {
                    Ok(sender) => sender,
                    Err(_) => {
                        tried.push(instance.key);
                        continue;
                    }
                },
            };
            let copy = (reused && may_replay).then(|| copy_of(&request));
            if let Some((exchange, version)) = &interim {
                forward_interim(&mut request, &progress, exchange, *version);
            }
            match self.attempt(sender, request, &progress).await {
                Attempt::Answered(answered) => {
                    let (response, connection) = *answered;
                    return Ok(Answer {
                        response,
                        connection,
                        lease,
                    });
                }
                Attempt::Unsent(unsent) => {
                    request = *unsent;
                    if !reused {
                        instance.mark_dead();
                        tried.push(instance.key);
                    }
                }
                Attempt::Failed(Failure::NoAnswer) if copy.is_some() => {
                    may_replay = false;
                    request = copy.ok_or(Failure::NoAnswer)?;
                }
                Attempt::Failed(failure) => return Err(failure),
            }
        }
        Err(Failure::Unreachable)
    }

    async fn connect(&self, instance: &Instance, upgrade: bool, trace: &mut Trace) -> io::Result<Sender> {
        let start = Instant::now();
        let connected = tokio::time::timeout(self.limits.connect, TcpStream::connect(instance.address)).await;
        trace.connect = Some(start.elapsed());
        let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => stream,
            Err(error) => {
                instance.mark_dead();
                tracing::debug!(instance = instance.id.as_str(), %error, "no connection to an instance");
                return Err(error);
            }
        };
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        instance.mark_alive();
        // What ends a connection reaches the request on it, or nobody cares.
        if upgrade {
            tokio::spawn(async move { drop(connection.with_upgrades().await) });
        } else {
            tokio::spawn(async move { drop(connection.await) });
        }
        Ok(sender)
    }

    async fn attempt(
        &self,
        mut sender: Sender,
        request: Request<RequestBody>,
        progress: &Progress,
    ) -> Attempt {
        let mut deadline = ResponseDeadline::new(self.limits.response_header);
        let response = sender.try_send_request(request);
        tokio::pin!(response);
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut response => break outcome,
                () = progress.changed.notified() => {
                    if progress.is_flooded() {
                        return Attempt::Failed(Failure::BadAnswer);
                    }
                    deadline.restart();
                }
                () = tokio::time::sleep_until(deadline.at()) => {
                    if progress.is_sent() {
                        return Attempt::Failed(Failure::Timeout);
                    }
                    deadline.restart();
                }
            }
        };
        match outcome {
            Ok(response) => Attempt::Answered(Box::new((response, sender))),
            Err(mut error) => match error.take_message() {
                Some(request) => Attempt::Unsent(Box::new(request)),
                None if error.error().is_parse() => Attempt::Failed(Failure::BadAnswer),
                None => Attempt::Failed(Failure::NoAnswer),
            },
        }
    }
}

impl Outgoing {
    fn into_request(self) -> Request<RequestBody> {
        let body = match self.body {
            Some(body) => RequestBody::Streaming {
                body,
                progress: self.progress,
                wait: Stall::default(),
            },
            None => RequestBody::Empty,
        };
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.headers_mut() = self.headers;
        request
    }
}

/// Only of requests without a body.
fn copy_of(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn forward_interim(
    request: &mut Request<RequestBody>,
    progress: &Arc<Progress>,
    exchange: &Arc<Exchange>,
    version: Version,
) {
    let (progress, exchange) = (Arc::clone(progress), Arc::clone(exchange));
    hyper::ext::on_informational(request, move |response| {
        if progress.count_interim() {
            return;
        }
        if response.status() == http::StatusCode::CONTINUE {
            // hyper's server says 100 itself, once the body is asked for.
            progress.open_gate();
        } else if let Some(head) = headers::interim_head(version, response.status(), response.headers()) {
            exchange.send_interim(&head);
        }
    });
}

fn failure_of(none: NoRoute, trace: &mut Trace) -> Failure {
    let (failure, app) = match none {
        NoRoute::NoTable => (Failure::Starting, None),
        NoRoute::UnknownHost => (Failure::UnknownHost, None),
        NoRoute::Maintenance(app) => (Failure::Maintenance, Some(app)),
        NoRoute::NoInstance(app) => (Failure::NoInstance, Some(app)),
        NoRoute::Exhausted(app) => (Failure::Unreachable, Some(app)),
    };
    trace.app = app;
    failure
}

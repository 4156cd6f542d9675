//! A request's way through the router, on one page.
//!
//! 1. The guard's word: was the head refused, is an upgrade asked for?
//! 2. Request id and access record: from here on every way out is logged.
//! 3. Headers: hop-by-hop out, ours in.
//! 4. `upstream`: host -> app -> instance -> connection, with its retries.
//! 5. The answer: an upgrade becomes a tunnel, a body streams, a failure gets a page.

use crate::{
    access_log::Record,
    admission::Place,
    body::{Progress, ResponseBody},
    error_page::{self, Failure},
    guard::{Busy, Exchange, Refusal, Upgrade},
    headers::{self, Onward, Origin},
    upgrade::tunnel,
    upstream::{Answer, Outgoing, Trace, Upstream},
};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{ACCEPT, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING},
};
use hyper::{
    body::{Body, Incoming},
    upgrade::OnUpgrade,
};
use std::{sync::Arc, time::SystemTime};
use tokio_util::task::TaskTracker;

/// What the requests of one client connection share.
pub(crate) struct Connection {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) origin: Origin,
    /// Upgraded connections outlive hyper's; a stop waits for them too.
    pub(crate) tunnels: TaskTracker,
    pub(crate) place: Arc<Place>,
}

impl Connection {
    /// Answers one request; there is no request without an answer, so no error.
    pub(crate) async fn serve(self: Arc<Self>, mut request: Request<Incoming>) -> Response<ResponseBody> {
        let place = self.exchange.next_request();
        let busy = self.exchange.busy();
        let id = headers::request_id(request.headers());
        if let Some(refusal) = self.exchange.refusal_of(place) {
            // The request that hyper saw is a stand-in: nothing in it is the client's.
            let record = Box::new(Record::new(Method::default(), String::new(), String::new(), id));
            return failed(Failure::Refused(refusal), None, record);
        }

        let upgrade = self.exchange.wants_upgrade(place);
        let client = upgrade.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        let host = host_of(&parts.headers);
        let mut record = Box::new(Record::new(
            parts.method.clone(),
            host.clone(),
            parts.uri.path().to_owned(),
            id.clone(),
        ));
        let has_body = parts.headers.contains_key(TRANSFER_ENCODING) || !body.is_end_stream();
        let progress = Arc::new(Progress::new(has_body, parts.headers.contains_key(EXPECT)));
        record.progress = Some(Arc::clone(&progress));

        let accept = parts.headers.get(ACCEPT).cloned();
        let onward = Onward {
            chunked: parts.headers.contains_key(TRANSFER_ENCODING),
            upgrade,
        };
        headers::rewrite_request(&mut parts.headers, self.origin, &id, onward, SystemTime::now());
        let outgoing = Outgoing {
            host,
            method: parts.method.clone(),
            uri: origin_form(&parts.uri),
            headers: parts.headers,
            body: has_body.then_some(body),
            progress: Arc::clone(&progress),
            upgrade,
            interim: Some((Arc::clone(&self.exchange), parts.version)),
        };

        let mut trace = Trace::default();
        let outcome = self.upstream.send(outgoing, &mut trace).await;
        record.first_byte = Some(record.start.elapsed());
        record.app = trace.app;
        record.instance = trace.instance;
        record.connect = trace.connect;
        match outcome {
            Ok(answer) => self.pass_on(answer, &parts.method, client, busy, record, accept.as_ref()),
            Err(failure) => {
                if upgrade {
                    self.exchange.settle_upgrade(Upgrade::Declined);
                }
                failed(self.blame(failure, &progress), accept.as_ref(), record)
            }
        }
    }

    /// An instance that broke off because the client's body did is not at fault.
    fn blame(&self, failure: Failure, progress: &Progress) -> Failure {
        match self.exchange.body_refusal() {
            Some(refusal) if progress.client_failed() => Failure::Refused(refusal),
            None if progress.client_failed() => {
                Failure::Refused(Refusal::Malformed("The request's body broke off."))
            }
            _ => failure,
        }
    }

    fn pass_on(
        &self,
        answer: Answer,
        method: &Method,
        client: Option<OnUpgrade>,
        busy: Busy,
        mut record: Box<Record>,
        accept: Option<&HeaderValue>,
    ) -> Response<ResponseBody> {
        let Answer {
            mut response,
            connection,
            lease,
        } = answer;
        let limits = &self.upstream.limits;
        *response.version_mut() = Version::HTTP_11;
        record.status = Some(response.status());

        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some(client) = client else {
                // Nobody asked: what follows is no HTTP.
                return failed(Failure::BadAnswer, accept, record);
            };
            self.exchange.settle_upgrade(Upgrade::Accepted);
            let backend = hyper::upgrade::on(&mut response);
            headers::rewrite_switch(response.headers_mut());
            let idle = limits.stream_idle;
            let place = Arc::clone(&self.place);
            self.tunnels.spawn(async move {
                tunnel(client, backend, idle, lease, record).await;
                drop((busy, connection, place));
            });
            return response.map(|_| ResponseBody::Empty);
        }

        if client.is_some() {
            self.exchange.settle_upgrade(Upgrade::Declined);
        }
        if headers::is_coded(response.headers()) {
            return failed(Failure::BadAnswer, accept, record);
        }
        headers::rewrite_response(response.headers_mut());
        if matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) && *method != Method::HEAD
        {
            // They have no body; hyper would log a warning for each.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let pool = Arc::clone(&self.upstream.pool);
        let stream_idle = limits.stream_idle;
        response.map(|body| {
            ResponseBody::streaming(body, stream_idle, connection, pool, lease, record, Some(busy))
        })
    }
}

/// The guard let exactly one valid `Host` through.
fn host_of(headers: &HeaderMap) -> String {
    headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Backends get a path, also when the client sent a whole URL (RFC 9112 section 3.2.2).
fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from)
}

fn failed(failure: Failure, accept: Option<&HeaderValue>, mut record: Box<Record>) -> Response<ResponseBody> {
    let page = error_page::page(failure, &record.request_id, accept);
    record.status = Some(failure.status());
    record.fail(failure.code(), failure.text());
    record.add_bytes(page.body().len());
    record.complete();
    page.map(|text| ResponseBody::page(text, record))
}

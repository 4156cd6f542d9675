//! One line for each request, at its end, with target `access`.
//!
//! Never in it: the query string (it may hold secrets), any header's value but the host that was checked and
//! the request id that was checked.

use http::{HeaderValue, Method, StatusCode};
use pvdify_types::{AppName, InstanceId};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::body::Progress;

/// Written when dropped, so that no way out of a request goes unlogged.
pub(crate) struct Record {
    pub(crate) start: Instant,
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) request_id: HeaderValue,
    pub(crate) app: Option<AppName>,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) connect: Option<Duration>,
    /// From the start to the response's head.
    pub(crate) first_byte: Option<Duration>,
    pub(crate) progress: Option<Arc<Progress>>,
    bytes: u64,
    /// Heroku's code, and what happened.
    failure: Option<(&'static str, &'static str)>,
    complete: bool,
}

impl Record {
    pub(crate) fn new(method: Method, host: String, path: String, request_id: HeaderValue) -> Self {
        Self {
            start: Instant::now(),
            method,
            host,
            path,
            request_id,
            app: None,
            instance: None,
            status: None,
            connect: None,
            first_byte: None,
            progress: None,
            bytes: 0,
            failure: None,
            complete: false,
        }
    }

    pub(crate) fn add_bytes(&mut self, count: usize) {
        self.bytes += count as u64;
    }

    pub(crate) fn fail(&mut self, code: &'static str, what: &'static str) {
        self.failure.get_or_insert((code, what));
    }

    /// The response went out to its last byte.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !tracing::enabled!(target: "access", tracing::Level::INFO) {
            return;
        }
        if !self.complete {
            self.fail("H27", "the client went away");
        }
        let (code, failure) = self.failure.unzip();
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "access",
            method = self.method.as_str(),
            host = self.host,
            path = self.path,
            // 499: no answer was given, as the client had left.
            status = self.status.map_or(499, |status| status.as_u16()),
            code,
            failure,
            app = self.app.as_ref().map(AppName::as_str),
            instance = self.instance.as_ref().map(InstanceId::as_str),
            request_id = self.request_id.to_str().unwrap_or_default(),
            bytes_in = self.progress.as_ref().map_or(0, |progress| progress.received.load(Relaxed)),
            bytes_out = self.bytes,
            connect_ms = self.connect.map(milliseconds),
            first_byte_ms = self.first_byte.map(milliseconds),
            service_ms = milliseconds(self.start.elapsed()),
        );
    }
}

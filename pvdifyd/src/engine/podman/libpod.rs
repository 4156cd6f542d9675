//! The few libpod calls that the Docker-compatible API lacks: HTTP over Podman's Unix socket.
//!
//! One connection a call: Podman's service is local, and a kept connection would have to be watched for the
//! service's restart.

use crate::engine::{EngineError, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{io, net::UnixStream};

/// The oldest libpod API that has all that is used here: Podman 4.0.
const BASE: &str = "http://podman/v4.0.0/libpod";
/// For calls that do not wait for anything outside.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Talks to one socket.
#[derive(Clone, Debug)]
pub(crate) struct Libpod {
    socket: PathBuf,
}

/// A status and the whole body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Libpod {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.call("GET", path, None, None, CALL_TIMEOUT).await
    }

    pub(crate) async fn post(&self, path: &str, body: Option<&serde_json::Value>) -> Result<Reply> {
        self.call("POST", path, body, None, CALL_TIMEOUT).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Reply> {
        self.call("DELETE", path, None, None, CALL_TIMEOUT).await
    }

    /// Any call. `registry_auth` is the value of `X-Registry-Auth`.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&serde_json::Value>,
        registry_auth: Option<&str>,
        timeout: Duration,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("{BASE}{path}"));
        request = request.header(header::HOST, "podman");
        if let Some(auth) = registry_auth {
            request = request.header("x-registry-auth", auth);
        }
        let body = match body {
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        let request = request
            .body(Full::new(body))
            .map_err(|error| EngineError::Refused(format!("podman {method} {path}: {error}")))?;
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| {
            EngineError::Unavailable(format!("podman socket {}: {error}", self.socket.display()))
        })?;
        let answer = tokio::time::timeout(timeout, send(stream, request)).await;
        match answer {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(EngineError::Unavailable(format!(
                "podman {method} {path}: {error}"
            ))),
            Err(_) => Err(EngineError::Unavailable(format!(
                "podman {method} {path}: no answer within {} seconds",
                timeout.as_secs()
            ))),
        }
    }
}

/// One request over one connection, its answer read whole.
pub(super) async fn send<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> std::result::Result<Reply, hyper::Error>
where
    S: io::AsyncRead + io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; its error is the sender's too.
    let driver = tokio::spawn(connection);
    let answer: Response<_> = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    driver.abort();
    Ok(Reply { status, body })
}

impl Reply {
    /// `None` for what is not there, the answer for 2xx and 304, Podman's own words for anything else.
    ///
    /// What is being removed while it is asked for comes as status 500 with the cause of a 404.
    pub(crate) fn found(self, what: &str) -> Result<Option<Self>> {
        let gone = matches!(
            self.cause().as_deref(),
            Some("no such container" | "network not found")
        );
        if self.status == StatusCode::NOT_FOUND || gone {
            return Ok(None);
        }
        self.done(what).map(Some)
    }

    /// The answer for 2xx and 304, Podman's own words for anything else.
    pub(crate) fn done(self, what: &str) -> Result<Self> {
        if self.status.is_success() || self.status == StatusCode::NOT_MODIFIED {
            return Ok(self);
        }
        Err(EngineError::Refused(format!("{what}: {}", self.message())))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            EngineError::Refused(format!("{what}: podman's answer is not understood: {error}"))
        })
    }

    /// The `cause` of an error body: a fixed word, where the message is for people.
    fn cause(&self) -> Option<String> {
        self.error().map(|error| error.cause)
    }

    fn error(&self) -> Option<ErrorBody> {
        let failed = !self.status.is_success();
        failed.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// The `message` of an error body, else the body.
    pub(crate) fn message(&self) -> String {
        match self.error() {
            Some(error) => error.message,
            None => format!("{} {}", self.status, String::from_utf8_lossy(&self.body).trim()),
        }
    }
}

#[derive(serde::Deserialize)]
struct ErrorBody {
    #[serde(default)]
    cause: String,
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn what_is_gone_is_none_whatever_its_status() {
        let gone = r#"{"cause":"no such container","message":"container a does not exist","response":500}"#;
        assert!(reply(500, gone).found("inspect").unwrap().is_none());
        assert!(reply(404, "").found("inspect").unwrap().is_none());
        assert!(reply(200, gone).found("inspect").unwrap().is_some());
    }

    #[test]
    fn a_refusal_is_in_podmans_words() {
        let body = r#"{"cause":"OCI runtime error","message":"runc: wrong rlimit","response":500}"#;
        let error = reply(500, body).done("start web.1").err().unwrap();
        assert_eq!(
            error,
            EngineError::Refused("start web.1: runc: wrong rlimit".into())
        );
    }
}

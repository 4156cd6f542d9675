//! How a call travels: a connection, a request, its answer as a stream or read whole.
//!
//! Paths are given without the version, as in `/libpod/info`. Every status that is no success comes back as
//! [`PodmanError::Refused`] with Podman's own words.

use super::{Body, Libpod, PodmanError, empty_body, error::found, full_body};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::net::UnixStream;

/// The API version asked for: the oldest whose answers this client reads.
const VERSION: &str = "/v4.0.0";
/// A connection that a container has taken over.
pub(super) type Hijacked = TokioIo<Upgraded>;
/// The largest answer that is read whole.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

impl Libpod {
    /// Sends a request and gives the answer once its head is there, however long that takes: Podman may send
    /// the head with the first line of a stream.
    ///
    /// # Errors
    /// [`PodmanError`]; every status that is no success is [`PodmanError::Refused`].
    pub async fn request(
        &self,
        method: Method,
        path_and_query: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>, PodmanError> {
        let socket = UnixStream::connect(&self.socket).await.map_err(|source| {
            let socket = self.socket.to_path_buf();
            PodmanError::Connect { socket, source }
        })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(async move {
            // Its error is also the sender's or the body's, where it is handled.
            connection.with_upgrades().await.ok();
        });
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{VERSION}{path_and_query}"))
            .header(header::HOST, "podman")
            .body(body)
            .map_err(|error| PodmanError::Answer(error.to_string()))?;
        request.headers_mut().extend(headers);
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status.is_success() || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS)
        {
            return Ok(response);
        }
        Err(match whole(response).await {
            Ok(body) => PodmanError::refusal(status, &body),
            Err(error) => PodmanError::refusal(status, error.to_string().as_bytes()),
        })
    }

    /// GET, the answer read as JSON.
    ///
    /// # Errors
    /// As [`Libpod::request`], or [`PodmanError::TimedOut`].
    pub async fn get<T: DeserializeOwned>(&self, path_and_query: &str) -> Result<T, PodmanError> {
        parse(&self.call(Method::GET, path_and_query, None::<&()>).await?)
    }

    /// POST of a JSON value, the answer read whole.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn post(&self, path_and_query: &str, body: &impl Serialize) -> Result<Bytes, PodmanError> {
        self.call(Method::POST, path_and_query, Some(body)).await
    }

    /// POST of nothing, the answer read whole.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn post_empty(&self, path_and_query: &str) -> Result<Bytes, PodmanError> {
        self.call(Method::POST, path_and_query, None::<&()>).await
    }

    /// DELETE; that it is gone already is no error.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn delete(&self, path_and_query: &str) -> Result<(), PodmanError> {
        let deleted = self.call(Method::DELETE, path_and_query, None::<&()>).await;
        found(deleted).map(|_| ())
    }

    /// A call within the time limit, the answer read whole.
    pub(super) async fn call(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Bytes, PodmanError> {
        let answer = async { whole(self.send_json(method.clone(), path_and_query, body).await?).await };
        limited(self.limit, &method, path_and_query, answer).await
    }

    /// A POST that waits for something outside Podman, its answer read whole.
    pub(super) async fn post_unlimited(&self, path_and_query: &str) -> Result<Bytes, PodmanError> {
        whole(self.send_json(Method::POST, path_and_query, None::<&()>).await?).await
    }

    /// A POST whose answer is a stream: its head comes within the time limit, its end when it ends.
    pub(super) async fn stream(
        &self,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, PodmanError> {
        let head = self.send_json(Method::POST, path_and_query, body);
        limited(self.limit, &Method::POST, path_and_query, head).await
    }

    /// A POST after which the connection is no longer HTTP but a container's own, both ways.
    pub(super) async fn hijack(
        &self,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Hijacked, PodmanError> {
        let asked = [
            (header::CONNECTION, HeaderValue::from_static("Upgrade")),
            (header::UPGRADE, HeaderValue::from_static("tcp")),
        ];
        let upgraded = async {
            let headers = HeaderMap::from_iter(asked);
            let answer = self
                .send_with(Method::POST, path_and_query, headers, body)
                .await?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                let status = answer.status();
                return Err(PodmanError::Answer(format!(
                    "{status} where a connection was asked for"
                )));
            }
            Ok(TokioIo::new(hyper::upgrade::on(answer).await?))
        };
        limited(self.limit, &Method::POST, path_and_query, upgraded).await
    }

    async fn send_json(
        &self,
        method: Method,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, PodmanError> {
        self.send_with(method, path_and_query, HeaderMap::new(), body)
            .await
    }

    async fn send_with(
        &self,
        method: Method,
        path_and_query: &str,
        mut headers: HeaderMap,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, PodmanError> {
        let body = match body {
            None => empty_body(),
            Some(value) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let bytes = serde_json::to_vec(value);
                full_body(bytes.map_err(|error| PodmanError::Answer(error.to_string()))?)
            }
        };
        self.request(method, path_and_query, headers, body).await
    }
}

/// Gives a call this long.
pub(super) async fn limited<T>(
    limit: Duration,
    method: &Method,
    path_and_query: &str,
    call: impl Future<Output = Result<T, PodmanError>>,
) -> Result<T, PodmanError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(_) => {
            let path = path_and_query.split('?').next().unwrap_or_default();
            let call = format!("{method} {path}");
            Err(PodmanError::TimedOut { call, limit })
        }
    }
}

/// Reads an answer of one JSON value.
pub(super) fn parse<T: DeserializeOwned>(answer: &[u8]) -> Result<T, PodmanError> {
    serde_json::from_slice(answer).map_err(|error| PodmanError::Answer(error.to_string()))
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, PodmanError> {
    let collected = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    Ok(collected
        .map_err(|error| PodmanError::Answer(error.to_string()))?
        .to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn a_podman_that_takes_the_call_and_never_answers_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let held = tokio::spawn(async move { listener.accept().await });
        let podman = Libpod::new(socket).within(Duration::from_millis(50));
        let error = podman.get::<()>("/libpod/info?secret=1").await.unwrap_err();
        assert!(
            matches!(&error, PodmanError::TimedOut { call, .. } if call == "GET /libpod/info"),
            "{error}"
        );
        held.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_socket_that_nobody_listens_on_is_named() {
        let podman = Libpod::new("/nowhere/podman.sock".into());
        let error = podman.get::<()>("/libpod/info").await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/podman.sock"), "{error}");
    }
}

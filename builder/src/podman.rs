//! A small HTTP client of Podman's API over its Unix socket.
//!
//! One connection per request: a streamed build or log holds its own, and dropping a response closes it,
//! which is how Podman learns that nobody listens any more. Paths are given without the version, as in
//! `/libpod/info` or, for the Docker-compatible half, `/containers/json`. What Podman refuses comes back as
//! [`PodmanError::Refused`] with Podman's own words.

use crate::failure;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use pvdify_types::Digest;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap, fmt, fmt::Write as _, io, path::Path, path::PathBuf, sync::Arc, time::Duration,
};
use thiserror::Error;
use tokio::net::UnixStream;

/// The API version asked for: the oldest whose answers this client reads.
const VERSION: &str = "/v4.0.0";
/// The largest answer read as one JSON value.
const MAX_JSON: usize = 32 * 1024 * 1024;
/// The longest line of a streamed answer.
const MAX_LINE: usize = 1024 * 1024;
/// How often Podman is asked what others' removals disturb.
const TRIES: u32 = 5;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);
const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// A request's body.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Why Podman did not do it.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub enum PodmanError {
    #[error("Podman's socket {socket} does not answer: {source}")]
    Connect { socket: PathBuf, source: io::Error },
    #[error("Podman broke off: {0}")]
    Broken(#[from] hyper::Error),
    #[error("Podman: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("Podman's answer is not understood: {0}")]
    Answer(String),
}

impl PodmanError {
    /// Whether what was asked for does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether another user of Podman's storage removed something while this was done: asked again, Podman may
    /// well do it.
    #[must_use]
    pub fn is_storage_changed(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if failure::storage_changed(message))
    }
}

/// A registry's user and password, sent in a header and never shown.
#[derive(Clone, Serialize)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryAuth({}, ***)", self.username)
    }
}

/// A query being written, each value percent-encoded.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&percent_encode(&value.to_string()));
        self
    }

    /// A path with this query.
    #[must_use]
    pub fn on(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String can't fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// An empty body.
#[must_use]
pub fn empty_body() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body held in memory.
#[must_use]
pub fn full_body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body read from a stream as it is sent.
#[must_use]
pub fn stream_body(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(stream.map_ok(Frame::data)))
}

/// A client of one Podman service.
#[derive(Clone, Debug)]
pub struct Libpod {
    socket: Arc<Path>,
}

/// What `/libpod/info` says, as far as it is used.
#[derive(Clone, Debug, Deserialize)]
pub struct Info {
    /// Where Podman keeps images and containers.
    pub store: InfoStore,
}

/// Podman's storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InfoStore {
    /// The folder.
    pub graph_root: PathBuf,
    /// `overlay`, `vfs`, ...
    pub graph_driver_name: String,
}

/// An image in Podman's storage.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LocalImage {
    /// The digest of its config, without `sha256:`.
    pub id: String,
    /// `name:tag` and `name@digest`; none for one that nothing names.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// Names it had.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<String>,
    /// Labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// When its last layer was made, in seconds since 1970.
    pub created: i64,
    /// Bytes, those shared with other images included.
    #[serde(default)]
    pub size: u64,
}

/// Podman writes `null` for an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One line of a push's or pull's progress.
#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    error: String,
    #[serde(default)]
    id: String,
    #[serde(default, rename = "manifestdigest")]
    manifest_digest: String,
}

impl Libpod {
    /// A client of the service that listens on `socket`; nothing is connected yet.
    #[must_use]
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Sends a request and gives the answer once its head is there.
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
            connection.await.ok();
        });
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{VERSION}{path_and_query}"))
            .header(header::HOST, "podman")
            .body(body)
            .map_err(|error| PodmanError::Answer(error.to_string()))?;
        request.headers_mut().extend(headers);
        let response = sender.send_request(request).await?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            Ok(response)
        } else {
            Err(refusal(response).await)
        }
    }

    /// GET, the answer read as JSON.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn get<T: DeserializeOwned>(&self, path_and_query: &str) -> Result<T, PodmanError> {
        let response = self
            .request(Method::GET, path_and_query, HeaderMap::new(), empty_body())
            .await?;
        read_json(response).await
    }

    /// POST of a JSON value, the answer as it comes.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn post(
        &self,
        path_and_query: &str,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, PodmanError> {
        let mut headers = HeaderMap::new();
        let body = match body {
            None => empty_body(),
            Some(value) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let bytes = serde_json::to_vec(value);
                full_body(bytes.map_err(|error| PodmanError::Answer(error.to_string()))?)
            }
        };
        self.request(Method::POST, path_and_query, headers, body).await
    }

    /// DELETE; that it is gone already is no error.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn delete(&self, path_and_query: &str) -> Result<(), PodmanError> {
        let deleted = self
            .request(Method::DELETE, path_and_query, HeaderMap::new(), empty_body())
            .await;
        match deleted {
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
            Ok(response) => drain(response).await,
        }
    }

    /// Podman's own description.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn info(&self) -> Result<Info, PodmanError> {
        self.get("/libpod/info").await
    }

    /// Whether an image is in Podman's storage.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn image_exists(&self, name: &str) -> Result<bool, PodmanError> {
        let path = format!("/libpod/images/{}/exists", percent_encode(name));
        match self
            .request(Method::GET, &path, HeaderMap::new(), empty_body())
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The id of an image in Podman's storage.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn image_id(&self, name: &str) -> Result<Option<String>, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Image {
            id: String,
        }
        let path = format!("/libpod/images/{}/json", percent_encode(name));
        match self.get::<Image>(&path).await {
            Ok(image) => Ok(Some(image.id)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The images that something names or nothing is built on.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn images(&self) -> Result<Vec<LocalImage>, PodmanError> {
        patiently(|| self.get("/libpod/images/json")).await
    }

    /// Takes a name from an image, and the image with its last name.
    ///
    /// # Errors
    /// As [`Libpod::request`]; a name that does not exist is no error.
    pub async fn remove_image(&self, name: &str, force: bool) -> Result<(), PodmanError> {
        let path = format!("/libpod/images/{}", percent_encode(name));
        self.delete(&Query::default().with("force", force).on(&path))
            .await
    }

    /// Removes the images that have this label, no name, and an age; gives the bytes that were freed.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn prune_images(&self, label: &str, age: Duration) -> Result<u64, PodmanError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Pruned {
            size: u64,
        }
        let until = format!("{}s", age.as_secs());
        let filters = serde_json::json!({"label": [label], "until": [until], "dangling": ["true"]});
        let path = Query::default()
            .with("filters", filters)
            .on("/libpod/images/prune");
        let pruned: Vec<Pruned> =
            patiently(|| async { read_json(self.post(&path, None::<&()>).await?).await }).await?;
        Ok(pruned.iter().map(|image| image.size).sum())
    }

    /// Gives an image one more name, `repository:tag`.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<(), PodmanError> {
        let path = format!("/libpod/images/{}/tag", percent_encode(name));
        let path = Query::default()
            .with("repo", repository)
            .with("tag", tag)
            .on(&path);
        drain(self.post(&path, None::<&()>).await?).await
    }

    /// Pushes an image to `destination`. Podman before 4.4 does not say the manifest's digest.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn push_image(
        &self,
        name: &str,
        destination: &str,
        auth: Option<&RegistryAuth>,
        tls_verify: bool,
    ) -> Result<Option<Digest>, PodmanError> {
        let path = format!("/libpod/images/{}/push", percent_encode(name));
        let path = Query::default()
            .with("destination", destination)
            .with("tlsVerify", tls_verify)
            .with("quiet", false)
            .on(&path);
        let progress = self.transfer(&path, auth).await?;
        Ok(progress.iter().find_map(|line| line.manifest_digest.parse().ok()))
    }

    /// Pulls an image and gives its id.
    ///
    /// # Errors
    /// As [`Libpod::request`].
    pub async fn pull_image(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
        tls_verify: bool,
    ) -> Result<String, PodmanError> {
        let path = Query::default()
            .with("reference", reference)
            .with("tlsVerify", tls_verify)
            .on("/libpod/images/pull");
        let progress = self.transfer(&path, auth).await?;
        let id = progress.into_iter().find(|line| !line.id.is_empty());
        id.map(|line| line.id)
            .ok_or_else(|| PodmanError::Answer("a pull that gave no image id".to_owned()))
    }

    /// A push or pull to its end; the lines that say more than progress.
    async fn transfer(&self, path: &str, auth: Option<&RegistryAuth>) -> Result<Vec<Progress>, PodmanError> {
        let headers = auth.map(auth_header).transpose()?.unwrap_or_default();
        let response = self.request(Method::POST, path, headers, empty_body()).await?;
        let mut lines = std::pin::pin!(json_lines::<Progress>(response));
        let mut said = Vec::new();
        while let Some(line) = lines.try_next().await? {
            if !line.error.is_empty() {
                return Err(PodmanError::Refused {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    message: line.error.trim().to_owned(),
                });
            }
            if !line.id.is_empty() || !line.manifest_digest.is_empty() {
                said.push(line);
            }
        }
        Ok(said)
    }
}

/// Podman looks at its images one by one and gives up when one of its list is gone meanwhile.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, PodmanError>
where
    F: Future<Output = Result<T, PodmanError>>,
{
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if error.is_storage_changed() => tokio::time::sleep(BETWEEN_TRIES).await,
            answer => return answer,
        }
    }
    ask().await
}

/// The header by which a registry's password goes to Podman.
fn auth_header(auth: &RegistryAuth) -> Result<HeaderMap, PodmanError> {
    let json = serde_json::to_vec(auth).map_err(|error| PodmanError::Answer(error.to_string()))?;
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(json))
        .map_err(|error| PodmanError::Answer(error.to_string()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(REGISTRY_AUTH, value)]))
}

/// Reads an answer of one JSON value.
///
/// # Errors
/// When it is none, or larger than any answer is.
pub async fn read_json<T: DeserializeOwned>(response: Response<Incoming>) -> Result<T, PodmanError> {
    let bytes = read(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| PodmanError::Answer(error.to_string()))
}

async fn read(response: Response<Incoming>) -> Result<Bytes, PodmanError> {
    let collected = Limited::new(response.into_body(), MAX_JSON).collect().await;
    Ok(collected
        .map_err(|error| PodmanError::Answer(error.to_string()))?
        .to_bytes())
}

async fn drain(response: Response<Incoming>) -> Result<(), PodmanError> {
    read(response).await.map(drop)
}

async fn refusal(response: Response<Incoming>) -> PodmanError {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let status = response.status();
    let message = match read(response).await {
        Ok(bytes) => match serde_json::from_slice::<Refusal>(&bytes) {
            Ok(refusal) => refusal.message,
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        },
        Err(error) => error.to_string(),
    };
    let message = match message.trim() {
        "" => status.to_string(),
        text => text.to_owned(),
    };
    PodmanError::Refused { status, message }
}

/// The JSON values of a streamed answer, one a line.
pub fn json_lines<T: DeserializeOwned>(
    response: Response<Incoming>,
) -> impl Stream<Item = Result<T, PodmanError>> {
    lines(response).map(|line| {
        let line = line?;
        serde_json::from_slice(&line).map_err(|error| PodmanError::Answer(error.to_string()))
    })
}

/// The lines of a streamed answer, without their ends and without empty ones.
pub fn lines(response: Response<Incoming>) -> impl Stream<Item = Result<Bytes, PodmanError>> {
    let state = (response.into_body(), BytesMut::new(), false);
    stream::try_unfold(state, |(mut body, mut buffer, mut ended)| async move {
        loop {
            if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end + 1).freeze().slice(..end);
                if !line.is_empty() {
                    return Ok(Some((line, (body, buffer, ended))));
                }
            } else if ended {
                let rest = buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some((rest, (body, buffer, ended))));
            } else if buffer.len() > MAX_LINE {
                return Err(PodmanError::Answer("a line without end".to_owned()));
            } else {
                match body.frame().await {
                    None => ended = true,
                    Some(frame) => {
                        if let Ok(data) = frame?.into_data() {
                            buffer.extend_from_slice(&data);
                        }
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded_and_a_password_is_not_shown() {
        let query = Query::default().with("t", "localhost/a:1").with("x", "[\"ä&b\"]");
        assert_eq!(
            query.on("/build"),
            "/build?t=localhost%2Fa%3A1&x=%5B%22%C3%A4%26b%22%5D"
        );
        let auth = RegistryAuth {
            username: "me".into(),
            password: "secret".into(),
        };
        assert_eq!(format!("{auth:?}"), "RegistryAuth(me, ***)");
        assert!(auth_header(&auth).unwrap()[REGISTRY_AUTH].is_sensitive());
    }
}

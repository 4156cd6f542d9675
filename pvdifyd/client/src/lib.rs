//! The only HTTP client of Pvdify's API.
//!
//! One [`Client`] speaks to the REST API over TCP with a token (the command line does), or to the control
//! socket (git-receiver and router do, also inside one process with the control plane: one code path).

mod api;
mod control;
mod error;
mod session;
mod stream;

pub use api::{ConfigChanged, ScopesChanged, VolumeChanged};
pub use control::Body;
pub use error::{Error, Result};
/// The control socket's bodies, for the crates that may import this one but not the API's.
pub use pvdify_api::control as wire;
pub use pvdify_api::control::{Draining, RouterReport};
pub use session::{SessionEvent, SessionReceiver, SessionSender};
pub use stream::{Ndjson, SseEvents};

use reqwest::{Method, Url};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, net::IpAddr, path::Path, time::Duration};

/// A connection pool to one Pvdify.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

impl fmt::Debug for Client {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// How long a connection may take to come up; requests themselves may stream for hours.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl Client {
    /// Speaks to the REST API at `url`, as `http://127.0.0.1:9443`.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL is none of http or https.
    pub fn over_tcp(url: &str, token: Option<String>) -> Result<Self> {
        let base = Url::parse(url).map_err(|_| Error::Url(url.to_owned()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(Error::Url(url.to_owned()));
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // The API never redirects; following one would turn a POST into a GET.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            // A proxy of the environment has another loopback than ours, and would see the token.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(Error::transport)?;
        Ok(Self { http, base, token })
    }

    /// Whether a token would be readable on its way: plain HTTP to another host than this one.
    #[must_use]
    pub fn crosses_network_in_clear(&self) -> bool {
        self.base.scheme() == "http" && !is_loopback(&self.base)
    }

    /// Speaks to the control plane over its Unix socket.
    ///
    /// # Errors
    /// When the client can't be built; the socket itself is only opened by the first request.
    pub fn over_control_socket(socket: &Path) -> Result<Self> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(Error::transport)?;
        let base = Url::parse("http://control").map_err(|_| Error::Url("control".to_owned()))?;
        Ok(Self {
            http,
            base,
            token: None,
        })
    }

    fn request(&self, method: Method, path: &str) -> Result<reqwest::RequestBuilder> {
        let url = self.base.join(path).map_err(|_| Error::Url(path.to_owned()))?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let response = request.send().await.map_err(Error::transport)?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(Error::from_response(response).await)
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.send(self.request(Method::GET, path)?).await?;
        response.json().await.map_err(Error::transport)
    }

    async fn send_json<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T> {
        let response = self.send(self.request(method, path)?.json(body)).await?;
        response.json().await.map_err(Error::transport)
    }
}

/// Whether the URL names this host: `localhost`, a name below it (RFC 6761 section 6.3), or a loopback address.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_to_another_host_crosses_a_network_in_clear() {
        let table = [
            ("http://127.0.0.1:9443", false),
            ("http://127.8.9.1:9443", false),
            ("http://[::1]:9443", false),
            ("http://localhost:9443", false),
            ("http://LOCALHOST", false),
            ("http://api.localhost", false),
            ("https://pvdify.example.com", false),
            ("http://pvdify.example.com", true),
            ("http://localhost.example.com", true),
            ("http://10.0.0.5:9443", true),
            ("http://127.0.0.1.example.com", true),
            ("http://[fe80::1]", true),
        ];
        for (url, clear) in table {
            let client = Client::over_tcp(url, None).unwrap();
            assert_eq!(client.crosses_network_in_clear(), clear, "{url}");
        }
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let client = Client::over_tcp("http://localhost", Some("s3cret".into())).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
    }
}

//! A registry on an ephemeral port with a store in a temporary folder.

use futures_util::{FutureExt, future::BoxFuture};
use pvdify_registry::{Access, Action, Credentials, Reference, Repository, Store, router};
use pvdify_types::Digest;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, sync::Arc};

pub(crate) const USER: &str = "pusher";
pub(crate) const PASSWORD: &str = "a pass:word";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// [`USER`] may do all but touch repositories below `secret/`; nobody else may do anything.
struct OneUser;

impl Access for OneUser {
    fn allows<'a>(
        &'a self,
        credentials: Option<Credentials<'a>>,
        repository: Option<&'a str>,
        _: Action,
    ) -> BoxFuture<'a, bool> {
        let known = credentials.is_some_and(|given| given.user == USER && given.password == PASSWORD);
        let open = !repository.is_some_and(|name| name.starts_with("secret/"));
        async move { known && open }.boxed()
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) folder: tempfile::TempDir,
    http: reqwest::Client,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = router(store.clone(), Arc::new(OneUser));
        // Ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            store,
            folder,
            http: reqwest::Client::new(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn anonymous(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(method.parse().unwrap(), self.url(path))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth(USER, Some(PASSWORD))
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    /// Begins an upload; its path.
    pub(crate) async fn begin(&self, name: &str) -> String {
        let response = self.send("POST", &format!("/v2/{name}/blobs/uploads/")).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        header(&response, "location")
    }

    pub(crate) async fn push_blob(&self, name: &str, bytes: &[u8]) -> Digest {
        let digest = digest(bytes);
        let path = format!("/v2/{name}/blobs/uploads/?digest={digest}");
        let response = self
            .request("POST", &path)
            .body(bytes.to_vec())
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        digest
    }

    /// Pushes an image of one config and one layer by HTTP.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Digest {
        let config = self.push_blob(name, b"{}").await;
        let layer = self.push_blob(name, layer).await;
        let body = image(&config, &layer).to_string();
        let response = self.put_manifest(name, tag, OCI_MANIFEST, body.clone()).await;
        assert_eq!(response.status(), StatusCode::CREATED);
        digest(body.as_bytes())
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        body: String,
    ) -> Response {
        self.request("PUT", &format!("/v2/{name}/manifests/{reference}"))
            .header("content-type", media_type)
            .body(body)
            .send()
            .await
            .unwrap()
    }
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
        .parse()
        .unwrap()
}

pub(crate) fn image(config: &Digest, layer: &Digest) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": 2},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.as_str(), "size": 1}],
    })
}

pub(crate) fn header(response: &Response, name: &str) -> String {
    response
        .headers()
        .get(name)
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

/// Checks the status and the error code of a refusal.
pub(crate) async fn assert_refused(response: Response, status: u16, code: &str) {
    assert_eq!(response.status().as_u16(), status, "{code}");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], code, "{body}");
    assert!(
        body["errors"][0]["message"].as_str().unwrap().len() > 10,
        "{body}"
    );
}

pub(crate) fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

pub(crate) fn by_digest(digest: &Digest) -> Reference {
    Reference::Digest(digest.clone())
}

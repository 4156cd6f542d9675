//! The dashboard's files from a folder, as `PVDIFY_STATIC_DIR` gives it.

use crate::harness::{Options, Server};
use reqwest::{StatusCode, header};

const PAGE: &str = "<!doctype html><script>start()</script><script src=\"/_app/immutable/a.js\"></script>";

async fn server() -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("_app/immutable")).unwrap();
    std::fs::write(dir.path().join("index.html"), PAGE).unwrap();
    std::fs::write(dir.path().join("_app/immutable/a.js"), "x()").unwrap();
    std::fs::write(dir.path().join("favicon.svg"), "<svg/>").unwrap();
    let options = Options {
        static_dir: Some(dir.path().to_owned()),
        ..Options::default()
    };
    (Server::with(options).await, dir)
}

async fn get(server: &Server, path: &str, accept: &str) -> reqwest::Response {
    let request = reqwest::Client::new().get(format!("{}{path}", server.url));
    request.header(header::ACCEPT, accept).send().await.unwrap()
}

#[tokio::test]
async fn pages_of_the_dashboards_own_routes_are_the_one_page() {
    let (server, _dir) = server().await;
    for path in ["/", "/apps/new", "/apps/demo", "/status"] {
        let response = get(&server, path, "text/html,*/*").await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned();
        // printf 'start()' | openssl dgst -sha256 -binary | base64
        let script = "script-src 'self' 'sha256-DIm7WJS6ZKDYe5qFLPy+h4JFI9Bol5QmYC57mt3Fb00='";
        assert!(policy.contains(script), "{policy}");
        assert_eq!(response.text().await.unwrap(), PAGE);
    }
}

#[tokio::test]
async fn files_are_kept_by_their_hash_or_their_etag() {
    let (server, _dir) = server().await;
    let response = get(&server, "/_app/immutable/a.js", "*/*").await;
    assert_eq!(
        response.headers()[header::CACHE_CONTROL],
        "public, max-age=31536000, immutable"
    );
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/javascript; charset=utf-8"
    );
    let response = get(&server, "/favicon.svg", "*/*").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "image/svg+xml");
    let etag = response.headers()[header::ETAG].clone();
    let again = reqwest::Client::new()
        .get(format!("{}/favicon.svg", server.url))
        .header(header::IF_NONE_MATCH, etag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn what_is_no_file_and_no_page_is_not_found() {
    let (server, _dir) = server().await;
    for (path, accept) in [
        ("/missing.js", "*/*"),
        ("/api/v1/missing", "text/html"),
        ("/api", "text/html"),
    ] {
        assert_eq!(get(&server, path, accept).await.status(), 404, "{path}");
    }
    let post = reqwest::Client::new()
        .post(format!("{}/apps/new", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            post.status().as_u16(),
            post.headers()[header::ALLOW].to_str().unwrap()
        ),
        (405, "GET, HEAD")
    );
}

#[tokio::test]
async fn a_server_without_a_dashboard_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let server = Server::with(Options {
        static_dir: Some(empty.path().to_owned()),
        ..Options::default()
    })
    .await;
    let response = get(&server, "/", "text/html").await;
    assert_eq!(response.status(), 404);
    let body: pvdify_api::ErrorBody = response.json().await.unwrap();
    assert_eq!(body.code, "no_dashboard");
}

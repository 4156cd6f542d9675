//! Who may ask at all: tokens, and a `--dev` server's trust in its own machine but not in its browser.

use crate::harness::{Options, Server};
use pvdify_api::ErrorBody;
use pvdifyd::app::{Scope, tokens};
use reqwest::{RequestBuilder, StatusCode, header};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn installed() -> Server {
    Server::with(Options {
        dev: false,
        ..Options::default()
    })
    .await
}

async fn answer(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body: Result<ErrorBody, _> = response.json().await;
    (status, body.map(|body| body.error).unwrap_or_default())
}

fn apps(server: &Server) -> RequestBuilder {
    reqwest::Client::new().get(format!("{}/api/v1/apps", server.url))
}

#[tokio::test]
async fn an_installed_server_takes_a_valid_token_and_nothing_else() {
    let server = installed().await;
    let token = server.token(Scope::Read).await;
    assert!(token.starts_with("pvd_") && token.len() == 47, "{token}");
    let short = tokens::create(&server.store, "short", Scope::Admin, Duration::ZERO)
        .await
        .unwrap();
    let unknown = format!("pvd_{}", "A".repeat(43));
    let mut told = Vec::new();
    for value in [
        None,
        Some("Basic YTpi".to_owned()),
        Some("Bearer".to_owned()),
        Some("Bearer hunter2".to_owned()),
        Some(format!("Bearer {unknown}")),
        Some(format!("Bearer {short}")),
        Some(format!("Bearer {token}x")),
        Some(format!("bearer {token}")),
    ] {
        let request = match value {
            Some(value) => apps(&server).header(header::AUTHORIZATION, value),
            None => apps(&server),
        };
        told.push(answer(request).await);
    }
    let told: Vec<_> = told
        .iter()
        .map(|(status, error)| format!("{status} {error}"))
        .collect();
    assert_eq!(
        told,
        [
            "401 this needs a token",
            "401 the Authorization header reads \"Bearer TOKEN\"",
            "401 the Authorization header reads \"Bearer TOKEN\"",
            "401 this is no token: one has pvd_ and 43 characters",
            "401 this token is not known: it was revoked, or is of another server",
            "401 this token expired 0 s ago",
            "401 this is no token: one has pvd_ and 43 characters",
            "200 ",
        ]
    );
    let response = apps(&server).send().await.unwrap();
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn a_revoked_token_ends_at_once_and_a_used_one_shows_so() {
    let server = installed().await;
    let token = server.token(Scope::Write).await;
    let listed = tokens::list(&server.store).await.unwrap();
    assert_eq!((listed[0].name.as_str(), listed[0].last_used_at), ("write", None));
    let days = (listed[0].expires_at - listed[0].created_at) / 86_400_000;
    assert_eq!(days, 90);
    assert_eq!(answer(apps(&server).bearer_auth(&token)).await.0, 200);
    assert!(
        tokens::list(&server.store).await.unwrap()[0]
            .last_used_at
            .is_some()
    );
    let twice = tokens::create(&server.store, "write", Scope::Read, Duration::MAX)
        .await
        .unwrap_err();
    assert_eq!(twice.to_string(), "a token named \"write\" exists already");
    tokens::revoke(&server.store, "write").await.unwrap();
    assert_eq!(answer(apps(&server).bearer_auth(&token)).await.0, 401);
    assert!(tokens::revoke(&server.store, "write").await.is_err());
    for file in ["pvdify.db", "pvdify.db-wal"] {
        let bytes = std::fs::read(server.path(file)).unwrap();
        assert!(
            !bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes()),
            "{file}"
        );
    }
}

#[tokio::test]
async fn a_read_token_sees_no_values_and_changes_nothing() {
    let server = installed().await;
    let token = server.token(Scope::Read).await;
    let url = format!("{}/api/v1/apps/demo/config", server.url);
    let told = answer(reqwest::Client::new().get(url).bearer_auth(token)).await;
    assert_eq!(
        told,
        (
            403,
            "this needs a token of scope write, the one given has read".into()
        )
    );
}

#[tokio::test]
async fn after_twenty_wrong_tokens_an_address_waits_but_a_right_one_is_always_taken() {
    let server = installed().await;
    let token = server.token(Scope::Read).await;
    let wrong = || apps(&server).bearer_auth(format!("pvd_{}", "A".repeat(43)));
    for _ in 0..20 {
        assert_eq!(
            wrong()
                .header("x-forwarded-for", "9.9.9.9")
                .send()
                .await
                .unwrap()
                .status(),
            401
        );
    }
    let refused = wrong().header("x-forwarded-for", "8.8.8.8").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "60");
    assert_eq!(
        apps(&server).bearer_auth(&token).send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn a_token_in_the_url_is_refused() {
    for server in [Server::start().await, installed().await] {
        for query in ["token=pvd_x", "a=b&access_token=x", "Token=x"] {
            let url = format!("{}/api/v1/apps?{query}", server.url);
            let (status, error) = answer(reqwest::Client::new().get(url)).await;
            assert_eq!(
                (status, error.as_str()),
                (400, "a token does not belong into a URL")
            );
        }
    }
}

#[tokio::test]
async fn a_dev_server_needs_no_token_on_loopback_but_trusts_no_page_and_no_other_name() {
    let server = Server::start().await;
    assert_eq!(answer(apps(&server)).await.0, 200);
    let authority = server.url.strip_prefix("http://").unwrap();
    let port = authority.rsplit(':').next().unwrap();
    for host in [
        "evil.example.com",
        "demo.localhost:8080",
        "localhost.evil.com",
        "0.0.0.0",
        "",
    ] {
        let response = apps(&server).header(header::HOST, host).send().await.unwrap();
        assert_eq!(response.status(), 421, "{host}");
        let page = reqwest::Client::new()
            .get(&server.url)
            .header(header::HOST, host)
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), 421, "{host}");
    }
    for host in [
        "localhost".to_owned(),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
    ] {
        assert_eq!(
            apps(&server)
                .header(header::HOST, host)
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
    for origin in [
        "null",
        "https://evil.example.com",
        "http://demo.localhost:8080",
        "http://localhost:5173",
        "",
    ] {
        let (status, error) = answer(apps(&server).header(header::ORIGIN, origin)).await;
        assert_eq!(
            (status, error.as_str()),
            (403, "a page of another origin asked for this"),
            "{origin}"
        );
    }
    assert_eq!(
        answer(apps(&server).header(header::ORIGIN, &server.url)).await.0,
        200
    );
}

#[tokio::test]
async fn a_server_answers_to_its_own_names_and_addresses_alone() {
    let server = installed().await;
    let token = server.token(Scope::Read).await;
    let to = |path: &str, host: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", server.url));
        request.header(header::HOST, host).bearer_auth(&token)
    };
    for host in [
        "apps.example.com",
        "PVDIFY.apps.example.com:9443",
        "localhost",
        "192.0.2.7:9443",
        "[2001:db8::1]",
    ] {
        assert_eq!(answer(to("/api/v1/apps", host)).await.0, 200, "{host}");
    }
    let before = server.dump();
    for host in [
        "evil.example",
        "demo.apps.example.com",
        "apps.example.com.evil.example",
        "",
    ] {
        // Also for the dashboard, the document and what is not there.
        for path in ["/api/v1/apps", "/", "/api/v1/openapi.json", "/nothing"] {
            let response = to(path, host).send().await.unwrap();
            assert_eq!(response.status(), 421, "{host}{path}");
            let body: ErrorBody = response.json().await.unwrap();
            assert_eq!(body.code, "wrong_host");
            assert_eq!(
                body.error,
                format!("this server does not answer to {host:?}"),
                "{path}"
            );
            assert!(body.hint.contains("PVDIFY_API_HOSTS"), "{}", body.hint);
        }
        for path in ["/health", "/api/v1/health"] {
            assert_eq!(answer(to(path, host)).await.0, 200, "{host}{path}");
        }
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn every_host_that_a_request_names_is_looked_at() {
    let server = installed().await;
    let token = server.token(Scope::Read).await;
    let ours = "Host: apps.example.com\r\n";
    for (what, target, hosts) in [
        (
            "a second one",
            "/api/v1/apps",
            format!("{ours}Host: evil.example\r\n"),
        ),
        ("the line's", "http://evil.example/api/v1/apps", ours.to_owned()),
        ("none", "/api/v1/apps", String::new()),
    ] {
        let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap())
            .await
            .unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\n{hosts}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 421"), "{what}: {answer}");
    }
}

/// What a browser adds by itself lets no one in, so no page of another origin can borrow it.
#[tokio::test]
async fn a_cookie_is_no_credential_and_none_is_set() {
    let server = installed().await;
    let token = server.token(Scope::Admin).await;
    for cookie in [format!("token={token}"), format!("Authorization=Bearer {token}")] {
        let request = apps(&server).header(header::COOKIE, cookie);
        assert_eq!(answer(request).await, (401, "this needs a token".into()));
    }
    let basic = apps(&server).basic_auth("x", Some(&token));
    assert_eq!(answer(basic).await.0, 401);
    for request in [apps(&server), apps(&server).bearer_auth(&token)] {
        let response = request.send().await.unwrap();
        assert!(!response.headers().contains_key(header::SET_COOKIE));
    }
}

#[tokio::test]
async fn a_preflight_gets_no_leave() {
    let server = Server::start().await;
    let request = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("{}/api/v1/apps", server.url))
        .header(header::ORIGIN, "https://evil.example.com")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let response = request.send().await.unwrap();
    assert!(response.status().is_client_error());
    assert!(
        !response
            .headers()
            .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
    );
}

#[tokio::test]
async fn answers_carry_their_protections() {
    let server = Server::start().await;
    let response = apps(&server).send().await.unwrap();
    let headers = response.headers();
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(
        headers[header::CONTENT_SECURITY_POLICY],
        "default-src 'none'; frame-ancestors 'none'"
    );
    assert_eq!(headers["x-request-id"].len(), 32);
}

//! Single calls: what is sent, and what an answer that is none of ours becomes.

use crate::server::{chunks, serve, serve_router};
use axum::{Router, http::HeaderMap, response::Redirect};
use pvdify_client::{Client, Error};
use pvdify_types::AppName;

#[tokio::test]
async fn the_token_is_sent_as_a_bearer() {
    let router = Router::new().fallback(|headers: HeaderMap| async move {
        let sent = headers["authorization"].to_str().unwrap().to_owned();
        format!("{{\"A\":{sent:?}}}")
    });
    let client = Client::over_tcp(&serve_router(router).await, Some("t0ken".into())).unwrap();
    let demo: AppName = "demo".parse().unwrap();
    assert_eq!(client.config(&demo).await.unwrap()["A"], "Bearer t0ken");
}

#[tokio::test]
async fn a_refusal_keeps_the_servers_words() {
    let body = r#"{"error":"no app demo","code":"not_found","hint":"see apps","request_id":"r1"}"#;
    let client = Client::over_tcp(&serve(404, chunks([body])).await, None).unwrap();
    let error = client.apps().await.unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Some(404), "no app demo")
    );
}

#[tokio::test]
async fn an_answer_of_some_other_server_names_the_address_as_the_likely_cause() {
    let client = Client::over_tcp(&serve(502, chunks(["<html>"])).await, None).unwrap();
    let Error::Refused { status, body } = client.apps().await.unwrap_err() else {
        panic!("a 502 is a refusal");
    };
    assert_eq!(status, 502);
    assert_eq!(body.error, "the server answered 502 Bad Gateway");
    assert_eq!(body.hint, "is the address that of a Pvdify API?");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let router = Router::new().fallback(|| async { Redirect::permanent("/elsewhere") });
    let client = Client::over_tcp(&serve_router(router).await, None).unwrap();
    assert_eq!(client.apps().await.unwrap_err().status(), Some(308));
}

#[tokio::test]
async fn no_url_and_other_schemes_are_refused_before_any_request() {
    for url in ["", "localhost:9443", "ftp://x", "http://"] {
        assert!(
            matches!(Client::over_tcp(url, None), Err(Error::Url(_))),
            "{url:?}"
        );
    }
}

//! What the router answers itself.

use crate::{
    control::Control,
    harness::{self, Backend, World, demo, get, nowhere, send},
};

#[tokio::test]
async fn an_unknown_host_is_404_without_a_word_on_other_apps() {
    let backend = Backend::saying("hello").await;
    let world = World::demo(&[backend.address]).await;
    let answer = world
        .send("GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.status(), 404);
    assert!(!answer.0.contains("demo"), "{answer:?}");
    assert_eq!(answer.header("pvdify-error"), Some("no-such-app"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(answer.body().contains(answer.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn no_instance_and_maintenance_are_503() {
    let world = World::demo(&[]).await;
    let answer = world.get("/").await;
    assert_eq!(
        (answer.status(), answer.header("pvdify-error")),
        (503, Some("H14"))
    );

    let backend = Backend::saying("hello").await;
    let mut closed = demo(2, &[backend.address]);
    closed.routes[0].maintenance = true;
    world.control.put(closed).await;
    let answer = world.get("/").await;
    assert_eq!(
        (answer.status(), answer.header("pvdify-error")),
        (503, Some("H80"))
    );
    assert_eq!(backend.count(), 0);
}

#[tokio::test]
async fn before_the_first_table_it_is_503_and_not_404() {
    let folder = tempfile::tempdir().unwrap();
    let router = harness::run(harness::config(folder.path()), folder.path()).await;
    let answer = send(router.address, get("/", "").as_bytes()).await;
    assert_eq!(
        (answer.status(), answer.header("pvdify-error")),
        (503, Some("H99"))
    );

    let control = Control::start(folder.path(), Some(demo(1, &[])));
    control.applied(1).await;
    assert_eq!(
        send(router.address, get("/", "").as_bytes())
            .await
            .header("pvdify-error"),
        Some("H14")
    );
}

#[tokio::test]
async fn browsers_get_html_and_a_known_request_id() {
    let world = World::demo(&[]).await;
    let id = "abcdefghij0123456789";
    let answer = world
        .send(&get(
            "/",
            &format!("Accept: text/html,*/*;q=0.8\r\nX-Request-Id: {id}\r\n"),
        ))
        .await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        answer.body().starts_with("<!doctype html>") && answer.body().contains(id),
        "{answer:?}"
    );

    let hostile = "<script>alert(1)</script>";
    let answer = world
        .send(&get(
            "/",
            &format!("Accept: text/html\r\nX-Request-Id: {hostile}\r\n"),
        ))
        .await;
    assert!(!answer.0.contains("<script>"), "{answer:?}");
}

#[tokio::test]
async fn a_page_for_head_has_no_body_and_keeps_the_connection() {
    let world = World::demo(&[]).await;
    let answer = world
        .send(&format!(
            "HEAD / HTTP/1.1\r\nHost: demo.test\r\n\r\n{}",
            get("/", "")
        ))
        .await;
    let (first, second) = answer.0.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 503"), "{first}");
    assert!(second.starts_with("HTTP/1.1 503"), "{second}");
}

#[tokio::test]
async fn no_page_names_an_address_of_the_inside() {
    let gone = nowhere().await;
    let world = World::demo(&[gone]).await;
    let answer = world.get("/").await;
    assert_eq!(
        (answer.status(), answer.header("pvdify-error")),
        (503, Some("H21"))
    );
    for inside in ["127.0.0.1", &gone.port().to_string(), "i1", "refused"] {
        assert!(!answer.0.contains(inside), "{inside} in {answer:?}");
    }
}

//! `deploy --image` resolves a tag once, pins the digest and needs the other registry never again.

use futures_util::future::BoxFuture;
use pvdify_registry::{Access, Action, Credentials, Store};
use pvdify_tests::{Platform, Pusher, write_probe};
use std::{sync::Arc, time::Duration};

/// A registry that lets everybody do everything.
struct Open;

impl Access for Open {
    fn allows<'a>(
        &'a self,
        _: Option<Credentials<'a>>,
        _: Option<&'a str>,
        _: Action,
    ) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// Somebody else's registry on loopback.
pub(crate) async fn open_registry() -> (String, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = pvdify_registry::router(Store::open(dir.path()).unwrap(), Arc::new(Open));
    let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address.to_string(), dir, task)
}

/// The same with the image that `podman` has under `image` as `tag`.
async fn registry_with(image: &str, tag: &str) -> (String, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let (address, dir, task) = open_registry().await;
    let reference = format!("{address}/{tag}");
    let (image, destination) = (image.to_owned(), reference.clone());
    tokio::task::spawn_blocking(move || {
        pvdify_tests::run("podman", &["push", "--tls-verify=false", &image, &destination]);
    })
    .await
    .unwrap();
    (reference, dir, task)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_deployed_by_digest_and_outlives_its_registry() {
    let platform = Platform::start().await;
    let source = tempfile::tempdir().unwrap();
    write_probe(source.path(), "imported");
    let local = format!("localhost/pvdify-scenario-{}:1", std::process::id());
    let context = source.path().display().to_string();
    pvdify_tests::run("podman", &["build", "-q", "-t", &local, &context]);
    let (reference, _dir, registry) = registry_with(&local, "team/tool:latest").await;
    pvdify_tests::run("podman", &["rmi", &local]);

    platform.cli(&["apps:create", "tool"]).await.ok();
    platform
        .cli(&["deploy", "tool", "--image", &reference])
        .await
        .ok();
    platform
        .wait_for("tool", "version imported", Duration::from_secs(60))
        .await;
    let app = platform.api().app(&"tool".parse().unwrap()).await.unwrap();
    assert!(app.image.unwrap().contains("@sha256:"));

    registry.abort();
    platform.cli(&["config:set", "tool", "A=b"]).await.ok();
    assert_eq!(platform.get("tool", "/env/A").await.1, "b");
    let gone = platform.cli(&["deploy", "tool", "--image", &reference]).await;
    assert_ne!(gone.status, 0);
    assert!(platform.get("tool", "/").await.1.contains("version imported"));

    // A push onto an app that began with an image is a release like any other.
    let pusher = Pusher::new(&platform, "pushed").await;
    pusher.commit(|dir| write_probe(dir, "one"));
    pusher.push().await.ok();
}

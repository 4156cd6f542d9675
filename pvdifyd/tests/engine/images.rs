//! How a pinned image becomes a local one: by what storage knows, by our registry's manifest, by a pull.

use crate::sandbox::{Sandbox, podman};
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pvdify_types::ImageRef;
use pvdifyd::engine::{EngineError, InstanceEngine, podman::RegistryAccess};
use sha2::{Digest, Sha256};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A read-only registry over a saved image: its blobs, and one manifest by its digest.
struct Registry {
    blobs: PathBuf,
    layer_reads: AtomicUsize,
}

async fn serve(blobs: PathBuf) -> (Arc<Registry>, RegistryAccess) {
    let registry = Arc::new(Registry {
        blobs,
        layer_reads: AtomicUsize::new(0),
    });
    let routes = Router::new()
        .route("/v2/", get(version))
        .route("/v2/{name}/manifests/{digest}", get(manifest))
        .route("/v2/{name}/blobs/{digest}", get(blob))
        .with_state(Arc::clone(&registry));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = RegistryAccess {
        address: listener.local_addr().unwrap().to_string(),
        user: "pvdifyd".into(),
        password: "pass word".into(),
    };
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (registry, access)
}

fn allowed(headers: &HeaderMap) -> bool {
    let expected = format!("Basic {}", BASE64_STANDARD.encode("pvdifyd:pass word"));
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

fn refused() -> Response {
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, "Basic realm=\"pvdify\"")],
    )
        .into_response()
}

async fn version(headers: HeaderMap) -> Response {
    if allowed(&headers) {
        StatusCode::OK.into_response()
    } else {
        refused()
    }
}

fn read(registry: &Registry, digest: &str) -> Option<Vec<u8>> {
    std::fs::read(registry.blobs.join(digest.strip_prefix("sha256:")?)).ok()
}

async fn manifest(
    State(registry): State<Arc<Registry>>,
    Path((_, digest)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !allowed(&headers) {
        return refused();
    }
    let kind = [(header::CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json")];
    match read(&registry, &digest) {
        Some(bytes) => (kind, bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn blob(
    State(registry): State<Arc<Registry>>,
    Path((_, digest)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    if !allowed(&headers) {
        return refused();
    }
    registry.layer_reads.fetch_add(1, Ordering::Relaxed);
    read(&registry, &digest).map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        IntoResponse::into_response,
    )
}

/// Saves the sandbox's image and gives its blobs' folder and its manifest's digest.
fn saved(sandbox: &Sandbox) -> (PathBuf, String) {
    let dir = sandbox.dir.path().join("saved");
    podman(&[
        "save",
        "--format",
        "oci-dir",
        "-o",
        dir.to_str().unwrap(),
        &sandbox.tag,
    ]);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    (dir.join("blobs/sha256"), digest)
}

#[tokio::test]
async fn a_pushed_image_is_found_by_its_manifest_without_a_pull() {
    let sandbox = Sandbox::new().await;
    let id = podman(&["image", "inspect", "--format", "{{.Id}}", &sandbox.tag]);
    let (blobs, digest) = saved(&sandbox);
    let (registry, access) = serve(blobs).await;
    let image: ImageRef = format!("{}/demo@{digest}", access.address).parse().unwrap();
    let engine = sandbox.engine_with(Some(access)).await;
    for _ in 0..2 {
        assert_eq!(engine.ensure_image(&image).await.unwrap(), id);
    }
    assert_eq!(registry.layer_reads.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_image_that_is_gone_locally_is_pulled_from_our_registry() {
    let sandbox = Sandbox::new().await;
    let id = podman(&["image", "inspect", "--format", "{{.Id}}", &sandbox.tag]);
    let (blobs, digest) = saved(&sandbox);
    let (registry, access) = serve(blobs).await;
    let image: ImageRef = format!("{}/demo@{digest}", access.address).parse().unwrap();
    let engine = sandbox.engine_with(Some(access)).await;
    podman(&["rmi", "-f", &sandbox.tag]);
    assert_eq!(engine.ensure_image(&image).await.unwrap(), id);
    assert!(registry.layer_reads.load(Ordering::Relaxed) > 0);
    assert_eq!(
        engine.ensure_image(&image).await.unwrap(),
        id,
        "and then it is there"
    );
    podman(&["rmi", "-f", &id]);
}

#[tokio::test]
async fn content_that_is_not_what_was_pinned_is_refused() {
    let sandbox = Sandbox::new().await;
    let (blobs, _) = saved(&sandbox);
    let forged = hex::encode(Sha256::digest(b"another"));
    std::fs::write(blobs.join(&forged), b"{}").unwrap();
    let (_, access) = serve(blobs).await;
    let image: ImageRef = format!("{}/demo@sha256:{forged}", access.address)
        .parse()
        .unwrap();
    let error = sandbox
        .engine_with(Some(access))
        .await
        .ensure_image(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, EngineError::Refused(text) if text.contains("has the digest")),
        "{error}"
    );
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_refused_with_podmans_reason() {
    let sandbox = Sandbox::new().await;
    let (_, access) = serve(sandbox.dir.path().to_owned()).await;
    let image: ImageRef = format!("{}/demo@sha256:{}", access.address, "0".repeat(64))
        .parse()
        .unwrap();
    let error = sandbox
        .engine_with(Some(access))
        .await
        .ensure_image(&image)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, EngineError::Refused(text) if text.contains("pull")),
        "{error}"
    );
    assert!(!error.to_string().contains("pass word"), "{error}");
}

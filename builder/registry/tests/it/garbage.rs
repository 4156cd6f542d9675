//! Garbage collection takes what nobody needs and nothing else; a scrub names what is spoilt.

use crate::harness::{OCI_INDEX, OCI_MANIFEST, Server, assert_refused, by_digest, digest, image, repository};
use pvdify_registry::{DamageKind, StoreError};
use pvdify_types::Digest;
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

const NO_GRACE: Duration = Duration::ZERO;

async fn is_whole(server: &Server, name: &str, manifest: &Digest, layer: &[u8]) -> bool {
    let name = repository(name);
    let has_manifest = server
        .store
        .manifest(&name, &by_digest(manifest))
        .await
        .unwrap()
        .is_some();
    has_manifest && server.store.has_blob(&name, &digest(layer)).await.unwrap()
}

#[tokio::test]
async fn only_what_a_kept_manifest_needs_stays() {
    let server = Server::start().await;
    let kept = server.push_image("demo", "v1", b"kept layer").await;
    let dropped = server.push_image("demo", "v2", b"dropped layer").await;
    let orphan = server.push_blob("demo", b"orphan").await;
    let keep = BTreeSet::from([kept.clone()]);

    let nothing = server
        .store
        .collect_garbage(&keep, Duration::from_secs(3600))
        .await
        .unwrap();
    assert_eq!(
        (nothing.manifests, nothing.blobs),
        (0, 0),
        "all is younger than the grace time"
    );

    let collected = server.store.collect_garbage(&keep, NO_GRACE).await.unwrap();
    // The manifest, its layer, and the orphan; the config is shared with the kept image.
    assert_eq!((collected.manifests, collected.blobs), (1, 3));
    assert!(collected.bytes > 19);
    assert!(is_whole(&server, "demo", &kept, b"kept layer").await);
    assert!(!is_whole(&server, "demo", &dropped, b"dropped layer").await);
    assert!(server.store.blob_path(&orphan).is_none());
    assert_eq!(server.store.tags(&repository("demo")).await.unwrap(), ["v1"]);
    assert_eq!(server.store.scrub().await.unwrap(), []);
    let trash = std::fs::read_dir(server.folder.path().join("trash")).unwrap();
    assert_eq!(trash.count(), 0);
}

#[tokio::test]
async fn an_index_keeps_its_images_and_an_image_keeps_what_is_about_it() {
    let server = Server::start().await;
    let child = server.push_image("demo", "v1", b"layer").await;
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": child.as_str(), "size": 1}]})
    .to_string();
    server.put_manifest("demo", "all", OCI_INDEX, index.clone()).await;
    let proof = server.push_blob("demo", b"proof").await;
    let mut signature = image(&proof, &proof);
    signature["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": child.as_str(), "size": 1});
    let signature = signature.to_string();
    let about = digest(signature.as_bytes());
    server
        .put_manifest("demo", about.as_str(), OCI_MANIFEST, signature)
        .await;

    let keep = BTreeSet::from([digest(index.as_bytes())]);
    let collected = server.store.collect_garbage(&keep, NO_GRACE).await.unwrap();
    assert_eq!((collected.manifests, collected.blobs), (0, 0));
    assert!(is_whole(&server, "demo", &child, b"layer").await);
    assert!(is_whole(&server, "demo", &about, b"proof").await);

    let collected = server
        .store
        .collect_garbage(&BTreeSet::new(), NO_GRACE)
        .await
        .unwrap();
    assert_eq!((collected.manifests, collected.blobs), (3, 6));
}

#[tokio::test]
async fn nothing_is_removed_while_a_kept_manifest_cannot_be_read() {
    let server = Server::start().await;
    let kept = server.push_image("demo", "v1", b"layer").await;
    std::fs::write(server.store.blob_path(&kept).unwrap(), b"{}").unwrap();
    let keep = BTreeSet::from([kept.clone()]);
    let refused = server.store.collect_garbage(&keep, NO_GRACE).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(digest)) if digest == kept));
    assert!(server.store.blob_path(&digest(b"layer")).is_some());

    let elsewhere = BTreeSet::from([digest(b"never pushed")]);
    let collected = server.store.collect_garbage(&elsewhere, NO_GRACE).await.unwrap();
    assert_eq!(collected.missing, Vec::from_iter(elsewhere));
}

#[tokio::test]
async fn a_kept_manifest_that_was_taken_is_whole_whatever_is_collected_meanwhile() {
    let server = Server::start().await;
    let body = image(&digest(b"{}"), &digest(b"layer")).to_string();
    let kept = digest(body.as_bytes());
    let keep = BTreeSet::from([kept.clone()]);
    let push = async || {
        server.push_blob("demo", b"{}").await;
        server.push_blob("demo", b"layer").await;
        server
            .put_manifest("demo", "v1", OCI_MANIFEST, body.clone())
            .await
    };
    for _ in 0..50 {
        // Without grace: blobs go also between their own push and their manifest's, which is then refused.
        let (put, collected) = tokio::join!(push(), server.store.collect_garbage(&keep, NO_GRACE));
        collected.unwrap();
        if put.status() != 201 {
            assert_refused(put, 400, "MANIFEST_BLOB_UNKNOWN").await;
            assert_eq!(push().await.status(), 201);
        }
        server.store.collect_garbage(&keep, NO_GRACE).await.unwrap();
        assert!(is_whole(&server, "demo", &kept, b"layer").await);
        // All of it is garbage again for the next round.
        server.store.delete_repository(&repository("demo")).await.unwrap();
        server
            .store
            .collect_garbage(&BTreeSet::new(), NO_GRACE)
            .await
            .unwrap();
        assert!(server.store.blob_path(&digest(b"layer")).is_none());
    }
}

#[tokio::test]
async fn a_deleted_repository_leaves_the_ones_below_its_name() {
    let server = Server::start().await;
    server.push_image("demo", "v1", b"layer").await;
    let below = server.push_image("demo/below", "v1", b"layer").await;
    server.store.delete_repository(&repository("demo")).await.unwrap();
    assert_eq!(
        server.store.repositories().await.unwrap(),
        [repository("demo/below")]
    );
    assert!(is_whole(&server, "demo/below", &below, b"layer").await);
    server.store.delete_repository(&repository("demo")).await.unwrap();
}

#[tokio::test]
async fn a_scrub_names_the_spoilt_blob_and_whose_it_is() {
    let server = Server::start().await;
    server.push_image("one", "v1", b"layer").await;
    server.push_image("two", "v1", b"gone").await;
    let spoilt = digest(b"layer");
    std::fs::write(server.store.blob_path(&spoilt).unwrap(), b"Layer").unwrap();
    std::fs::remove_file(server.store.blob_path(&digest(b"gone")).unwrap()).unwrap();
    let damages = server.store.scrub().await.unwrap();
    let found: Vec<_> = damages
        .iter()
        .map(|damage| (&damage.digest, damage.kind, damage.repositories.join(",")))
        .collect();
    assert_eq!(
        found,
        [
            (&spoilt, DamageKind::Corrupt, "one".to_owned()),
            (&digest(b"gone"), DamageKind::Missing, "two".to_owned()),
        ]
    );
}

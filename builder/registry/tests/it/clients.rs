//! oci-client, a registry client that others wrote, pushes and pulls.

use crate::harness::{PASSWORD, Server, USER, digest};
use futures_util::{StreamExt, stream};
use oci_client::{
    Client, Reference,
    client::{ClientConfig, ClientProtocol},
    manifest::{OciDescriptor, OciImageManifest, OciManifest},
    secrets::RegistryAuth,
};

#[tokio::test]
async fn oci_client_pushes_in_chunks_and_pulls_the_same_bytes() {
    let server = Server::start().await;
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(vec![server.address.to_string()]),
        ..ClientConfig::default()
    });
    let image: Reference = format!("{}/apps/demo:v1", server.address).parse().unwrap();
    let auth = RegistryAuth::Basic(USER.into(), PASSWORD.into());
    client.store_auth_if_needed(image.resolve_registry(), &auth).await;

    // Two full chunks of the client's own size and a part.
    let layer: Vec<u8> = (0..9_000_000_u32)
        .flat_map(u32::to_le_bytes)
        .take(9_000_000)
        .collect();
    let pieces: Vec<_> = layer
        .chunks(4 * 1024 * 1024)
        .map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)))
        .collect();
    let layer_digest = digest(&layer);
    client
        .push_blob_stream_chunked(&image, stream::iter(pieces))
        .await
        .unwrap();
    client
        .push_blob(&image, b"{}".to_vec(), digest(b"{}").as_str())
        .await
        .unwrap();
    let descriptor = |media_type: &str, digest: &str, size: usize| OciDescriptor {
        media_type: media_type.into(),
        digest: digest.into(),
        size: i64::try_from(size).unwrap(),
        ..OciDescriptor::default()
    };
    let manifest = OciManifest::Image(OciImageManifest {
        config: descriptor(
            "application/vnd.oci.image.config.v1+json",
            digest(b"{}").as_str(),
            2,
        ),
        layers: vec![descriptor(
            "application/vnd.oci.image.layer.v1.tar",
            layer_digest.as_str(),
            layer.len(),
        )],
        ..OciImageManifest::default()
    });
    client.push_manifest(&image, &manifest).await.unwrap();

    let pulled = client.fetch_manifest_digest(&image, &auth).await.unwrap();
    let stored = server
        .store
        .manifest(&crate::harness::repository("apps/demo"), &"v1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(pulled, stored.digest.as_str());
    let mut stream = client
        .pull_blob_stream(&image, layer_digest.as_str())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.stream.next().await {
        bytes.extend(piece.unwrap());
    }
    assert!(bytes == layer);
    let tags = client.list_tags(&image, &auth, None, None).await.unwrap();
    assert_eq!(tags.tags, ["v1"]);
}

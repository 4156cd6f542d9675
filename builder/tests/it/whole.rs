//! Whole builder images in our registry: an app's own goes with the app.

use crate::harness::Bench;
use pvdify_registry::{Reference, Repository};
use pvdify_types::AppName;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn what_a_forgotten_app_was_built_in_is_no_longer_kept_and_that_of_others_is() {
    let bench = Bench::start().await;
    let store = &bench.store;
    let repositories =
        ["pvdify/builders", "pvdify/builder-run"].map(|name| name.parse::<Repository>().unwrap());
    for repository in &repositories {
        let piece = Ok(bytes::Bytes::from_static(b"{}"));
        let blob = futures_util::stream::iter([piece]);
        let (config, size) = store.write_blob(repository, None, blob).await.unwrap();
        let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": size}});
        for tag in ["demo", "other"] {
            let tag: Reference = tag.parse().unwrap();
            let bytes = manifest.to_string().into_bytes();
            store
                .put_manifest(repository, &tag, Some(MANIFEST), bytes)
                .await
                .unwrap();
        }
    }
    let app: AppName = "demo".parse().unwrap();
    for _ in 0..2 {
        bench.builder.forget(&app).await.unwrap();
        for repository in &repositories {
            assert_eq!(store.tags(repository).await.unwrap(), ["other"]);
        }
    }
}

//! Prebuilt images of another registry.

use crate::harness::{Bench, inside, registry};
use pvdify_builder::BuildError;
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::{Digest, ImageName};
use serde_json::json;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn named(text: &str) -> ImageName {
    text.parse().unwrap()
}

async fn blob(store: &Store, name: &Repository, content: &[u8]) -> (Digest, u64) {
    let piece = Ok(bytes::Bytes::copy_from_slice(content));
    store
        .write_blob(name, None, futures_util::stream::iter([piece]))
        .await
        .unwrap()
}

/// Puts an image for an architecture into a registry's store.
async fn image(store: &Store, name: &str, tag: &str, architecture: &str) -> (Digest, usize) {
    image_of(store, name, tag, architecture, &["/run"]).await
}

async fn image_of(
    store: &Store,
    name: &str,
    tag: &str,
    architecture: &str,
    command: &[&str],
) -> (Digest, usize) {
    let name: Repository = name.parse().unwrap();
    let config = json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        "config": {"ExposedPorts": {"3000/tcp": {}}, "Cmd": command}, "history": []});
    let (config, config_size) = blob(store, &name, config.to_string().as_bytes()).await;
    let layer: Vec<u8> = format!("layer of {architecture} ").repeat(100_000).into_bytes();
    let (layer, layer_size) = blob(store, &name, &layer).await;
    let bytes = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.as_str(), "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.as_str(), "size": layer_size}]})
    .to_string()
    .into_bytes();
    let size = bytes.len();
    let tag: Reference = tag.parse().unwrap();
    let digest = store
        .put_manifest(&name, &tag, Some(MANIFEST), bytes)
        .await
        .unwrap();
    (digest, size)
}

async fn index(store: &Store, name: &str, tag: &str, entries: &[(&str, &(Digest, usize))]) {
    let entries: Vec<_> = entries
        .iter()
        .map(|(architecture, (digest, size))| {
            json!({"mediaType": MANIFEST, "digest": digest.as_str(), "size": size,
                "platform": {"os": "linux", "architecture": architecture}})
        })
        .collect();
    let bytes = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string();
    let tag: Reference = tag.parse().unwrap();
    store
        .put_manifest(&name.parse().unwrap(), &tag, Some(INDEX), bytes.into_bytes())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tag_is_resolved_once_and_the_published_digest_kept() {
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    let (digest, _) = image(&store, "public/app", "v1", own_architecture()).await;
    let app = "demo".parse().unwrap();
    let reference = format!("{address}/public/app:v1");
    let built = bench.builder.import(&app, &named(&reference)).await.unwrap();
    assert_eq!(built.image.digest, digest);
    assert_eq!(built.exposed_port, Some(3000));
    assert_eq!(built.processes.len(), 1);

    // The tag moves on; what was imported does not, and needs nothing from outside any more.
    store
        .delete_repository(&"public/app".parse().unwrap())
        .await
        .unwrap();
    let name = Repository::from(&app);
    let kept = bench
        .store
        .manifest(&name, &Reference::Digest(digest.clone()))
        .await
        .unwrap();
    assert_eq!(kept.unwrap().digest, digest);
    assert_eq!(bench.store.scrub().await.unwrap(), []);
}

#[tokio::test]
async fn of_several_platforms_this_servers_is_taken() {
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    let own = image(&store, "public/app", "own", own_architecture()).await;
    let other = image(&store, "public/app", "other", "s390x").await;
    index(
        &store,
        "public/app",
        "all",
        &[("s390x", &other), (own_architecture(), &own)],
    )
    .await;
    index(&store, "public/app", "foreign", &[("s390x", &other)]).await;
    let app = "demo".parse().unwrap();
    let import = |tag: &'static str| {
        let reference = format!("{address}/public/app:{tag}");
        let (builder, app) = (&bench.builder, &app);
        async move { builder.import(app, &named(&reference)).await }
    };
    assert_eq!(import("all").await.unwrap().image.digest, own.0);
    for tag in ["foreign", "other"] {
        let error = import(tag).await.unwrap_err().to_string();
        let own = own_architecture();
        assert_eq!(
            error,
            format!(
                "{address}/public/app:{tag} is made for linux/s390x, this server runs linux/{own}: build it with --platform linux/{own}"
            )
        );
    }
}

#[tokio::test]
async fn an_image_that_can_not_be_had_is_told_in_one_line() {
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    image(&store, "public/app", "v1", own_architecture()).await;
    image(&store, "private/app", "v1", own_architecture()).await;
    let app = "demo".parse().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let table = [
        (
            format!("{address}/public/app:v2"),
            BuildError::Refused(format!("{address}/public/app:v2 does not exist in its registry")),
        ),
        (
            format!("{address}/private/app:v1"),
            BuildError::Refused(format!("{address}/private/app:v1 is private or does not exist")),
        ),
        (
            format!("{closed}/x:1"),
            BuildError::Unavailable(format!("the registry {closed} can't be reached")),
        ),
    ];
    for (reference, expected) in table {
        assert_eq!(
            bench.builder.import(&app, &named(&reference)).await.unwrap_err(),
            expected
        );
    }
    assert_eq!(bench.store.repositories().await.unwrap(), []);
}

#[tokio::test]
async fn a_registry_on_the_network_link_or_of_the_cloud_is_never_asked() {
    let bench = Bench::start().await;
    let app = "demo".parse().unwrap();
    let builder = bench.builder.clone().with_resolver(inside());
    for (reference, host, address) in [
        ("metadata.example/x:1", "metadata.example", "169.254.169.254"),
        ("six.example:5000/x", "six.example", "fe80::1"),
    ] {
        let expected = format!(
            "{reference} is not fetched: {host} is {address}, where no registry can be but a cloud's metadata service"
        );
        let error = builder.import(&app, &named(reference)).await.unwrap_err();
        assert_eq!(error, BuildError::Refused(expected));
    }
    // An address is looked at as it stands.
    for reference in [
        "169.254.169.254/x:1",
        "[fe80::1]:5000/x",
        "[::ffff:169.254.169.254]/x",
    ] {
        let error = bench.builder.import(&app, &named(reference)).await.unwrap_err();
        assert!(
            matches!(&error, BuildError::Refused(text) if text.contains("is not fetched")),
            "{error}"
        );
    }
    assert_eq!(bench.store.repositories().await.unwrap(), []);
}

#[tokio::test]
async fn an_image_without_a_command_or_beyond_its_limit_is_refused_before_its_layers_are_fetched() {
    let bench = Bench::with(|config| config.limits.image_bytes = 1024 * 1024).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    image(&store, "public/large", "v1", own_architecture()).await;
    let app = "demo".parse().unwrap();
    let reference = format!("{address}/public/large:v1");
    let error = bench.builder.import(&app, &named(&reference)).await.unwrap_err();
    let expected =
        format!("{reference}: the image has 2 MiB, the most this server takes is 1 MiB: make it smaller");
    assert_eq!(error, BuildError::Refused(expected));

    let bench = Bench::start().await;
    image_of(&store, "public/idle", "v1", own_architecture(), &[]).await;
    let reference = format!("{address}/public/idle:v1");
    let error = bench.builder.import(&app, &named(&reference)).await.unwrap_err();
    let expected = format!("{reference}: the image says nothing to run: build it with CMD or ENTRYPOINT");
    assert_eq!(error, BuildError::Refused(expected));
    assert_eq!(bench.store.repositories().await.unwrap(), []);
}

#[tokio::test]
async fn a_registry_that_sends_other_bytes_than_announced_is_refused() {
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    let (digest, _) = image(&store, "public/app", "v1", own_architecture()).await;
    let name: Repository = "public/app".parse().unwrap();
    let manifest = store
        .manifest(&name, &Reference::Digest(digest))
        .await
        .unwrap()
        .unwrap();
    let layers = pvdify_registry::References::parse(&manifest.bytes, None)
        .unwrap()
        .blobs;
    std::fs::write(store.blob_path(&layers[1]).unwrap(), b"other bytes").unwrap();
    let app = "demo".parse().unwrap();
    let reference = format!("{address}/public/app:v1");
    bench.builder.import(&app, &named(&reference)).await.unwrap_err();
    let own = Repository::from(&app);
    assert!(!bench.store.has_blob(&own, &layers[1]).await.unwrap());
}

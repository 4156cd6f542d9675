//! Layers that a hostile registry would send. The registry keeps them as they are and unpacks nothing; Podman
//! unpacks them when an app is started, and must not leave the image's own folder.

use crate::harness::{Bench, CREDENTIALS, registry};
use pvdify_builder::podman::RegistryAuth;
use pvdify_registry::{Reference, Repository, Store};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use tar::EntryType;

/// Path, kind, and content or link target.
type Entry = (String, EntryType, String);

fn layer(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        // As it stands: the crate would refuse to write such a path.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o4755);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name_literal(content).unwrap();
        }
        let data = if is_link { "" } else { content };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn blob(store: &Store, name: &Repository, content: &[u8]) -> serde_json::Value {
    let piece = Ok(bytes::Bytes::copy_from_slice(content));
    let (digest, size) = store
        .write_blob(name, None, futures_util::stream::iter([piece]))
        .await
        .unwrap();
    json!({"digest": digest.as_str(), "size": size})
}

/// Puts an image of one layer into a registry's store.
async fn image(store: &Store, tag: &str, tar: &[u8]) {
    let name: Repository = "public/x".parse().unwrap();
    let architecture = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    let diff_id = format!("sha256:{}", hex::encode(Sha256::digest(tar)));
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]}, "history": [{"created_by": "x"}]});
    let mut config = blob(store, &name, config.to_string().as_bytes()).await;
    config["mediaType"] = "application/vnd.oci.image.config.v1+json".into();
    let mut layer = blob(store, &name, tar).await;
    layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let tag: Reference = tag.parse().unwrap();
    let bytes = manifest.to_string().into_bytes();
    store
        .put_manifest(&name, &tag, Some(media_type), bytes)
        .await
        .unwrap();
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_layer_can_not_write_outside_its_image() {
    use EntryType::{Block, Char, Link, Regular, Symlink};
    let bench = Bench::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let (store, address) = registry(elsewhere.path()).await;
    // What lies on the host, and must stay as it is. Short, for a tar's fields are.
    let host = tempfile::Builder::new().prefix("h").tempdir().unwrap();
    std::fs::write(host.path().join("victim"), "untouched").unwrap();
    let before = contents(host.path());
    let root = host.path().display().to_string();
    let up = format!("{}{root}", "../".repeat(20).trim_end_matches('/'));
    let file = |path: &str| (path.to_owned(), Regular, "evil".to_owned());
    let link = |path: &str, kind: EntryType, target: String| (path.to_owned(), kind, target);
    let table = [
        ("parents", vec![file(&format!("{up}/evil"))]),
        ("absolute", vec![file(&format!("{root}/evil"))]),
        ("symlink", vec![link("l", Symlink, root.clone()), file("l/evil")]),
        ("symlink-up", vec![link("l", Symlink, up.clone()), file("l/evil")]),
        (
            "hardlink",
            vec![link("h", Link, format!("{up}/victim")), file("h")],
        ),
        (
            "hardlink-abs",
            vec![link("h", Link, format!("{root}/victim")), file("h")],
        ),
        ("whiteout", vec![file(&format!("{up}/.wh.victim"))]),
        (
            "whiteout-root",
            vec![file(".wh..wh..opq"), file("..wh./x"), file(".wh...")],
        ),
        (
            "devices",
            vec![
                (format!("{up}/null"), Char, String::new()),
                (format!("{up}/disk"), Block, String::new()),
            ],
        ),
    ];
    let app = "demo".parse().unwrap();
    let (username, password) = (CREDENTIALS.0.to_owned(), CREDENTIALS.1.to_owned());
    let auth = RegistryAuth { username, password };
    let pull = async |tag: &str, tar: &[u8]| {
        image(&store, tag, tar).await;
        let name = format!("{address}/public/x:{tag}").parse().unwrap();
        let built = bench.builder.import(&app, &name).await.unwrap();
        let own = built.image.to_string();
        bench.podman.client().pull_image(&own, Some(&auth), false).await
    };
    for (what, entries) in table {
        // Refused or kept inside: either way nothing on the host changes.
        pull(what, &layer(&entries)).await.ok();
        assert_eq!(contents(host.path()), before, "{what}");
    }
    let cut_off = &layer(&[file("x")])[..514];
    assert!(pull("cut-off", cut_off).await.is_err());
    pull("good", &layer(&[file("x")])).await.unwrap();
    assert_eq!(bench.store.scrub().await.unwrap(), []);
}

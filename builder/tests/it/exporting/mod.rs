//! The export, without Podman: folders as a build leaves them, a store, and the image read back from it.
//! The cases are those of the reference lifecycle's own tests of its exporter and rebaser, in our words.

mod hostile;
mod images;
mod knowing;
mod layers;
mod rebasing;

use bytes::Bytes;
use futures_util::stream;
use pvdify_builder::{
    BuildError,
    analyze::{Previous, analyze},
    export::{Compression, Export, Exported, Extended, How, Known, Limits, Owner, RunImage, export},
};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::Digest;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// An app whose builds are exported.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) export: Export,
    /// Where `known.json` is.
    pub(crate) state: PathBuf,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn repository(name: &str) -> Repository {
    name.parse().unwrap()
}

impl App {
    /// An app with a run image of two layers, and a build of one buildpack, `acme/one`, that made nothing yet.
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("registry")).unwrap();
        put_run_image(&store, "trixie", run_config(), &["base", "tools"]).await;
        let path = |name: &str| folder.path().join(name);
        for name in ["layers/config", "workspace"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::write(path("launcher"), "the launcher's program").unwrap();
        let export = Export {
            repository: repository("demo"),
            layers: path("layers"),
            workspace: path("workspace"),
            layers_dir: "/layers".to_owned(),
            app_dir: "/workspace".to_owned(),
            owner: Owner {
                uid: 10_001,
                gid: 10_001,
            },
            platform_api: pvdify_cnb::api::PLATFORM,
            run_image: RunImage {
                repository: repository("pvdify/run"),
                reference: "trixie".parse().unwrap(),
                image: "127.0.0.1:5000/pvdify/run:trixie".to_owned(),
                mirrors: vec![],
            },
            extended: None,
            previous: None,
            launcher: path("launcher"),
            launcher_version: "0.1.0".to_owned(),
            default_process: None,
            exec_env: "production".to_owned(),
            project: json!({}),
            compression: Compression::Zstd,
            limits: Limits::default(),
        };
        let app = Self {
            state: path("state"),
            store,
            export,
            folder,
        };
        app.metadata("");
        app.write("workspace/app.js", "the app");
        app
    }

    /// Writes `config/metadata.toml` of a build by `acme/one`.
    pub(crate) fn metadata(&self, rest: &str) {
        let group = "[[buildpacks]]\nid = 'acme/one'\nversion = '1.0.0'\napi = '0.12'\n";
        self.write("layers/config/metadata.toml", &format!("{rest}\n{group}"));
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A layer of `acme/one` with one file.
    pub(crate) fn layer(&self, name: &str, types: &str, content: &str) {
        let types: String = types
            .split_whitespace()
            .map(|flag| format!("{flag} = true\n"))
            .collect();
        let toml = format!("[types]\n{types}[metadata]\nmade = '{name}'\n");
        self.write(&format!("layers/acme_one/{name}.toml"), &toml);
        self.write(&format!("layers/acme_one/{name}/file"), content);
    }

    /// As the next build of the same source finds and leaves the app's folder.
    pub(crate) fn unpack_again(&self) {
        let (workspace, copy) = (self.path("workspace"), self.path("copy"));
        copy_all(&workspace, &copy);
        std::fs::remove_dir_all(&workspace).unwrap();
        std::fs::rename(copy, workspace).unwrap();
    }

    pub(crate) async fn export(&self) -> Result<Exported, BuildError> {
        export(self.export.clone(), &self.store, &mut Known::read(&self.state)).await
    }

    /// Why it was refused.
    pub(crate) async fn refused(&self) -> String {
        match self.export().await.unwrap_err() {
            BuildError::Refused(text) => text,
            other @ BuildError::Unavailable(_) => panic!("{other:?}"),
        }
    }

    pub(crate) async fn exported(&self) -> Image {
        Image::of(self, self.export().await.unwrap()).await
    }

    /// Lets the next export know of an image.
    pub(crate) async fn is_previous(&mut self, digest: &Digest) -> Previous {
        let previous = analyze(
            &self.store,
            &self.export.repository,
            Some(digest),
            &self.export.exec_env,
        )
        .await;
        let previous = previous.unwrap().unwrap();
        self.export.previous = Some(Arc::new(previous.clone()));
        previous
    }
}

/// The files of a folder, as others with the same names and contents.
fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// An exported image, read back.
pub(crate) struct Image {
    pub(crate) exported: Exported,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// The archives of its layers, uncompressed.
    archives: Vec<Vec<u8>>,
}

/// One entry of a layer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) kind: tar::EntryType,
    pub(crate) mode: u32,
    pub(crate) owner: (u64, u64),
    pub(crate) content: Vec<u8>,
    pub(crate) target: Option<PathBuf>,
}

impl Image {
    async fn of(app: &App, exported: Exported) -> Self {
        let (manifest, config, archives) = read(&app.store, &app.export.repository, &exported.digest).await;
        Self {
            exported,
            manifest,
            config,
            archives,
        }
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.exported.digest
    }

    /// The image's layers by what the history says of them; those of the run image too.
    pub(crate) fn history(&self) -> Vec<&str> {
        let history = self.config["history"].as_array().unwrap().iter();
        let history = history.filter(|entry| entry["empty_layer"] != true);
        history.filter_map(|entry| entry["created_by"].as_str()).collect()
    }

    pub(crate) fn label(&self, name: &str) -> Value {
        let text = self.config["config"]["Labels"][name].as_str().unwrap_or_default();
        serde_json::from_str(text).unwrap_or_else(|_| text.into())
    }

    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        let env = self.config["config"]["Env"].as_array().unwrap();
        let mut pairs = env.iter().filter_map(|entry| entry.as_str()?.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// What one layer holds, the layer by what the history says of it.
    pub(crate) fn files(&self, created_by: &str) -> BTreeMap<String, File> {
        let at = self.history().iter().position(|text| *text == created_by);
        let at = at.unwrap_or_else(|| panic!("no {created_by:?} in {:?}", self.history()));
        files(&self.archives[at])
    }

    pub(crate) fn names(&self, created_by: &str) -> Vec<String> {
        self.files(created_by).into_keys().collect()
    }

    /// How each layer came into it, by its name.
    pub(crate) fn how(&self) -> BTreeMap<&str, How> {
        let layers = self.exported.report.layers.iter();
        layers.map(|layer| (layer.name.as_str(), layer.how)).collect()
    }
}

pub(crate) fn files(archive: &[u8]) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        assert_eq!(header.mtime().unwrap(), 315_532_801);
        let file = File {
            kind: header.entry_type(),
            mode: header.mode().unwrap(),
            owner: (header.uid().unwrap(), header.gid().unwrap()),
            content,
            target: entry.link_name().unwrap().map(std::borrow::Cow::into_owned),
        };
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        assert!(files.insert(name, file).is_none());
    }
    files
}

/// Manifest, config and uncompressed layers; checks that each is what its digest says and that all fits together.
pub(crate) async fn read(
    store: &Store,
    repository: &Repository,
    digest: &Digest,
) -> (Value, Value, Vec<Vec<u8>>) {
    let stored = store
        .manifest(repository, &Reference::Digest(digest.clone()))
        .await
        .unwrap()
        .unwrap();
    let manifest: Value = serde_json::from_slice(&stored.bytes).unwrap();
    let config: Value = serde_json::from_slice(&blob(store, repository, &manifest["config"]).await).unwrap();
    let mut archives = Vec::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let bytes = blob(store, repository, layer).await;
        let archive = match layer["mediaType"].as_str().unwrap() {
            "application/vnd.oci.image.layer.v1.tar+zstd" => zstd::decode_all(&bytes[..]).unwrap(),
            "application/vnd.oci.image.layer.v1.tar+gzip" => {
                let mut archive = Vec::new();
                flate2::read::GzDecoder::new(&bytes[..])
                    .read_to_end(&mut archive)
                    .unwrap();
                archive
            }
            "application/vnd.oci.image.layer.v1.tar" => bytes,
            other => panic!("{other}"),
        };
        archives.push(archive);
    }
    let diff_ids: Vec<String> = archives.iter().map(|archive| sha256(archive)).collect();
    assert_eq!(config["rootfs"], json!({"type": "layers", "diff_ids": diff_ids}));
    let history = config["history"].as_array().unwrap();
    assert_eq!(
        history
            .iter()
            .filter(|entry| entry["empty_layer"] != true)
            .count(),
        diff_ids.len()
    );
    (manifest, config, archives)
}

async fn blob(store: &Store, repository: &Repository, descriptor: &Value) -> Vec<u8> {
    let digest: Digest = descriptor["digest"].as_str().unwrap().parse().unwrap();
    let (mut file, size) = store.open_blob(repository, &digest).await.unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!((sha256(&bytes), size), (digest.to_string(), bytes.len() as u64));
    assert_eq!(descriptor["size"], size);
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

pub(crate) fn run_config() -> Value {
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {
            "User": "10001:10001",
            "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
            "Cmd": ["/bin/sh"],
            "StopSignal": "SIGTERM",
            "Labels": {
                "io.buildpacks.base.distro.name": "debian",
                "io.buildpacks.base.distro.version": "13",
                "maintainer": "someone",
            },
        },
        "history": [
            {"created": "2024-01-01T00:00:00Z", "created_by": "run base"},
            {"created": "2024-01-01T00:00:00Z", "created_by": "ENV LANG", "empty_layer": true},
            {"created": "2024-01-01T00:00:00Z", "created_by": "run tools"},
        ],
    })
}

/// Puts a run image with these layers into the registry; gives its digest.
pub(crate) async fn put_run_image(store: &Store, tag: &str, config: Value, layers: &[&str]) -> Digest {
    put_image(store, &repository("pvdify/run"), tag, config, layers).await
}

/// An image of layers with one file each.
pub(crate) async fn put_image(
    store: &Store,
    run: &Repository,
    tag: &str,
    mut config: Value,
    layers: &[&str],
) -> Digest {
    let put = async |bytes: Vec<u8>| {
        store
            .write_blob(run, None, stream::iter([Ok(Bytes::from(bytes))]))
            .await
    };
    let (mut diff_ids, mut descriptors) = (Vec::new(), Vec::new());
    for layer in layers {
        let mut header = tar::Header::new_gnu();
        header.set_size(layer.len() as u64);
        header.set_mtime(315_532_801);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive
            .append_data(&mut header, format!("etc/{layer}"), layer.as_bytes())
            .unwrap();
        let archive = archive.into_inner().unwrap();
        diff_ids.push(sha256(&archive));
        let (digest, size) = put(archive).await.unwrap();
        let media_type = "application/vnd.oci.image.layer.v1.tar";
        descriptors.push(json!({"mediaType": media_type, "digest": digest.to_string(), "size": size}));
    }
    config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
    let (digest, size) = put(config.to_string().into_bytes()).await.unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest.to_string(), "size": size},
        "layers": descriptors,
    });
    let reference = Reference::Tag(tag.parse().unwrap());
    let bytes = manifest.to_string().into_bytes();
    store
        .put_manifest(run, &reference, Some(media_type), bytes)
        .await
        .unwrap()
}

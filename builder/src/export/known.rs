//! What is known of the layer folders that an app's builds left on disk: which files they were when the last image
//! was made, and as which blobs they went into it.
//!
//! Layer folders stay where they are from one build to the next, and code that may be hostile writes to them. What
//! makes that safe:
//!
//! - `known.json` lies outside of what a build sees, and is replaced as a whole or not at all.
//! - It is marked as under way before a build begins, and no more once its image is stored. After a build that
//!   ended otherwise every folder is compared with its fingerprint, and one that differs is removed.
//! - Folders that are laid out anew (`buildpacks/packed`) are taken over only as what was known, and compared by the next
//!   build all the same.
//! - A file that is missing, damaged or of another version knows nothing: the next build starts anew.

use super::{
    beneath::Beneath,
    parallel::in_parallel,
    walk::{self, Budget, Mark, Tree},
};
use pvdify_cnb::layer::{LayerToml, LayerTypes};
use pvdify_types::Digest;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The shape of the file.
const VERSION: u32 = 1;
/// Files of one layer folder that are looked at; a folder with more is not known.
const MAX_FILES: u64 = 4_000_000;
/// Layers of these buildpacks that are only a cache vouch for their contents themselves, also after a failed build.
const OURS: &str = "pvdify_";
/// The largest `<layer>.toml` that is read.
pub(crate) const MAX_TOML: u64 = 1024 * 1024;

/// A layer that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct KnownLayer {
    /// Of the folder, when the layer is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<Mark>,
    /// Of what went into the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shape: Option<Mark>,
    /// Whether it is there for the next build alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cache_only: bool,
    /// As what it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blob: Option<KnownBlob>,
}

/// As what a layer is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct KnownBlob {
    pub(crate) diff_id: Digest,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

/// What is known of one app's layers.
#[derive(Debug, Default)]
pub struct Known {
    folder: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Content {
    version: u32,
    /// Whether a build began and did not end with an image.
    under_way: bool,
    /// By `<buildpack>/<layer>`, or by a name without a slash for what is no buildpack's layer.
    layers: BTreeMap<String, KnownLayer>,
}

impl Known {
    /// Reads `known.json` in an app's own folder, which need not exist.
    #[must_use]
    pub fn read(folder: &Path) -> Self {
        let text = fs::read(folder.join("known.json")).unwrap_or_default();
        let content = serde_json::from_slice::<Content>(&text)
            .ok()
            .filter(|content| content.version == VERSION)
            .unwrap_or_else(|| Content {
                // Whatever lies there: nobody vouches for it.
                under_way: true,
                version: VERSION,
                layers: BTreeMap::new(),
            });
        Self {
            folder: folder.to_owned(),
            content,
        }
    }

    pub(crate) fn layer(&self, key: &str) -> Option<&KnownLayer> {
        self.content.layers.get(key)
    }

    /// Whether the last build did not end with an image.
    pub(crate) fn is_under_way(&self) -> bool {
        self.content.under_way
    }

    /// Says that an image was made, of these layers.
    pub(crate) fn replace(&mut self, layers: BTreeMap<String, KnownLayer>) -> io::Result<()> {
        self.content.layers = layers;
        self.content.under_way = false;
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let (path, new) = (self.folder.join("known.json"), self.folder.join("known.json.new"));
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&self.content)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Before a build: removes the layer folders that nobody vouches for, with their metadata, and marks the build
    /// as under way. Gives the names of those removed, as `<buildpack>/<layer>`.
    ///
    /// # Errors
    /// When the folder can't be read, changed or marked.
    pub fn clean(&mut self, layers: &Path) -> io::Result<Vec<String>> {
        let was_under_way = std::mem::replace(&mut self.content.under_way, true);
        if !was_under_way {
            self.write()?;
        }
        self.drop_unvouched(layers, was_under_way)
    }

    /// Whether these are the layers that the last build left, file by file, and that build made an image. What the
    /// next build would remove first is removed now.
    pub(crate) fn are_as_left(&self, layers: &Path) -> io::Result<bool> {
        if self.is_under_way() {
            return Ok(false);
        }
        self.drop_unvouched(layers, false)?;
        let root = Beneath::open(layers)?;
        let is_same = |(key, mark): &(&String, &Mark)| {
            let tree = tree_of(&root, key);
            tree.is_some_and(|tree| tree.fingerprint == **mark)
        };
        Ok(in_parallel(&self.folders(), is_same).into_iter().all(|same| same))
    }

    /// Takes over layers that are the same files by content and metadata, but others on the disk. A build is under
    /// way from then on: who kills it, or ends the power, leaves folders that are compared.
    pub(crate) fn renew(&mut self, layers: &Path) -> io::Result<()> {
        let root = Beneath::open(layers)?;
        let look = |(key, _): &(&String, &Mark)| {
            let tree = tree_of(&root, key);
            (
                (*key).clone(),
                tree.map(|tree| (walk::shape(&tree.entries), tree.fingerprint)),
            )
        };
        let looked = in_parallel(&self.folders(), look);
        for (key, now) in looked {
            if let Some(layer) = self.content.layers.get_mut(&key) {
                let as_before = now.filter(|(shape, _)| layer.shape.as_ref().is_none_or(|was| was == shape));
                layer.fingerprint = as_before.map(|(_, fingerprint)| fingerprint);
            }
        }
        self.content.under_way = true;
        self.write()
    }

    /// Layers that are folders, with their fingerprints.
    fn folders(&self) -> Vec<(&String, &Mark)> {
        let layers = self.content.layers.iter();
        layers
            .filter_map(|(key, layer)| Some((key, layer.fingerprint.as_ref()?)))
            .collect()
    }

    fn drop_unvouched(&self, layers: &Path, compare: bool) -> io::Result<Vec<String>> {
        let aside = self.folder.join("aside");
        fs::create_dir_all(&aside)?;
        let aside = Beneath::open(&aside)?;
        // What a server that was killed while it removed left behind.
        for name in aside.names()? {
            aside.remove(&name, &aside)?;
        }
        let mut removed = Vec::new();
        let root = Beneath::open(layers)?;
        for name in root.names()? {
            if root.has_folder(&name) {
                if name != "config" && name != "sbom" {
                    let buildpack = root.folder(Path::new(&name))?;
                    self.clean_buildpack(&name, &buildpack, &aside, compare, &mut removed)?;
                }
            } else if !is_file(&root, &name) {
                root.remove(&name, &aside)?;
            }
        }
        Ok(removed)
    }

    fn clean_buildpack(
        &self,
        buildpack: &OsStr,
        folder: &Beneath,
        aside: &Beneath,
        compare: bool,
        removed: &mut Vec<String>,
    ) -> io::Result<()> {
        for name in folder.names()? {
            if !folder.has_folder(&name) {
                if !is_file(folder, &name) {
                    folder.remove(&name, aside)?;
                }
                continue;
            }
            let key = format!("{}/{}", buildpack.to_string_lossy(), name.to_string_lossy());
            if self.vouches(&key, buildpack, folder, &name, compare) {
                continue;
            }
            folder.remove(&name, aside)?;
            let mut toml = name.clone();
            toml.push(".toml");
            folder.remove(&toml, aside)?;
            removed.push(key);
        }
        Ok(())
    }

    fn vouches(&self, key: &str, buildpack: &OsStr, folder: &Beneath, name: &OsStr, compare: bool) -> bool {
        let known = self.layer(key);
        let is_ours = buildpack.to_string_lossy().starts_with(OURS);
        if is_ours && (known.is_some_and(|known| known.cache_only) || says_cache_only(folder, name)) {
            return true;
        }
        let Some(fingerprint) = known.and_then(|known| known.fingerprint.as_ref()) else {
            return false;
        };
        !compare || fingerprint_of(folder, name).is_some_and(|own| own == *fingerprint)
    }
}

/// The fingerprint of a folder; none of one that can't be read or is too large.
pub(crate) fn fingerprint_of(folder: &Beneath, name: &OsStr) -> Option<Mark> {
    tree_of(folder, name).map(|tree| tree.fingerprint)
}

fn tree_of(folder: &Beneath, path: impl AsRef<Path>) -> Option<Tree> {
    let root = folder.folder(path.as_ref()).ok()?;
    let budget = Budget::new(MAX_FILES, u64::MAX);
    walk::walk(root, &budget).ok()
}

fn says_cache_only(folder: &Beneath, name: &OsStr) -> bool {
    let mut path = name.to_owned();
    path.push(".toml");
    let text = folder.text_if_there(Path::new(&path), MAX_TOML);
    let types = text
        .ok()
        .flatten()
        .and_then(|text| toml::from_str::<LayerToml>(&text).ok()?.types);
    matches!(
        types,
        Some(LayerTypes {
            cache: true,
            launch: false,
            ..
        })
    )
}

fn is_file(folder: &Beneath, name: &OsStr) -> bool {
    folder.file(Path::new(name)).is_ok()
}

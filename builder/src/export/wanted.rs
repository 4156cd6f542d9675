//! Which layers an image is to have by the build's metadata, and a look at the files of each.

use super::{
    Export,
    beneath::Beneath,
    known::fingerprint_of,
    read::{BuildpackPart, LayerPart},
    stored::Layer,
    walk::{self, Budget, Mark, Tree},
};
use std::{ffi::OsStr, io, path::Path};

/// Our caches vouch for themselves: no fingerprint of them is needed.
const OURS: &str = "pvdify/";

/// A layer before its files were looked at.
pub(crate) enum Wanted {
    Layer(Of),
    /// A layer of the previous image.
    Previous(Of, Layer),
    /// Not in the image, but kept for the next build.
    Cache(Of),
    Sbom,
    App,
    Launcher,
    Config,
}

/// Whose layer it is, and which.
pub(crate) struct Of {
    /// Its place in the group.
    pub(crate) buildpack: usize,
    id: String,
    version: String,
    /// Below the layers' folder.
    pub(crate) folder: String,
    pub(crate) name: String,
}

impl Of {
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    pub(crate) fn created_by(&self) -> String {
        format!(
            "Layer: '{}', Created by buildpack: {}@{}",
            self.name, self.id, self.version
        )
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.id.starts_with(OURS)
    }
}

/// What was found where a layer is wanted.
pub(crate) enum Found {
    Nothing,
    Tree(Tree),
    Fingerprint(Option<Mark>),
}

/// All that are wanted, in the image's order.
pub(crate) fn wanted(
    buildpacks: &[BuildpackPart],
    layers: &Beneath,
    export: &Export,
) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    for (buildpack, part) in buildpacks.iter().enumerate() {
        for (name, layer) in &part.layers {
            let of = Of {
                buildpack,
                id: part.buildpack.id.to_string(),
                version: part.buildpack.version.to_string(),
                folder: part.buildpack.id.folder(),
                name: name.clone(),
            };
            if layer.types.launch && layer.has_folder {
                wanted.push(Wanted::Layer(of));
            } else if layer.types.launch {
                let previous = previous(&of, layer, export)?;
                wanted.push(Wanted::Previous(of, previous));
            } else if layer.types.cache && layer.has_folder {
                wanted.push(Wanted::Cache(of));
            }
        }
    }
    if layers.folder(Path::new("sbom/launch")).is_ok() {
        wanted.push(Wanted::Sbom);
    }
    wanted.extend([Wanted::App, Wanted::Launcher, Wanted::Config]);
    Ok(wanted)
}

/// A layer that its buildpack left without contents is that of the previous image.
fn previous(of: &Of, layer: &LayerPart, export: &Export) -> Result<Layer, String> {
    let Of { id, name, .. } = of;
    if layer.types.cache {
        return Err(format!(
            "the layer {id}:{name} says cache = true but has no contents"
        ));
    }
    let previous = export.previous.as_ref();
    let none =
        || format!("the layer {id}:{name} has no contents, and the previous image has none to take for it");
    previous
        .and_then(|previous| previous.layer(id, name))
        .cloned()
        .ok_or_else(none)
}

impl Wanted {
    /// Looks at every file, reads none.
    pub(crate) fn look(&self, layers: &Beneath, workspace: &Path, budget: &Budget) -> Result<Found, String> {
        let walk = |root: io::Result<Beneath>, what: &str| {
            root.and_then(|root| walk::walk(root, budget))
                .map(Found::Tree)
                .map_err(|error| format!("{what}: {error}"))
        };
        let below = |path: &str| walk(layers.folder(Path::new(path)), path);
        match self {
            Self::Layer(of) => below(&of.key()),
            Self::Cache(of) if of.is_ours() => Ok(Found::Fingerprint(None)),
            Self::Cache(of) => {
                let folder = layers.folder(Path::new(&of.folder));
                let folder = folder.map_err(|error| format!("{}: {error}", of.folder))?;
                Ok(Found::Fingerprint(fingerprint_of(&folder, OsStr::new(&of.name))))
            }
            Self::Sbom => below("sbom/launch"),
            Self::App => walk(Beneath::open(workspace), "the app's folder"),
            Self::Config => below("config"),
            Self::Previous(..) | Self::Launcher => Ok(Found::Nothing),
        }
    }
}

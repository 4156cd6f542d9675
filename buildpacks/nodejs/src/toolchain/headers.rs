//! Node.js's headers, for packages with native code.

use super::Context;
use crate::manager::Kind;
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    env, files,
    layer::{self, Spec},
    toolchain::{npm::Registry, npm_arch},
};
use libcnb::{Env, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

#[derive(Serialize, Deserialize, PartialEq)]
struct HeadersKey {
    node: String,
    arch: String,
}

/// The headers, for packages with native code; gives their folder.
pub(crate) fn headers(
    context: &Context,
    registry: &Registry,
    downloads: &Downloads,
    node: &str,
) -> Result<PathBuf> {
    let spec = Spec {
        name: layer_name!("node-headers"),
        title: &format!("Headers of Node.js {node}"),
        build: true,
        launch: false,
        key: HeadersKey {
            node: node.to_owned(),
            arch: npm_arch().to_owned(),
        },
    };
    let layer = layer::keyed(context, &spec, |path| {
        // Not `include`: that would be put before every compiler's own headers.
        let folder = path.join("nodedir");
        let package = format!("node-linux-{}", npm_arch());
        registry.unpack(
            downloads,
            (&package, node),
            &folder,
            &["*/bin", "*/CHANGELOG.md", "*/share"],
        )?;
        // So marked, it is what node-gyp would have fetched by itself.
        files::write(&folder.join("installVersion"), "11\n")?;
        Ok(LayerEnv::new())
    })?;
    Ok(layer.path.join("nodedir"))
}

/// Makes node-gyp find the headers instead of fetching them.
pub(crate) fn use_headers(
    folder: &Path,
    node: &str,
    (manager, version): (Kind, u64),
    env: &mut Env,
) -> Result<()> {
    // npm 11 warns of settings that it does not know itself, and hands this one on.
    let name = match (manager, version) {
        (Kind::Npm, 11..) => "npm_package_config_node_gyp_nodedir",
        _ => "npm_config_nodedir",
    };
    env.insert(name, folder);
    // For older copies of node-gyp, which packages bring themselves: their own cache.
    if let Some(home) = env::value(env, "HOME") {
        let place = Path::new(&home).join(".cache/node-gyp").join(node);
        if !place.exists() {
            files::make_dir(place.parent().unwrap_or(&place))?;
            files::remove(&place)?;
            symlink(folder, &place).map_err(|error| Failure::io("write", &place, &error))?;
        }
    }
    Ok(())
}

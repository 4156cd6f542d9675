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
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

// Python had `distutils` until 3.12, and older copies of node-gyp, which packages bring themselves, compare versions
// with it. It goes on in setuptools, which Debian's Python has as a wheel for its pip.
const DISTUTILS: &str = "python";
const FROM_SETUPTOOLS: &str = r#"import glob
__path__ += [wheel + "/setuptools/_distutils" for wheel in glob.glob("/usr/share/python-wheels/setuptools-*.whl")]
"#;

#[derive(Serialize, Deserialize, PartialEq)]
struct HeadersKey {
    node: String,
    arch: String,
    distutils: String,
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
            distutils: FROM_SETUPTOOLS.to_owned(),
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
        files::write(
            &path.join(DISTUTILS).join("distutils/__init__.py"),
            FROM_SETUPTOOLS,
        )?;
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
    if let Some(layer) = folder.parent()
        && !has_distutils()
    {
        env.insert("PYTHONPATH", python_path(layer, env::value(env, "PYTHONPATH")));
    }
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

fn has_distutils() -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .any(|entry| entry.path().join("distutils/version.py").is_file())
}

fn python_path(layer: &Path, before: Option<String>) -> String {
    let own = layer.join(DISTUTILS).display().to_string();
    [Some(own), before]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn python_finds_distutils_beside_what_it_was_told() {
        let path = |before: Option<&str>| python_path(Path::new("/layer"), before.map(str::to_owned));
        assert_eq!(path(None), "/layer/python");
        assert_eq!(path(Some("/own")), "/layer/python:/own");
    }

    #[test]
    fn distutils_comes_from_a_wheel_of_setuptools() {
        let dir = tempfile::tempdir().unwrap();
        let module = dir.path().join("wheel/setuptools/_distutils/version.py");
        files::write(&module, "here = True\n").unwrap();
        let wheels = format!("{}/wheel*", dir.path().display());
        let text = FROM_SETUPTOOLS.replace("/usr/share/python-wheels/setuptools-*.whl", &wheels);
        files::write(&dir.path().join("python/distutils/__init__.py"), text).unwrap();
        let output = Command::new("python3")
            .args(["-S", "-c", "from distutils.version import here; print(here)"])
            .env("PYTHONPATH", python_path(dir.path(), None))
            .output()
            .unwrap();
        assert_eq!(
            output.stdout,
            b"True\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

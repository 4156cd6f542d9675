//! The standalone builds that uv knows.

use super::{Key, Python, link, minor, system_version};
use crate::{PythonBuildpack, uv::Uv};
use buildpack_support::{Failure, Result, env as settings, files, layer};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

// How long a version that could not be downloaded is not tried again.
const UNREACHABLE: Duration = Duration::from_secs(6 * 60 * 60);

pub(super) fn versions(uv: &Uv, env: &Env) -> Vec<String> {
    let text = uv
        .command(env)
        .args([
            "python",
            "list",
            "--only-downloads",
            "--all-versions",
            "--output-format",
            "json",
        ])
        .env("UV_PYTHON_DOWNLOADS", "automatic")
        .output()
        .unwrap_or_default();
    read_versions(&text)
}

fn read_versions(text: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(text).unwrap_or_default();
    let version = |entry: &Value| {
        let is_plain = entry["implementation"] == "cpython"
            && entry["variant"].as_str().unwrap_or("default") == "default";
        let version = entry["version"].as_str()?;
        let is_release = version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        (is_plain && is_release).then(|| version.to_owned())
    };
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(version)
        .collect()
}

pub(super) fn standalone(
    context: &BuildContext<PythonBuildpack>,
    uv: &Uv,
    env: &Env,
    version: &str,
) -> Result<Python> {
    let mark = layer::cache(context, layer_name!("index"), "1".to_owned())?
        .join(format!("unreachable-python-{version}"));
    if was_tried(&mark) && settings::value(env, "UV_PYTHON_INSTALL_MIRROR").is_none() {
        return Err(unreachable(version, "It could not be downloaded some hours ago."));
    }
    // Not the layer of Debian's: what is tried in vain must not cost that one.
    let name = layer_name!("python-standalone");
    let spec = layer::Spec {
        name: name.clone(),
        title: &format!("Python {version}"),
        build: true,
        launch: true,
        key: Key::Standalone {
            version: version.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
        },
    };
    let made = layer::keyed(context, &spec, |path| install_standalone(uv, env, version, path));
    let layer = match made {
        Ok(layer) => layer,
        Err(failure) => {
            files::write(&mark, "")?;
            files::remove(&context.layers_dir.join(name.as_str()))?;
            files::remove(&context.layers_dir.join(format!("{}.toml", name.as_str())))?;
            return Err(failure);
        }
    };
    let program = layer.path.join("bin").join(format!("python{}", minor(version)));
    let program = program
        .canonicalize()
        .map_err(|error| Failure::io("find", &program, &error))?;
    Ok(Python {
        layer,
        program,
        version: version.to_owned(),
        packages: Vec::new(),
        is_newer: false,
        is_refused: false,
        key: format!("standalone {version}"),
    })
}

fn install_standalone(uv: &Uv, env: &Env, version: &str, path: &Path) -> Result<LayerEnv> {
    uv.command(env)
        .args(["python", "install", version, "--no-bin"])
        .hidden_arg("--install-dir")
        .hidden_arg(path)
        .env("UV_PYTHON_DOWNLOADS", "automatic")
        .env("UV_HTTP_RETRIES", "1")
        .quiet()
        .run()
        .map_err(|error| unreachable(version, error.tail.last().map_or("", String::as_str)))?;
    let minor = minor(version);
    let folder = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .find(|entry| entry.path().join(format!("bin/python{minor}")).is_file())
        .ok_or_else(|| unreachable(version, "The download has no Python in it."))?;
    let name = folder.file_name();
    let lib = folder.path().join(format!("lib/python{minor}"));
    for unused in ["test", "idlelib", "turtledemo"] {
        files::remove(&lib.join(unused))?;
    }
    for of_uv in [".temp", ".lock", ".gitignore"] {
        files::remove(&path.join(of_uv))?;
    }
    link(
        path,
        &format!("{}/bin/python{minor}", name.to_string_lossy()),
        &minor,
    )?;
    Ok(LayerEnv::new())
}

fn unreachable(version: &str, why: &str) -> Failure {
    let system = system_version().unwrap_or_else(|| "none".to_owned());
    Failure::new(
        format!("Python {version} can't be downloaded"),
        format!("{}\nThe build image itself has {system}.", why.trim()),
        format!(
            "Ask for {} instead (in .python-version) and push again; or let the build use it: \
             PVDIFY_RUNTIME_FALLBACK=series, or nearest. The server's administrator can set a mirror for other versions: UV_PYTHON_INSTALL_MIRROR.",
            minor(&system)
        ),
    )
}

fn was_tried(mark: &Path) -> bool {
    fs::metadata(mark)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| {
            SystemTime::now()
                .duration_since(time)
                .is_ok_and(|age| age < UNREACHABLE)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_releases_of_cpython_count() {
        let text = r#"[
            {"version":"3.15.0a1","implementation":"cpython","variant":"default"},
            {"version":"3.14.2","implementation":"cpython","variant":"default"},
            {"version":"3.14.2","implementation":"cpython","variant":"freethreaded"},
            {"version":"3.11.15","implementation":"pypy","variant":"default"},
            {"version":"3.12.9","implementation":"cpython"}
        ]"#;
        assert_eq!(read_versions(text), ["3.14.2", "3.12.9"]);
        assert!(read_versions("").is_empty());
    }

    #[test]
    fn a_version_that_can_not_be_downloaded_is_told() {
        let text = unreachable("3.12.9", "  cause: dns error").text();
        assert!(text.starts_with(
            "Python 3.12.9 can't be downloaded\n\ncause: dns error\nThe build image itself has 3."
        ));
        assert!(text.contains("UV_PYTHON_INSTALL_MIRROR"));
    }
}

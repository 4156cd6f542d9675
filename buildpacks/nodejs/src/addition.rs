//! What some frameworks leave to the platform: a program beside the app that makes it a server, or is one.
//!
//! SvelteKit's adapter-auto asks its surroundings which adapter it is to use, and would install that one into the
//! app itself, with a bundler, in every build. It is installed once instead, into a layer of the build, and is
//! linked for as long as the app is built. TanStack Start's build makes a handler of requests (`fetch`) and no server:
//! srvx, which its documentation names for Node.js, serves it.

use crate::{
    project::{Project, major},
    start::HANDLER,
};
use buildpack_support::{
    Command, Failure, Result, files,
    layer::{self, Layer, Spec},
    output,
};
use libcnb::{
    Env,
    build::BuildContext,
    data::{layer::LayerName, layer_name},
    layer_env::LayerEnv,
};
use serde::{Deserialize, Serialize};
use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::NodejsBuildpack>;

const AUTO: &str = "@sveltejs/adapter-auto";
const ADAPTER: &str = "@sveltejs/adapter-node";
// What adapter-auto takes for a platform on which an app is a Node.js server.
const SIGN: &str = "GCP_BUILDPACKS";

#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    package: String,
    node: String,
    arch: String,
}

/// Whether adapter-auto is to make a server.
fn wants_adapter(project: &Project) -> bool {
    project.package_json.depends_on(AUTO) && !project.package_json.depends_on(ADAPTER)
}

/// The variable by which adapter-auto learns of it.
pub(crate) fn settings(project: &Project, env: &mut Env) {
    if wants_adapter(project) && !env.contains_key(SIGN) {
        env.insert(SIGN, "1");
    }
}

/// The adapter's link among the app's packages; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Linked(PathBuf);

impl Drop for Linked {
    fn drop(&mut self) {
        // If it is still there, only the image is larger.
        files::remove(&self.0).ok();
    }
}

/// Puts the adapter where adapter-auto looks for it, if the one installed knows of it.
pub(crate) fn adapter(context: &Context, project: &Project) -> Result<Option<Linked>> {
    let installed = project.app.join("node_modules").join(AUTO);
    let knows = files::read(&installed, "adapters.js")?.is_some_and(|text| text.contains(SIGN));
    if !wants_adapter(project) || !knows {
        return Ok(None);
    }
    let kit = files::read(&project.app.join("node_modules/@sveltejs/kit"), "package.json")?;
    let line = match kit.as_deref().and_then(version) {
        Some(version) if major(&version) < 2 => "1",
        _ => "5",
    };
    let layer = install(context, project, layer_name!("adapter"), ADAPTER, line, false)?;
    let place = project.app.join("node_modules").join(ADAPTER);
    if place.exists() {
        return Ok(None);
    }
    let target = layer.path.join("node_modules").join(ADAPTER);
    symlink(target, &place).map_err(|error| Failure::io("write", &place, &error))?;
    Ok(Some(Linked(place)))
}

/// The server of an app whose build makes a handler only.
pub(crate) fn server(context: &Context, project: &Project) -> Result<()> {
    output::detail(format!("{HANDLER} handles requests: srvx is its server"));
    install(context, project, layer_name!("server"), "srvx", "1", true).map(|_| ())
}

fn install(
    context: &Context,
    project: &Project,
    name: LayerName,
    package: &str,
    line: &str,
    launch: bool,
) -> Result<Layer> {
    let wanted = format!("{package}@{line}");
    let spec = Spec {
        name,
        title: &wanted,
        build: false,
        launch,
        key: Key {
            package: wanted.clone(),
            node: major(&project.node_version).to_string(),
            arch: std::env::consts::ARCH.to_owned(),
        },
    };
    layer::keyed(context, &spec, |path| {
        // What it is used with is the app's.
        Command::new("npm")
            .envs(&project.env)
            .dir(path)
            .args(["install", "--legacy-peer-deps", "--ignore-scripts", "--omit=dev"])
            .arg(&wanted)
            .hidden_arg("--prefix")
            .hidden_arg(path)
            .quiet()
            .run()
            .map_err(|error| {
                error.failure(
                    format!("{wanted}, which the app needs besides its own packages, can't be installed"),
                    "The reason is above. Push again; if it stays, add it to the app's packages.",
                )
            })?;
        link_programs(path)?;
        Ok(LayerEnv::new())
    })
}

// `bin` of a layer is on the PATH.
fn link_programs(layer: &Path) -> Result<()> {
    let programs = layer.join("node_modules/.bin");
    if programs.is_dir() {
        let place = layer.join("bin");
        symlink("node_modules/.bin", &place).map_err(|error| Failure::io("write", &place, &error))?;
    }
    Ok(())
}

fn version(package_json: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(package_json).ok()?;
    json["version"].as_str().map(str::to_owned)
}

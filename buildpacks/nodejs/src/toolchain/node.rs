//! Node.js with npm.

use super::{Context, choose_version, make_executable, put_link};
use crate::{
    manager::{Kind, Manager},
    project::major,
};
use buildpack_support::{
    Failure, Result, archive,
    download::Downloads,
    files,
    layer::{self, Layer, Spec},
    process,
    toolchain::{npm::Registry, npm_arch},
};
use libcnb::{
    Env,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

// As Heroku: a process for each 512 MB, more of them where there is plenty; never more than the CPUs can feed
// when nothing limits the memory.
const SIZES: &str = r#"
web_memory=${WEB_MEMORY:-}
case "$web_memory" in '' | *[!0-9]* | 0) web_memory=512; [ "$memory_mb" -le 16384 ] || web_memory=2048 ;; esac
concurrency=$((memory_mb / web_memory))
[ "$concurrency" -ge 1 ] || concurrency=1
if [ "$is_limited" = no ] && [ "$concurrency" -gt "$cpus" ]; then concurrency=$cpus; fi
set_default WEB_MEMORY "$web_memory"
set_default WEB_CONCURRENCY "$concurrency"
set_default MEMORY_AVAILABLE "$memory_mb"
"#;

#[derive(Serialize, Deserialize, PartialEq)]
struct NodeKey {
    node: String,
    npm: String,
    arch: String,
    app: String,
    recipe: u32,
}

/// The version of npm for a version of Node.js, which comes without one.
pub(crate) fn npm_version(registry: &Registry, node: &str, manager: &Manager, env: &Env) -> Result<String> {
    let available = registry.versions("npm")?;
    let bundled = match major(node) {
        24.. => "11",
        18..=23 => "10",
        16 | 17 => "8",
        8..=15 => "6",
        6 | 7 => "3",
        _ => "2",
    };
    let asked = manager.version.as_deref().filter(|_| manager.kind == Kind::Npm);
    choose_version("npm", asked, Some(bundled), &manager.from, &available, env)
}

/// Node.js with npm.
pub(crate) fn node(
    context: &Context,
    registry: &Registry,
    downloads: &Downloads,
    (node, npm): (&str, &str),
    launch: bool,
) -> Result<Layer> {
    let spec = Spec {
        name: layer_name!("node"),
        title: &format!("Node.js {node} with npm {npm}"),
        build: true,
        launch,
        key: NodeKey {
            node: node.to_owned(),
            npm: npm.to_owned(),
            arch: npm_arch().to_owned(),
            app: context.app_dir.display().to_string(),
            recipe: 1,
        },
    };
    layer::keyed(context, &spec, |path| {
        let package = format!("node-linux-{}", npm_arch());
        let exclude = ["*/include", "*/CHANGELOG.md", "*/README.md", "*/share"];
        registry.unpack(downloads, (&package, node), path, &exclude)?;
        unpack_nested(path)?;
        files::remove(&path.join("package.json"))?;
        let folder = path.join("lib/node_modules/npm");
        registry.unpack(downloads, ("npm", npm), &folder, &["package/docs", "package/man"])?;
        for program in ["npm", "npx"] {
            let script = format!("../lib/node_modules/npm/bin/{program}-cli.js");
            if path.join("bin").join(&script).is_file() {
                put_link(&path.join("bin").join(program), &script)?;
                make_executable(&path.join("bin").join(&script))?;
            }
        }
        process::install_exec_d(path, "size", SIZES)?;
        Ok(node_env(&context.app_dir, path))
    })
}

fn node_env(app: &Path, layer: &Path) -> LayerEnv {
    let mut env = LayerEnv::new();
    env.insert(
        Scope::All,
        ModificationBehavior::Prepend,
        "PATH",
        app.join("node_modules/.bin"),
    );
    env.insert(Scope::All, ModificationBehavior::Delimiter, "PATH", ":");
    env.insert(
        Scope::All,
        ModificationBehavior::Default,
        "NODE_ENV",
        "production",
    );
    env.insert(Scope::All, ModificationBehavior::Default, "NODE_HOME", layer);
    // Several frameworks' servers listen on the loopback address only, unless told otherwise.
    env.insert(Scope::Launch, ModificationBehavior::Default, "HOST", "0.0.0.0");
    // Where modules are behind a link, a package that looks for the app from its own place would miss it.
    env.insert(Scope::Launch, ModificationBehavior::Default, "APP_ROOT_PATH", app);
    env
}

// Packages of the first years hold Node.js's own archive instead of its files.
fn unpack_nested(path: &Path) -> Result<()> {
    if path.join("bin/node").is_file() {
        return Ok(());
    }
    let nested = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".tar.gz"));
    let Some(nested) = nested else {
        return Err(Failure::new(
            "The package of Node.js has no program in it",
            format!("There is no bin/node in {}.", path.display()),
            "Ask for another version of Node.js: this one is published in a form that is not known.",
        ));
    };
    archive::untar(&nested, path, 1, &["*/include", "*/share", "*/lib"])?;
    files::remove(&nested)
}

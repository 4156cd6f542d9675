//! Installs Node.js with npm, and the app's package manager, each into a layer keyed by its version.
//!
//! Node.js comes from the npm registry, without headers and documentation: the headers, which only packages
//! with native code need, go into a layer that no image has.

use crate::{
    manager::{Kind, Manager},
    project::major,
};
use buildpack_support::{
    Failure, Result, archive,
    download::Downloads,
    env, files,
    layer::{self, Layer, Spec},
    process,
    toolchain::{npm::Registry, npm_arch},
    version::{self, Requirement, Wanted},
};
use libcnb::{
    Env,
    build::BuildContext,
    data::layer_name,
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::NodejsBuildpack>;

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

/// Within `line` if it is allowed, else the highest that is.
fn choose_version(
    name: &str,
    asked: Option<&str>,
    line: Option<&str>,
    from: &str,
    available: &[String],
    env: &Env,
) -> Result<String> {
    let in_line: Vec<String> = match line.and_then(Requirement::prefix) {
        Some(line) => available
            .iter()
            .filter(|version| line.matches(version))
            .cloned()
            .collect(),
        None => Vec::new(),
    };
    let text = asked.or(line).unwrap_or("*");
    let wanted = Wanted { name, text, from };
    let Some(requirement) = Requirement::npm(text) else {
        return Err(version::unreadable(wanted, "`10.4.1` or `9.x`"));
    };
    if let Some(found) = requirement.highest(&in_line) {
        return Ok(found.to_owned());
    }
    version::choose(wanted, &requirement, available, env).map(|chosen| chosen.version)
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

#[derive(Serialize, Deserialize, PartialEq)]
struct ManagerKey {
    name: String,
    version: String,
    arch: String,
    vendored: String,
}

/// The version of the package manager, of those the registry has.
pub(crate) fn manager_version(registry: &Registry, manager: &Manager, env: &Env) -> Result<String> {
    let available = registry.versions(&package_of(manager.kind))?;
    let name = manager.kind.to_string();
    choose_version(
        &name,
        manager.version.as_deref(),
        manager.line,
        &manager.from,
        &available,
        env,
    )
}

fn package_of(kind: Kind) -> String {
    match kind {
        Kind::Npm => "npm".to_owned(),
        Kind::Pnpm => "pnpm".to_owned(),
        Kind::YarnClassic => "yarn".to_owned(),
        Kind::Yarn => "@yarnpkg/cli-dist".to_owned(),
        Kind::Bun => {
            let cpu = files::read(Path::new("/proc"), "cpuinfo")
                .ok()
                .flatten()
                .unwrap_or_default();
            // Bun's usual build stops with an illegal instruction on a processor without AVX2.
            let is_old = npm_arch() == "x64" && !cpu.contains(" avx2");
            let arch = if npm_arch() == "arm64" { "aarch64" } else { "x64" };
            format!("@oven/bun-linux-{arch}{}", if is_old { "-baseline" } else { "" })
        }
    }
}

/// The package manager's programs.
pub(crate) fn manager(
    context: &Context,
    registry: &Registry,
    downloads: &Downloads,
    (manager, version): (&Manager, &str),
    launch: bool,
) -> Result<Layer> {
    let spec = Spec {
        name: layer_name!("manager"),
        title: &format!("{} {version}", manager.kind),
        build: true,
        launch,
        key: ManagerKey {
            name: package_of(manager.kind),
            version: version.to_owned(),
            arch: npm_arch().to_owned(),
            vendored: manager.vendored.clone().unwrap_or_default(),
        },
    };
    layer::keyed(context, &spec, |path| {
        let bin = path.join("bin");
        if let Some(vendored) = &manager.vendored {
            let script = context.app_dir.join(vendored);
            let text = format!(
                "#!/bin/sh\nexec node '{}' \"$@\"\n",
                script.display().to_string().replace('\'', r"'\''")
            );
            files::write(&bin.join("yarn"), text)?;
            make_executable(&bin.join("yarn"))?;
            return Ok(LayerEnv::new());
        }
        let package = path.join("package");
        registry.unpack(
            downloads,
            (&package_of(manager.kind), version),
            &package,
            &["package/docs", "package/man"],
        )?;
        if manager.kind == Kind::Pnpm && major(version) >= 12 {
            // pnpm is a native program now, which its install script would put in place.
            let native = format!("@pnpm/exe.linux-{}", npm_arch());
            registry.unpack(downloads, (&native, version), &path.join("native"), &[])?;
            fs::rename(path.join("native/pnpm"), package.join("pnpm"))
                .map_err(|error| Failure::io("write", &package.join("pnpm"), &error))?;
            files::remove(&path.join("native"))?;
        }
        link_programs(&package, &bin)?;
        Ok(LayerEnv::new())
    })
}

// As npm would: a link for each entry of `bin`; without any, for each file in the package's own `bin`.
fn link_programs(package: &Path, bin: &Path) -> Result<()> {
    files::make_dir(bin)?;
    let json = files::read(package, "package.json")?.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let mut programs: Vec<(String, String)> = json["bin"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(name, path)| Some((name.clone(), path.as_str()?.trim_start_matches("./").to_owned())))
        .collect();
    if programs.is_empty() {
        programs = fs::read_dir(package.join("bin"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .map(|name| (name.clone(), format!("bin/{name}")))
            .collect();
    }
    for (name, path) in programs {
        make_executable(&package.join(&path))?;
        put_link(&bin.join(&name), &format!("../package/{path}"))?;
        if name == "bun" {
            put_link(&bin.join("bunx"), &format!("../package/{path}"))?;
        }
    }
    Ok(())
}

fn put_link(place: &Path, target: &str) -> Result<()> {
    files::remove(place)?;
    symlink(target, place).map_err(|error| Failure::io("write", place, &error))
}

fn make_executable(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_range_stays_in_the_line_and_an_exact_version_is_taken() {
        let available = ["8.19.4", "9.1.0", "10.9.8", "11.6.0", "12.2.0"].map(str::to_owned);
        let choose = |asked, line| choose_version("npm", asked, line, "x", &available, &Env::new()).unwrap();
        assert_eq!(choose(None, Some("10")), "10.9.8");
        assert_eq!(choose(Some(">=8"), Some("10")), "10.9.8");
        assert_eq!(choose(Some(">=11"), Some("10")), "12.2.0");
        assert_eq!(choose(Some("9.1.0"), Some("10")), "9.1.0");
        assert_eq!(choose(None, None), "12.2.0");
    }

    #[test]
    fn the_packages_programs_are_linked() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("package");
        files::write(
            &package.join("package.json"),
            r#"{"bin":{"pnpm":"./bin/pnpm.cjs"}}"#,
        )
        .unwrap();
        files::write(&package.join("bin/pnpm.cjs"), "").unwrap();
        link_programs(&package, &dir.path().join("bin")).unwrap();
        assert_eq!(
            fs::read_link(dir.path().join("bin/pnpm")).unwrap(),
            Path::new("../package/bin/pnpm.cjs")
        );
        assert!(
            buildpack_support::command::find(Env::new().insert("PATH", dir.path().join("bin")), "pnpm")
                .is_some()
        );
    }
}

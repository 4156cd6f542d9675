//! Rust: what its own distribution server has, component by component with their digests; where the server is out
//! of reach, the compilers in Debian.
//!
//! The server is the one that rustup uses, and `RUSTUP_DIST_SERVER` names another, as for rustup. What it says of
//! a channel is asked anew after some hours only.

use crate::{problems, version::Asked};
use buildpack_support::{
    Command, Failure, Result, archive,
    download::{Digest, Downloads},
    env, files,
    layer::{self, Layer, Spec},
    toolchain::deb,
    version::{self, Requirement, Wanted},
};
use libcnb::{Env, build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

type Context = BuildContext<crate::RustBuildpack>;

const SERVER: &str = "https://static.rust-lang.org";
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);
// Debian has its own compiler, and a newer one that it builds browsers with.
const DEBIANS: [(&str, &str); 2] = [("cargo", "rustc"), ("cargo-web", "rustc-web")];

/// Where a Rust comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Server {
        version: String,
        from: String,
        components: Vec<Component>,
    },
    Debian {
        version: String,
        from: String,
        planned: Vec<deb::Planned>,
    },
}

impl Source {
    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Server { version, .. } | Self::Debian { version, .. } => version,
        }
    }

    pub(crate) fn from(&self) -> &str {
        match self {
            Self::Server { from, .. } | Self::Debian { from, .. } => from,
        }
    }
}

/// A part of a toolchain, as the server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    name: String,
    url: String,
    hash: String,
}

// Of the manifest of a channel, what is needed.
#[derive(Deserialize)]
struct Manifest {
    pkg: BTreeMap<String, Package>,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    version: String,
    #[serde(default)]
    target: BTreeMap<String, Target>,
}

#[derive(Deserialize)]
struct Target {
    xz_url: Option<String>,
    xz_hash: Option<String>,
    url: Option<String>,
    hash: Option<String>,
}

fn host() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    }
}

/// The Rust to use, of those that can be had.
pub(crate) fn find(context: &Context, asked: &Asked, env: &Env) -> Result<Source> {
    let from = if asked.from.is_empty() {
        "the newest".to_owned()
    } else {
        format!("{} asks for {}", asked.from, asked.channel)
    };
    let index = layer::cache(context, layer_name!("index"), 1_u32)?;
    match manifest(&index, &asked.channel, env) {
        Ok(text) => {
            let (version, components) = components(&text, &asked.targets)
                .ok_or_else(|| problems::no_components(&asked.channel, host()))?;
            Ok(Source::Server {
                version,
                from,
                components,
            })
        }
        Err(Unavailable::Missing) => Err(problems::no_channel(&asked.channel, &asked.from)),
        Err(Unavailable::Unreachable(why)) => debian(context, asked, env, &why),
    }
}

enum Unavailable {
    /// The server has no such channel.
    Missing,
    Unreachable(String),
}

fn server(env: &Env) -> String {
    env::value(env, "PVDIFY_MIRROR_RUST")
        .or_else(|| env::value(env, "RUSTUP_DIST_SERVER"))
        .unwrap_or_else(|| SERVER.to_owned())
        .trim_end_matches('/')
        .to_owned()
}

fn manifest(index: &Path, channel: &str, env: &Env) -> std::result::Result<String, Unavailable> {
    let path = match channel.split_once('-') {
        Some((name @ ("nightly" | "beta"), date)) => format!("dist/{date}/channel-rust-{name}.toml"),
        _ => format!("dist/channel-rust-{channel}.toml"),
    };
    let server = server(env);
    let file = index.join(files::fingerprint([format!("{server}/{path}")]) + ".toml");
    // One version's manifest stays as it is.
    let is_fixed = channel.matches('.').count() == 2 || channel.contains('-');
    let is_fresh = files::is_younger(&file, FRESH);
    if let (true, Ok(text)) = (is_fixed || is_fresh, fs::read_to_string(&file)) {
        return Ok(text);
    }
    let text = curl(env)
        .arg(format!("{server}/{path}"))
        .output()
        .map_err(|error| {
            // curl's status for an answer that is an error, with --fail.
            if matches!(error.cause, buildpack_support::command::Cause::Status(22)) && error.says("404") {
                Unavailable::Missing
            } else {
                Unavailable::Unreachable(error.tail.last().cloned().unwrap_or_else(|| error.to_string()))
            }
        })?;
    // Not kept: asked for again the next time.
    files::write(&file, &text).ok();
    Ok(text)
}

fn curl(env: &Env) -> Command {
    Command::new("curl").envs(env).args([
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--retry",
        "2",
        "--connect-timeout",
        "20",
    ])
}

fn components(text: &str, targets: &[String]) -> Option<(String, Vec<Component>)> {
    let manifest: Manifest = toml::from_str(text).ok()?;
    let rustc = manifest.pkg.get("rustc")?;
    // `1.91.0 (f8297e351 2025-10-28)`.
    let version = rustc.version.split_whitespace().next()?.to_owned();
    let mut wanted = vec![("rustc", host()), ("cargo", host()), ("rust-std", host())];
    wanted.extend(
        targets
            .iter()
            .map(|target| ("rust-std", target.as_str()))
            .filter(|(_, target)| *target != host()),
    );
    let found: Option<Vec<Component>> = wanted
        .into_iter()
        .map(|(package, target)| {
            let file = manifest.pkg.get(package)?.target.get(target)?;
            let (url, hash) = match (&file.xz_url, &file.xz_hash) {
                (Some(url), Some(hash)) => (url, hash),
                _ => (file.url.as_ref()?, file.hash.as_ref()?),
            };
            Some(Component {
                name: format!("{package} {version} for {target}"),
                url: url.clone(),
                hash: hash.clone(),
            })
        })
        .collect();
    Some((version, found?))
}

fn debian(context: &Context, asked: &Asked, env: &Env, why: &str) -> Result<Source> {
    let apt = deb::Apt::of_layer(context, env, deb::Base::Build)?;
    let known = apt.names()?;
    let mut found: BTreeMap<String, Vec<deb::Planned>> = BTreeMap::new();
    for (cargo, rustc) in DEBIANS {
        if !known.iter().any(|name| name == rustc) {
            continue;
        }
        let planned = apt.plan(&[cargo.to_owned(), rustc.to_owned()], false)?;
        let version = planned
            .iter()
            .find(|package| package.name() == rustc)
            .map(deb::Planned::upstream_version);
        if let Some(version) = version {
            found.insert(version, planned);
        }
    }
    let available: Vec<String> = found.keys().cloned().collect();
    if available.is_empty() {
        return Err(problems::no_rust(why));
    }
    let version = choose(asked, &available, env, why)?;
    let planned = found.remove(&version).unwrap_or_default();
    Ok(Source::Debian {
        version,
        from: format!("Debian's: the server of Rust can't be reached ({})", why.trim()),
        planned,
    })
}

fn choose(asked: &Asked, available: &[String], env: &Env, why: &str) -> Result<String> {
    let newest = || available.iter().max_by(|a, b| version::compare(a, b)).cloned();
    if !asked.is_version() {
        if asked.channel != "stable" && !asked.from.is_empty() {
            buildpack_support::output::warning(format!(
                "{} asks for {}, and the server of Rust can't be reached: using Debian's newest.",
                asked.from, asked.channel
            ));
        }
        return newest().ok_or_else(|| problems::no_rust(why));
    }
    let wanted = Wanted {
        name: "Rust",
        text: &asked.channel,
        from: &asked.from,
    };
    let Some(requirement) = Requirement::prefix(&asked.channel) else {
        return Err(version::unreadable(wanted, "`1.91.0` or `stable`"));
    };
    version::choose(wanted, &requirement, available, env).map(|chosen| chosen.version)
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    files: Vec<String>,
    recipe: u32,
}

/// Installs it for the build.
pub(crate) fn install(context: &Context, source: &Source, asked: &Asked, env: &Env) -> Result<Layer> {
    let files = match source {
        Source::Server { components, .. } => components
            .iter()
            .map(|component| component.hash.clone())
            .collect(),
        Source::Debian { planned, .. } => planned.iter().map(|package| package.file.clone()).collect(),
    };
    let spec = Spec {
        name: layer_name!("rust"),
        title: &format!("Rust {}", source.version()),
        build: true,
        launch: false,
        key: Key { files, recipe: 1 },
    };
    let downloads = Downloads::of(env);
    layer::keyed(context, &spec, |path| match source {
        Source::Server { components, .. } => {
            for component in components {
                unpack(component, &downloads, env, path)?;
            }
            Ok(LayerEnv::new())
        }
        Source::Debian { planned, .. } => {
            if !asked.targets.is_empty() {
                return Err(problems::no_targets(&asked.targets, &asked.from));
            }
            let apt = deb::Apt::of_layer(context, env, deb::Base::Build)?;
            apt.unpack(&downloads, planned, path)?;
            files::remove(&path.join("usr/share/doc"))?;
            Ok(deb::layer_env(path))
        }
    })
}

fn unpack(component: &Component, downloads: &Downloads, env: &Env, into: &Path) -> Result<()> {
    let digest = Digest::sha256(&component.hash).ok_or_else(|| {
        Failure::new(
            format!("The server of Rust gives no digest for {}", component.name),
            format!("It says {:?}.", component.hash),
            "Is PVDIFY_MIRROR_RUST or RUSTUP_DIST_SERVER a whole mirror? Tell the server's administrator.",
        )
    })?;
    // A mirror's manifest may name the original's addresses.
    let url = component.url.replacen(SERVER, &server(env), 1);
    let download = downloads.get(&component.name, &digest, |path| {
        curl(env)
            .arg("--output")
            .arg(path)
            .arg(&url)
            .quiet()
            .run()
            .map_err(|error| problems::no_download(error, &component.name))
    })?;
    archive::untar(
        &download.path,
        into,
        2,
        &[
            "*/share/doc",
            "*/share/man",
            "*/manifest.in",
            "*/etc",
            "*/components",
            "*/install.sh",
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_manifest_is_read() {
        let mut text = String::from("manifest-version = \"2\"\n");
        for (package, target) in [
            ("rustc", host()),
            ("cargo", host()),
            ("rust-std", host()),
            ("rust-std", "wasm32-unknown-unknown"),
        ] {
            if !text.contains(&format!("[pkg.{package}]")) {
                text.push_str(&format!(
                    "[pkg.{package}]\nversion = \"1.91.0 (f8297e351 2025-10-28)\"\n"
                ));
            }
            text.push_str(&format!("[pkg.{package}.target.{target}]\navailable = true\nxz_url = \"https://x/{package}.xz\"\nxz_hash = \"ab\"\n"));
        }
        let (version, found) = components(&text, &["wasm32-unknown-unknown".to_owned()]).unwrap();
        assert_eq!(version, "1.91.0");
        assert_eq!(found.len(), 4);
        assert_eq!(found[0].url, "https://x/rustc.xz");
        assert!(components(&text, &["nope".to_owned()]).is_none());
    }

    #[test]
    fn without_the_server_debians_versions_are_chosen_from() {
        let available = ["1.85.1", "1.96.0"].map(str::to_owned);
        let asked = |channel: &str| Asked {
            channel: channel.to_owned(),
            from: "rust-toolchain.toml".to_owned(),
            ..Asked::default()
        };
        let chosen = |channel: &str| choose(&asked(channel), &available, &Env::new(), "no route");
        assert_eq!(chosen("stable").unwrap(), "1.96.0");
        assert_eq!(chosen("1.85").unwrap(), "1.85.1");
        assert_eq!(chosen("1.90").unwrap(), "1.96.0");
        assert_eq!(chosen("1.59.0").unwrap(), "1.85.1");
        insta::assert_snapshot!(chosen("2.0").unwrap_err().text(), @r"
        Rust 2.0 is not available

        It is asked for by rust-toolchain.toml.
        The nearest that are: 1.96.0.

        Change rust-toolchain.toml to one of these and push again,
        or set PVDIFY_RUNTIME_FALLBACK=nearest to build with the nearest.
        ");
    }
}

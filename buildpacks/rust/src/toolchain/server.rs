//! Rust's own distribution server: what a channel consists of, and its parts.
//!
//! It is the one that rustup uses, and `RUSTUP_DIST_SERVER` names another, as for rustup. What it says of a channel
//! is asked anew after some hours only.

use crate::problems;
use buildpack_support::{
    Command, Failure, Result, archive,
    command::Cause,
    download::{Digest, Downloads},
    env, files,
};
use libcnb::Env;
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

const SERVER: &str = "https://static.rust-lang.org";
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// A part of a toolchain, as the server names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Component {
    name: String,
    url: String,
    pub(super) hash: String,
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

pub(super) fn host() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    }
}

/// Why there is no manifest.
pub(super) enum Unavailable {
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

pub(super) fn manifest(index: &Path, channel: &str, env: &Env) -> std::result::Result<String, Unavailable> {
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
            if matches!(error.cause, Cause::Status(22)) && error.says("404") {
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

pub(super) fn components(text: &str, targets: &[String]) -> Option<(String, Vec<Component>)> {
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

pub(super) fn unpack(component: &Component, downloads: &Downloads, env: &Env, into: &Path) -> Result<()> {
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
}

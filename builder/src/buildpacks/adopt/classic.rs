//! Classic buildpacks, in a wrapping by which the lifecycle runs them; and names for what has none of its own.

use super::{Adopted, Tree, shown};
use crate::buildpacks::owned::write_new;
use pvdify_cnb::group::OrderElement;
use pvdify_types::BuildpackName;
use sha2::{Digest as _, Sha256};
use std::{fs, io, path::Path};

/// A classic buildpack, wrapped.
pub(super) fn wrap(tree: &Tree, root: &Path, own: &Path) -> io::Result<Adopted> {
    let id = own_id("classic", &tree.name);
    let version = short(&tree.what);
    let folder = own.join(id.replace('/', "_")).join(&version);
    fs::create_dir_all(folder.join("bin"))?;
    fs::rename(root, folder.join("classic"))?;
    let toml = format!("api = \"0.8\"\n\n[buildpack]\nid = \"{id}\"\nversion = \"{version}\"\n");
    write_new(&folder.join("buildpack.toml"), toml.as_bytes(), 0o644)?;
    for program in ["detect", "build"] {
        let script = format!("#!/bin/sh\nexec /cnb/lifecycle/lifecycle classic-{program}\n");
        write_new(&folder.join("bin").join(program), script.as_bytes(), 0o755)?;
    }
    let parse = |error: pvdify_cnb::id::BadName| io::Error::other(error);
    Ok(Adopted {
        shown: shown(tree, &format!("classic, as {id}")),
        element: Some(OrderElement::new(
            id.parse().map_err(parse)?,
            Some(version.parse().map_err(parse)?),
        )),
        extensions: Vec::new(),
        classic: Some(folder),
    })
}

/// What the wrapping has to know of the others of its build.
pub(crate) fn finish(adopted: &Adopted, name: &str, alone: bool, last: bool) -> io::Result<()> {
    let Some(folder) = &adopted.classic else {
        return Ok(());
    };
    let says = toml::Table::from_iter([
        ("name".to_owned(), toml::Value::from(name)),
        ("alone".to_owned(), toml::Value::from(alone)),
        ("last".to_owned(), toml::Value::from(last)),
    ]);
    write_new(&folder.join("classic.toml"), says.to_string().as_bytes(), 0o644)
}

/// The same for every version of a buildpack, so that its cache is found again: the last part of its address for
/// people, and a digest of all of it.
pub(super) fn own_id(kind: &str, name: &BuildpackName) -> String {
    let address = name.as_str().split(['#', '?']).next().unwrap_or_default();
    let last = address
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let mut last = last.strip_prefix("heroku-buildpack-").unwrap_or(last);
    for end in [".git", ".tgz", ".tar.gz", ".tar"] {
        last = last.strip_suffix(end).unwrap_or(last);
    }
    let plain: String = last
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    format!("{kind}/{plain}-{}", hex::encode(&Sha256::digest(address)[..4]))
}

pub(super) fn short(what: &str) -> String {
    let what = what.rsplit(':').next().unwrap_or_default();
    let short: String = what
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(12)
        .collect();
    if short.is_empty() { "0".to_owned() } else { short }
}

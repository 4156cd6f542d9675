//! Our own buildpacks, as they are laid out in a folder.

use crate::buildpacks::failure::LooksFor;
use pvdify_cnb::{descriptor::Descriptor, group::OrderElement};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A buildpack that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) descriptor: Descriptor,
    pub(super) folder: PathBuf,
    pub(super) looks_for: String,
}

pub(super) fn folder_of(descriptor: &Descriptor) -> PathBuf {
    Path::new(&descriptor.id.folder()).join(descriptor.version.as_str())
}

pub(super) fn looked_for<'a>(order: impl Iterator<Item = &'a OrderElement>, ours: &[Found]) -> Vec<LooksFor> {
    let mut all: Vec<LooksFor> = Vec::new();
    for element in order {
        let Some(one) = ours.iter().find(|one| one.descriptor.id == element.id) else {
            continue;
        };
        let name = one
            .descriptor
            .name
            .clone()
            .unwrap_or_else(|| element.id.to_string());
        let is_new = !all.iter().any(|known| known.name == name);
        if is_new && !one.looks_for.is_empty() {
            let files = one.looks_for.clone();
            all.push(LooksFor { name, files });
        }
    }
    all
}

/// The buildpacks below `ID/VERSION` of a folder, by their IDs.
pub(super) fn found(folder: &Path) -> io::Result<Vec<Found>> {
    let mut all = Vec::new();
    for id in fs::read_dir(folder)?
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        for version in fs::read_dir(id.path())?.flatten() {
            let folder = version.path();
            let text = fs::read_to_string(folder.join("buildpack.toml"))?;
            let descriptor = Descriptor::parse(&text).map_err(io::Error::other)?;
            let metadata: toml::Table = toml::from_str(&text).map_err(io::Error::other)?;
            let looks_for = metadata
                .get("metadata")
                .and_then(|metadata| metadata.get("looks-for")?.as_str())
                .unwrap_or_default()
                .to_owned();
            all.push(Found {
                descriptor,
                folder,
                looks_for,
            });
        }
    }
    all.sort_by(|a, b| a.descriptor.id.cmp(&b.descriptor.id));
    Ok(all)
}

/// The same folder by hard links: nothing is copied, and the build sees it read-only.
pub(super) fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else if !target.exists() {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}

//! What a folder that came from outside holds: each buildpack.toml and extension.toml, and which is the outer one.

use super::MOST;
use crate::export::beneath::Beneath;
use pvdify_cnb::{
    descriptor::{Descriptor, Kind},
    id::BuildpackId,
};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// The largest buildpack.toml.
const MAX_TOML: u64 = 1 << 20;
/// How deep a buildpack.toml is looked for.
const DEEPEST: usize = 3;

/// The folder itself or, as archives often have it, the only thing in it.
pub(super) fn only_folder(folder: &Path) -> io::Result<PathBuf> {
    let beneath = Beneath::open(folder)?;
    let names: Vec<OsString> = beneath.names()?;
    match &names[..] {
        [one] if beneath.has_folder(one) && one != "bin" => Ok(folder.join(one)),
        _ => Ok(folder.to_owned()),
    }
}

/// Every buildpack.toml and extension.toml that is one; `wrong` is why the first that is none is none.
pub(super) fn look(
    folder: &Beneath,
    path: &Path,
    depth: usize,
    found: &mut Vec<(PathBuf, Descriptor)>,
    wrong: &mut Option<String>,
) -> io::Result<()> {
    if found.len() >= MOST {
        return Err(io::Error::other(format!("it holds more than {MOST} buildpacks")));
    }
    for (name, kind) in [
        ("buildpack.toml", Kind::Buildpack),
        ("extension.toml", Kind::Extension),
    ] {
        let Some(text) = folder.text_if_there(Path::new(name), MAX_TOML)? else {
            continue;
        };
        match Descriptor::parse(&text) {
            Ok(one) if one.kind == kind => found.push((path.to_owned(), one)),
            Ok(_) => {}
            Err(error) => {
                wrong.get_or_insert_with(|| format!("{}: {error}", path.join(name).display()));
            }
        }
    }
    if depth == DEEPEST {
        return Ok(());
    }
    for name in folder.names()? {
        let is_hidden = name.to_string_lossy().starts_with('.');
        if !is_hidden && folder.has_folder(&name) {
            look(
                &folder.folder(Path::new(&name))?,
                &path.join(&name),
                depth + 1,
                found,
                wrong,
            )?;
        }
    }
    Ok(())
}

/// The only one, or the only one that no other consists of.
pub(super) fn outermost(found: &[(PathBuf, Descriptor)]) -> Option<&(PathBuf, Descriptor)> {
    let is_part = |id: &BuildpackId| {
        let orders = found.iter().flat_map(|(_, one)| &one.order);
        orders.flat_map(|group| &group.group).any(|part| part.id == *id)
    };
    let mut outer = found.iter().filter(|(_, one)| !is_part(&one.id));
    let first = outer.next()?;
    outer.next().is_none().then_some(first)
}

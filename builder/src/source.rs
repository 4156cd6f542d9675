//! The pushed source, a tar file: looked through once before anything is built from it.
//!
//! What Podman would unpack is decided here: no path leaves the tree, nothing is unpacked through a symbolic
//! link, there are no device files, and there is a limit to how many entries and how many bytes. The files
//! that say how to build and run are picked up on the way.

use pvdify_types::procfile::MAX_PROCFILE_BYTES;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
};
use tar::EntryType;
use thiserror::Error;

/// The largest Dockerfile or app.json read.
const MAX_FILE: u64 = 1024 * 1024;
/// The most entries: a large monorepo has some 100,000 files.
pub(crate) const MAX_ENTRIES: u64 = 500_000;

/// What a source holds, as far as the builder needs to know.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) dockerfile: Option<Vec<u8>>,
    pub(crate) procfile: Option<Vec<u8>>,
    pub(crate) app_json: Option<Vec<u8>>,
    pub(crate) project_toml: Option<Vec<u8>>,
    /// `.buildpacks`, the names of classic buildpacks.
    pub(crate) dot_buildpacks: Option<Vec<u8>>,
    /// `.slugignore`: what Heroku leaves out of a build.
    pub(crate) slugignore: Option<Vec<u8>>,
    /// The symbolic links, since a bind mount would follow them out of the tree.
    pub(crate) links: BTreeSet<PathBuf>,
    /// The names at the top, for whoever asks what was looked at.
    pub(crate) top: BTreeSet<String>,
}

/// Why a source is not built.
#[derive(Debug, Error)]
#[allow(missing_docs)]
pub(crate) enum SourceError {
    #[error("the source can't be read: {0}")]
    Read(#[from] io::Error),
    #[error("the source holds {0:?}, which leaves the source's folder")]
    Outside(PathBuf),
    #[error("the source holds {0:?}, a symbolic link that leaves the source's folder")]
    LinkOutside(PathBuf),
    #[error("the source holds {0:?} behind a symbolic link of the same name")]
    ThroughLink(PathBuf),
    #[error("the source holds {0:?}, which is neither a file, a folder nor a link")]
    Special(PathBuf),
    #[error("{0} is a symbolic link: commit the file itself")]
    LinkedFile(String),
    #[error("{name} has {size} bytes, at most {limit} are read")]
    TooLong { name: String, size: u64, limit: u64 },
    #[error("the source has more than {0} files and folders: leave out what the build does not need")]
    TooMany(u64),
    #[error("the source has more than {0} MiB: leave out what the build does not need")]
    TooLarge(u64),
}

/// Looks through the tar file. Blocking.
pub(crate) fn scan(path: &Path, max_bytes: u64) -> Result<Source, SourceError> {
    read(BufReader::with_capacity(256 * 1024, File::open(path)?), max_bytes)
}

fn read(tar: impl Read, max_bytes: u64) -> Result<Source, SourceError> {
    let mut source = Source::default();
    let (mut count, mut bytes) = (0_u64, 0_u64);
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            continue;
        }
        let raw = entry.path()?.into_owned();
        let path = inside(&raw).ok_or_else(|| SourceError::Outside(raw.clone()))?;
        (count, bytes) = (count + 1, bytes.saturating_add(entry.size()));
        if count > MAX_ENTRIES {
            return Err(SourceError::TooMany(MAX_ENTRIES));
        }
        if bytes > max_bytes {
            return Err(SourceError::TooLarge(max_bytes / 1024 / 1024));
        }
        let below_a_link = path
            .ancestors()
            .skip(1)
            .any(|folder| source.links.contains(folder));
        if below_a_link || source.links.contains(&path) {
            return Err(SourceError::ThroughLink(path));
        }
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name()?.unwrap_or_default().into_owned();
                let from = if kind == EntryType::Symlink {
                    path.parent()
                } else {
                    None
                };
                if !stays_inside(from.unwrap_or(Path::new("")), &target) {
                    return Err(SourceError::LinkOutside(path));
                }
                source.links.insert(path.clone());
            }
            _ => return Err(SourceError::Special(path)),
        }
        note(&mut source, &path, kind, &mut entry)?;
    }
    Ok(source)
}

/// Keeps the name, and the content where the builder reads it.
fn note(source: &mut Source, path: &Path, kind: EntryType, entry: &mut impl Read) -> Result<(), SourceError> {
    let mut parts = path.iter();
    let (Some(name), rest) = (parts.next().and_then(|name| name.to_str()), parts.next()) else {
        return Ok(());
    };
    source.top.insert(name.to_owned());
    let (slot, limit) = match name {
        "Dockerfile" => (&mut source.dockerfile, MAX_FILE),
        "Procfile" => (&mut source.procfile, MAX_PROCFILE_BYTES as u64),
        "app.json" => (&mut source.app_json, MAX_FILE),
        "project.toml" => (&mut source.project_toml, MAX_FILE),
        ".buildpacks" => (&mut source.dot_buildpacks, MAX_FILE),
        ".slugignore" => (&mut source.slugignore, MAX_FILE),
        _ => return Ok(()),
    };
    if rest.is_some() || kind == EntryType::Directory {
        return Ok(());
    }
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        return Err(SourceError::LinkedFile(name.to_owned()));
    }
    let mut content = Vec::new();
    entry.take(limit + 1).read_to_end(&mut content)?;
    let size = content.len() as u64;
    if size > limit {
        let name = name.to_owned();
        return Err(SourceError::TooLong { name, size, limit });
    }
    *slot = Some(content);
    Ok(())
}

/// The path without `.` parts, if it stays in the tree.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Whether a link in `folder` stays in the tree. An absolute target is the container's own root, later.
fn stays_inside(folder: &Path, target: &Path) -> bool {
    let mut depth = folder.components().count();
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return false,
            },
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entry<'a> = (&'a str, EntryType, &'a str);

    /// A tar of (path, kind, content or link target); paths are written as they are, also bad ones.
    fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.set_link_name_literal(content).unwrap();
            }
            let data = if is_link { "" } else { content };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn the_files_that_say_how_to_build_are_picked_up_at_the_top_only() {
        use EntryType::{Directory, Regular, Symlink, XGlobalHeader};
        let tar = tar(&[
            ("pax_global_header", XGlobalHeader, ""),
            ("./Dockerfile", Regular, "FROM scratch\n"),
            ("Procfile", Regular, "web: x\n"),
            ("sub", Directory, ""),
            ("sub/Dockerfile", Regular, "no"),
            ("sub/link", Symlink, "../Procfile"),
            ("root", Symlink, "/etc"),
        ]);
        let source = read(tar.as_slice(), 1000).unwrap();
        assert_eq!(source.dockerfile.as_deref(), Some(b"FROM scratch\n".as_slice()));
        assert_eq!(source.procfile.as_deref(), Some(b"web: x\n".as_slice()));
        assert_eq!(source.app_json, None);
        assert_eq!(
            Vec::from_iter(source.top),
            ["Dockerfile", "Procfile", "root", "sub"]
        );
        assert_eq!(
            source.links,
            BTreeSet::from([PathBuf::from("root"), PathBuf::from("sub/link")])
        );
    }

    #[test]
    fn what_could_leave_the_tree_or_is_no_file_is_refused_by_name() {
        use EntryType::{Block, Char, Fifo, Link, Regular, Symlink};
        let long = "x".repeat(MAX_PROCFILE_BYTES + 1);
        let table: &[(&[Entry<'_>], &str)] = &[
            (
                &[("../x", Regular, "")],
                "the source holds \"../x\", which leaves the source's folder",
            ),
            (
                &[("/etc/x", Regular, "")],
                "the source holds \"/etc/x\", which leaves the source's folder",
            ),
            (
                &[("a/l", Symlink, "../../x")],
                "the source holds \"a/l\", a symbolic link that leaves the source's folder",
            ),
            (
                &[("a/l", Link, "../x")],
                "the source holds \"a/l\", a symbolic link that leaves the source's folder",
            ),
            (
                &[("l", Symlink, "/etc"), ("l/passwd", Regular, "")],
                "the source holds \"l/passwd\" behind a symbolic link of the same name",
            ),
            (
                &[("l", Symlink, "/etc/passwd"), ("l", Regular, "")],
                "the source holds \"l\" behind a symbolic link of the same name",
            ),
            (
                &[("null", Char, "")],
                "the source holds \"null\", which is neither a file, a folder nor a link",
            ),
            (
                &[("sda", Block, "")],
                "the source holds \"sda\", which is neither a file, a folder nor a link",
            ),
            (
                &[("pipe", Fifo, "")],
                "the source holds \"pipe\", which is neither a file, a folder nor a link",
            ),
            (
                &[("Dockerfile", Symlink, "other")],
                "Dockerfile is a symbolic link: commit the file itself",
            ),
            (
                &[("Procfile", Regular, &long)],
                "Procfile has 65537 bytes, at most 65536 are read",
            ),
            (
                &[("big", Regular, &long), ("big2", Regular, &long)],
                "the source has more than 0 MiB: leave out what the build does not need",
            ),
        ];
        for (entries, message) in table {
            let error = read(tar(entries).as_slice(), 100_000).unwrap_err();
            assert_eq!(error.to_string(), *message);
        }
        assert!(matches!(
            read(b"no tar".repeat(200).as_slice(), 1000),
            Err(SourceError::Read(_))
        ));
    }
}

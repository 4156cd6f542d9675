//! Part of an archive, laid out in a folder: of an image's layers, or of a pushed source. Blocking.
//!
//! Who made the archive may be hostile. What always holds: nothing is written outside the folder or through a link
//! of the archive, nothing is a device or a pipe, nobody gains rights by a file's mode, and the whole stays within
//! its limits.

use crate::config::MIB;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::{Component, Path, PathBuf},
};
use tar::{Archive, EntryType};

/// Files and folders of all archives together.
const MAX_ENTRIES: usize = 200_000;
/// What an image's layer takes away of those below it.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// A folder that archives are laid out in, one over the other.
pub(crate) struct TakeOut {
    folder: PathBuf,
    /// Bytes that may still be written.
    left: u64,
    limit: u64,
    entries: usize,
    links: BTreeSet<PathBuf>,
    wanted: fn(&Path) -> bool,
}

impl TakeOut {
    /// Into a folder that nobody else writes to.
    pub(crate) fn new(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            left: limit,
            limit,
            entries: 0,
            links: BTreeSet::new(),
            wanted: |_| true,
        })
    }

    /// Of what is below the prefix, these paths alone.
    pub(crate) fn only(self, wanted: fn(&Path) -> bool) -> Self {
        Self { wanted, ..self }
    }

    /// Lays out what the archive has below `prefix`.
    pub(crate) fn archive(&mut self, archive: impl Read, prefix: &Path) -> io::Result<()> {
        for entry in Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let Some(path) = plain(&path) else {
                return Err(bad(&path, "leaves its folder"));
            };
            let Ok(path) = path.strip_prefix(prefix).map(Path::to_owned) else {
                continue;
            };
            let takes_away = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(WHITEOUT));
            if path.as_os_str().is_empty() || !(takes_away || (self.wanted)(&path)) {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(io::Error::other(format!("it has more than {MAX_ENTRIES} files")));
            }
            if path.ancestors().skip(1).any(|above| self.links.contains(above)) {
                return Err(bad(&path, "lies behind a link"));
            }
            self.entry(&mut entry, &path, prefix)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>, path: &Path, prefix: &Path) -> io::Result<()> {
        let target = self.folder.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name == OPAQUE {
            let folder = path.parent().unwrap_or(Path::new(""));
            self.remove(folder)?;
            return fs::create_dir_all(self.folder.join(folder));
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            if matches!(gone, "" | "." | "..") {
                return Err(bad(path, "takes away no name"));
            }
            return self.remove(&path.with_file_name(gone));
        }
        match entry.header().entry_type() {
            EntryType::Directory => {
                let is_folder = fs::symlink_metadata(&target).is_ok_and(|it| it.is_dir());
                if !is_folder {
                    self.remove(path)?;
                    fs::create_dir(&target)?;
                }
                Ok(())
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.remove(path)?;
                let mode = 0o644 | (entry.header().mode()? & 0o111);
                self.file(entry, &target, mode)
            }
            EntryType::Symlink => {
                self.remove(path)?;
                let to = entry.link_name()?.ok_or_else(|| bad(path, "links to nothing"))?;
                symlink(to, &target)?;
                self.links.insert(path.to_owned());
                Ok(())
            }
            EntryType::Link => {
                let to = entry.link_name()?.and_then(|to| plain(&to));
                let to = to.as_deref().and_then(|to| to.strip_prefix(prefix).ok());
                let to = to.ok_or_else(|| bad(path, "is a link to outside"))?;
                let from = self.folder.join(to);
                let is_behind = to.ancestors().any(|it| self.links.contains(it));
                if is_behind || !fs::symlink_metadata(&from).is_ok_and(|it| it.is_file()) {
                    return Err(bad(path, "is a link to no file"));
                }
                if from == target {
                    return Ok(());
                }
                self.remove(path)?;
                fs::hard_link(from, target)
            }
            _ => Err(bad(path, "is neither a file, a folder nor a link")),
        }
    }

    fn file(&mut self, content: &mut impl Read, target: &Path, mode: u32) -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(target)?;
        let written = io::copy(&mut content.take(self.left + 1), &mut file)?;
        self.left = self
            .left
            .checked_sub(written)
            .ok_or_else(|| io::Error::other(format!("it has more than {} MiB", self.limit / MIB)))?;
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let target = self.folder.join(path);
        let Ok(metadata) = fs::symlink_metadata(&target) else {
            return Ok(());
        };
        if metadata.is_dir() {
            fs::remove_dir_all(&target)?;
        } else {
            fs::remove_file(&target)?;
        }
        self.links.retain(|link| !link.starts_with(path));
        Ok(())
    }
}

fn bad(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} {what}", path.display()))
}

/// The path from the archive's root, without `.` parts; nothing when it leaves it.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path, type, and content or where it leads.
    type Packed<'a> = (&'a str, EntryType, &'a str);

    fn tar(entries: &[Packed<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            let is_file = *kind == EntryType::Regular;
            if !is_file {
                header.set_link_name_literal(content).unwrap();
            }
            let data = if is_file { *content } else { "" };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn taken(layers: &[&[Packed<'_>]]) -> (tempfile::TempDir, io::Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        let mut out = TakeOut::new(&dir.path().join("out"), 1000).unwrap();
        let done = layers
            .iter()
            .try_for_each(|layer| out.archive(tar(layer).as_slice(), Path::new("cnb/buildpacks")));
        (dir, done)
    }

    #[test]
    fn a_part_is_laid_out_and_upper_layers_replace_lower_ones() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let (dir, done) = taken(&[
            &[
                ("etc/passwd", Regular, "no"),
                ("./cnb/buildpacks/a/1/bin/build", Regular, "old"),
                ("/cnb/buildpacks/a/1/gone", Regular, ""),
                ("cnb/buildpacks/b/x", Regular, ""),
            ],
            &[
                ("cnb/buildpacks/a", Directory, ""),
                ("cnb/buildpacks/a/1/bin/build", Regular, "new"),
                ("cnb/buildpacks/a/1/bin/detect", Symlink, "build"),
                ("cnb/buildpacks/a/1/same", Link, "cnb/buildpacks/a/1/bin/build"),
                ("cnb/buildpacks/a/1/.wh.gone", Regular, ""),
                ("cnb/buildpacks/b/.wh..wh..opq", Regular, ""),
            ],
        ]);
        done.unwrap();
        let out = dir.path().join("out");
        assert_eq!(fs::read_to_string(out.join("a/1/bin/detect")).unwrap(), "new");
        assert_eq!(fs::read_to_string(out.join("a/1/same")).unwrap(), "new");
        assert!(!out.join("a/1/gone").exists() && !out.join("b/x").exists() && !out.join("etc").exists());
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(out.join("a/1/bin/build"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn of_a_part_only_what_is_wanted_is_laid_out() {
        use EntryType::{Link, Regular};
        let dir = tempfile::tempdir().unwrap();
        let mut out = TakeOut::new(dir.path(), 10)
            .unwrap()
            .only(|path| path.starts_with("lifecycle") || path == Path::new("order.toml"));
        let layers: [&[Packed<'_>]; 2] = [
            &[
                ("cnb/buildpacks/large", Regular, "more than ten bytes"),
                ("cnb/buildpacks/link", Link, "cnb/buildpacks/large"),
                ("cnb/lifecycle/launcher", Regular, "old"),
                ("cnb/order.toml", Regular, "order"),
            ],
            &[
                ("cnb/lifecycle/.wh.launcher", Regular, ""),
                ("cnb/.wh.run.toml", Regular, ""),
            ],
        ];
        for layer in layers {
            out.archive(tar(layer).as_slice(), Path::new("cnb")).unwrap();
        }
        assert_eq!(
            fs::read_to_string(dir.path().join("order.toml")).unwrap(),
            "order"
        );
        assert!(!dir.path().join("lifecycle/launcher").exists() && !dir.path().join("buildpacks").exists());
    }

    #[test]
    fn what_is_hostile_is_refused_and_leaves_nothing_outside() {
        use EntryType::{Char, Link, Regular, Symlink};
        let long = "x".repeat(1001);
        let table: [(&[Packed<'_>], &str); 7] = [
            (&[("cnb/buildpacks/a/.wh...", Regular, "")], "takes away no name"),
            (&[("cnb/buildpacks/../../../x", Regular, "")], "leaves its folder"),
            (
                &[
                    ("cnb/buildpacks/l", Symlink, ".."),
                    ("cnb/buildpacks/l/x", Regular, ""),
                ],
                "lies behind a link",
            ),
            (
                &[("cnb/buildpacks/l", Link, "etc/passwd")],
                "is a link to outside",
            ),
            (
                &[
                    ("cnb/buildpacks/l", Symlink, "/etc/passwd"),
                    ("cnb/buildpacks/m", Link, "cnb/buildpacks/l"),
                ],
                "is a link to no file",
            ),
            (&[("cnb/buildpacks/null", Char, "")], "is neither"),
            (&[("cnb/buildpacks/big", Regular, &long)], "more than 0 MiB"),
        ];
        for (entries, expected) in table {
            let (dir, done) = taken(&[entries]);
            let error = done.unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!dir.path().join("x").exists());
        }
    }
}

//! The source, from its tar into the app's folder, without the files that project.toml leaves out.
//!
//! What always holds:
//!
//! - Nothing is written outside the folder: each entry's path is names alone, and no link is followed on the way.
//! - All files bear the time that they have in images (1980), so that what is made of them (compiled Python, for one)
//!   is the same in the next build and still fresh in the image.
//! - Files, folders and links; anything else is refused.

use crate::{
    children::Children,
    failure::{Failure, code},
    files,
    settings::Settings,
};
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::{
    fd::OwnedFd,
    fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
};

/// 1980-01-01T00:00:01Z, the time of all files in images.
const TIME: i64 = 315_532_801;
/// Open folders kept at hand.
const FOLDERS: usize = 64;

/// Unpacks the source.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let failure = |message: String| Failure::new("unpack", code::SOURCE, message);
    let choice = Choice::read(&settings.source_files).map_err(failure)?;
    let source = files::open(&settings.source, true)
        .map_err(|error| failure(format!("{} can't be opened: {error}", settings.source.display())))?;
    let folder = Folder::open(&settings.app)
        .map_err(|error| failure(format!("{} can't be written: {error}", settings.app.display())))?;
    unpack(
        BufReader::with_capacity(1 << 18, source),
        folder,
        &choice,
        children,
    )
    .map_err(failure)
}

fn unpack(source: impl Read, mut folder: Folder, choice: &Choice, children: &Children) -> Result<(), String> {
    let broken = |error: io::Error| format!("the source is damaged: {error}");
    let mut archive = tar::Archive::new(source);
    for entry in archive.entries().map_err(broken)? {
        if children.is_stopped() {
            return Err("stopped".to_owned());
        }
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind.is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map_err(broken)?.into_owned();
        let shown = path.display();
        let names = names(&path).ok_or_else(|| format!("the path {shown} in the source is not allowed"))?;
        let Some((name, parents)) = names.split_last() else {
            continue;
        };
        if !choice.takes(&names.iter().collect::<PathBuf>(), kind.is_dir()) {
            continue;
        }
        let failed = |error: io::Error| format!("{shown} can't be unpacked: {error}");
        if kind.is_dir() {
            folder.parent(&names).map_err(|error| failed(error.into()))?;
            continue;
        }
        let parent = folder.parent(parents).map_err(|error| failed(error.into()))?;
        if kind.is_symlink() {
            let target = entry.link_name().map_err(broken)?;
            let target = target.ok_or_else(|| format!("the link {shown} in the source leads nowhere"))?;
            link(parent, name, &target).map_err(|error| failed(error.into()))?;
        } else if kind.is_file() {
            let executable = entry.header().mode().map_err(broken)? & 0o111 != 0;
            let mut file = create(parent, name, executable).map_err(|error| failed(error.into()))?;
            io::copy(&mut entry, &mut file).map_err(failed)?;
            rustix::fs::futimens(&file, &times()).map_err(|error| failed(error.into()))?;
        } else {
            return Err(format!("{shown} in the source is no file, folder or link"));
        }
    }
    Ok(())
}

/// The names that a path consists of, if it is nothing but names.
fn names(path: &Path) -> Option<Vec<OsString>> {
    let name = |component: Component<'_>| match component {
        Component::Normal(name) => Some(Some(name.to_owned())),
        Component::CurDir => Some(None),
        Component::Prefix(_) | Component::RootDir | Component::ParentDir => None,
    };
    Some(
        path.components()
            .map(name)
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect(),
    )
}

fn create(parent: &OwnedFd, name: &OsStr, executable: bool) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if executable { 0o755 } else { 0o644 });
    replacing(parent, name, || rustix::fs::openat(parent, name, flags, mode)).map(File::from)
}

fn link(parent: &OwnedFd, name: &OsStr, target: &Path) -> rustix::io::Result<()> {
    replacing(parent, name, || rustix::fs::symlinkat(target, parent, name))?;
    rustix::fs::utimensat(parent, name, &times(), AtFlags::SYMLINK_NOFOLLOW)
}

/// An archive may hold a path twice: the last one counts.
fn replacing<T>(
    parent: &OwnedFd,
    name: &OsStr,
    make: impl Fn() -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            make()
        }
        made => made,
    }
}

fn times() -> Timestamps {
    let time = Timespec {
        tv_sec: TIME,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The app's folder and those in it that were opened last, so that a file does not walk its whole path again.
struct Folder {
    root: OwnedFd,
    open: BTreeMap<Vec<OsString>, OwnedFd>,
}

impl Folder {
    fn open(path: &Path) -> rustix::io::Result<Self> {
        Ok(Self {
            root: rustix::fs::openat(CWD, path, folder_flags(), Mode::empty())?,
            open: BTreeMap::new(),
        })
    }

    /// A folder in it, made where it is missing.
    fn parent(&mut self, names: &[OsString]) -> rustix::io::Result<&OwnedFd> {
        if names.is_empty() {
            return Ok(&self.root);
        }
        if !self.open.contains_key(names) {
            if self.open.len() >= FOLDERS {
                self.open.clear();
            }
            let known = (0..names.len())
                .rev()
                .find(|end| self.open.contains_key(&names[..*end]));
            let mut end = known.unwrap_or_default();
            while end < names.len() {
                let above = self.open.get(&names[..end]).unwrap_or(&self.root);
                let name = &names[end];
                match rustix::fs::mkdirat(above, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                // A link in a folder's place is not followed.
                let folder = rustix::fs::openat(above, name, folder_flags(), Mode::empty())?;
                end += 1;
                self.open.insert(names[..end].to_vec(), folder);
            }
        }
        Ok(&self.open[names])
    }
}

fn folder_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Which files are taken.
enum Choice {
    All,
    Include(Gitignore),
    Exclude(Gitignore),
}

impl Choice {
    fn read(path: &Path) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Lists {
            include: Vec<String>,
            exclude: Vec<String>,
        }
        let lists: Lists = files::toml(path)?.unwrap_or_default();
        match (lists.include.as_slice(), lists.exclude.as_slice()) {
            ([], []) => Ok(Self::All),
            (include, []) => Ok(Self::Include(patterns(include)?)),
            ([], exclude) => Ok(Self::Exclude(patterns(exclude)?)),
            _ => Err("include and exclude are both given; one of them must go".to_owned()),
        }
    }

    fn takes(&self, path: &Path, is_folder: bool) -> bool {
        match self {
            Self::All => true,
            Self::Include(patterns) => patterns.matched_path_or_any_parents(path, is_folder).is_ignore(),
            Self::Exclude(patterns) => !patterns.matched_path_or_any_parents(path, is_folder).is_ignore(),
        }
    }
}

fn patterns(lines: &[String]) -> Result<Gitignore, String> {
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        builder
            .add_line(None, line)
            .map_err(|error| format!("the pattern {line:?}: {error}"))?;
    }
    builder
        .build()
        .map_err(|error| format!("the patterns of files: {error}"))
}

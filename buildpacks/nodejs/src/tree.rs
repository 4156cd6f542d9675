//! Trees of modules: all outermost `node_modules` folders of an app, kept in a layer at the same relative places.
//!
//! A bundler must see real folders inside the app: several follow a link to where it leads and refuse what is
//! outside. So while scripts run, `node_modules` is a real folder, copied from the layer when nothing changed;
//! in the image it is a link into the layer, so that the layer is known again without reading it. Links inside
//! the tree that lead to the app's own packages (workspaces) are made absolute in the image's tree.
//!
//! What always holds: a file that is not different is not written, so an unchanged layer stays untouched.

use buildpack_support::{Failure, Result, files};
use std::{
    collections::BTreeSet,
    fs::{self, File, FileTimes, Metadata},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
    thread,
};

// A workspace's packages lie two or three folders deep.
const DEPTH: usize = 6;

/// All outermost `node_modules` folders below `root`, relative to it.
pub(crate) fn module_folders(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search(root, Path::new(""), DEPTH, &mut found);
    found.sort();
    found
}

fn search(root: &Path, at: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(at)).into_iter().flatten().flatten() {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name();
        let path = at.join(&name);
        if !is_dir {
            continue;
        }
        if name == "node_modules" {
            found.push(path);
        } else if depth > 0 && !name.as_encoded_bytes().starts_with(b".") {
            search(root, &path, depth - 1, found);
        }
    }
}

/// Where links that lead out of the module folders go.
#[derive(Clone, Copy)]
pub(crate) enum Links<'a> {
    /// They stay: the copy has the same place in the app.
    Keep,
    /// They become absolute, into the app in this folder.
    IntoApp(&'a Path),
}

/// Copies these folders from one root to the other, with modes and times.
pub(crate) fn copy(from: &Path, to: &Path, folders: &[PathBuf], links: Links<'_>) -> Result<()> {
    let mut tasks = Vec::new();
    for folder in folders {
        plan(from, to, folder, folders, links, &mut tasks)
            .map_err(|error| Failure::io("copy", &from.join(folder), &error))?;
    }
    let workers = thread::available_parallelism()
        .map_or(2, std::num::NonZero::get)
        .clamp(1, 8);
    let part = tasks.len().div_ceil(workers).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = tasks
            .chunks(part)
            .map(|tasks| {
                scope.spawn(move || {
                    tasks
                        .iter()
                        .try_for_each(|(from, to)| copy_file(from, to).map_err(|e| (from.clone(), e)))
                })
            })
            .collect();
        running.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result.map_err(|(path, error)| Failure::io("copy", &path, &error)),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

// Makes folders and links; leaves the files for many threads.
fn plan(
    from: &Path,
    to: &Path,
    at: &Path,
    folders: &[PathBuf],
    links: Links<'_>,
    tasks: &mut Vec<(PathBuf, PathBuf)>,
) -> io::Result<()> {
    let target = to.join(at);
    fs::create_dir_all(&target)?;
    for entry in fs::read_dir(from.join(at))? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            plan(from, to, &path, folders, links, tasks)?;
        } else if kind.is_symlink() {
            copy_link(from, to, &path, folders, links)?;
        } else if kind.is_file() {
            tasks.push((from.join(&path), to.join(&path)));
        }
    }
    Ok(())
}

fn copy_link(from: &Path, to: &Path, path: &Path, folders: &[PathBuf], links: Links<'_>) -> io::Result<()> {
    let target = fs::read_link(from.join(path))?;
    let target = match links {
        Links::IntoApp(app) => outside(path, &target, folders).map_or(target, |relative| app.join(relative)),
        Links::Keep => target,
    };
    let place = to.join(path);
    match fs::symlink_metadata(&place) {
        Ok(_) => fs::remove_file(&place)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(target, place)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::metadata(from)?;
    if to.is_symlink() {
        // Written through, it would change what it leads to.
        fs::remove_file(to)?;
    }
    fs::copy(from, to)?;
    // A file that its owner may not write can't get its times afterwards, nor be replaced by a later build.
    let mode = metadata.permissions().mode();
    if mode & 0o200 == 0 {
        fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o200))?;
    }
    File::options()
        .write(true)
        .open(to)?
        .set_times(FileTimes::new().set_modified(metadata.modified()?))
}

/// Copies one file or link to the same place below another root.
pub(crate) fn copy_one(from: &Path, to: &Path, path: &Path) -> Result<()> {
    let target = to.join(path);
    let result = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
        if from.join(path).is_symlink() {
            copy_link(from, to, path, &[], Links::Keep)
        } else {
            copy_file(&from.join(path), &target)
        }
    });
    result.map_err(|error| Failure::io("write", &target, &error))
}

/// Copies all that a folder holds.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, &[PathBuf::new()], Links::Keep)
}

/// Where the relative link at `path` leads, from the root, if that is out of the module folders.
fn outside(path: &Path, target: &Path, folders: &[PathBuf]) -> Option<PathBuf> {
    if target.is_absolute() {
        return None;
    }
    let mut place: Vec<Component<'_>> = path.parent()?.components().collect();
    for part in target.components() {
        match part {
            Component::ParentDir => {
                place.pop()?;
            }
            Component::CurDir => {}
            part => place.push(part),
        }
    }
    let place: PathBuf = place.into_iter().collect();
    (!folders.iter().any(|folder| place.starts_with(folder))).then_some(place)
}

/// Files and links of `work` that are new or other than in `base`, relative.
pub(crate) fn difference(work: &Path, base: &Path, folders: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for folder in folders {
        differ(work, base, folder, &mut found)
            .map_err(|error| Failure::io("read", &work.join(folder), &error))?;
    }
    Ok(found)
}

// What tools keep for their next run: not part of the app.
fn is_scratch(path: &Path) -> bool {
    let is_top = path
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|name| name == "node_modules");
    let scratch = [
        ".cache",
        ".vite",
        ".vite-temp",
        ".vitest",
        ".tmp",
        ".package-lock.json",
        ".yarn-state.yml",
    ];
    is_top
        && path
            .file_name()
            .is_some_and(|name| scratch.iter().any(|scratch| name == *scratch))
}

fn differ(work: &Path, base: &Path, at: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(work.join(at))? {
        let path = at.join(entry?.file_name());
        if is_scratch(&path) {
            continue;
        }
        let mine = fs::symlink_metadata(work.join(&path))?;
        if mine.is_dir() {
            differ(work, base, &path, found)?;
        } else if !fs::symlink_metadata(base.join(&path))
            .is_ok_and(|theirs| is_same(work, base, &path, &mine, &theirs))
        {
            found.insert(path);
        }
    }
    Ok(())
}

fn is_same(work: &Path, base: &Path, path: &Path, mine: &Metadata, theirs: &Metadata) -> bool {
    if mine.is_symlink() && theirs.is_symlink() {
        return fs::read_link(work.join(path)).ok() == fs::read_link(base.join(path)).ok();
    }
    mine.is_file()
        && theirs.is_file()
        && (mine.len(), mine.mtime(), mine.mtime_nsec())
            == (theirs.len(), theirs.mtime(), theirs.mtime_nsec())
}

/// Brings `changed` of `work` into `image`, a tree from which some packages of `full` were pruned: what was made
/// inside a pruned package stays away. Gives the number of files that were written.
pub(crate) fn apply(
    changed: &BTreeSet<PathBuf>,
    (work, full, image): (&Path, &Path, &Path),
    folders: &[PathBuf],
    app: &Path,
) -> Result<usize> {
    let mut written = 0;
    for path in changed {
        let known = path
            .ancestors()
            .skip(1)
            .find(|parent| full.join(parent).is_dir())
            .unwrap_or(Path::new(""));
        let target = image.join(path);
        if !image.join(known).is_dir() || is_there(work, path, &target, folders, app) {
            continue;
        }
        let result = target.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| {
            if work.join(path).is_symlink() {
                copy_link(work, image, path, folders, Links::IntoApp(app))
            } else {
                copy_file(&work.join(path), &target)
            }
        });
        result.map_err(|error| Failure::io("write", &target, &error))?;
        written += 1;
    }
    Ok(written)
}

// Whether the image has it already, by content.
fn is_there(work: &Path, path: &Path, target: &Path, folders: &[PathBuf], app: &Path) -> bool {
    let source = work.join(path);
    if let Ok(link) = fs::read_link(&source) {
        let link = outside(path, &link, folders).map_or(link, |relative| app.join(relative));
        return fs::read_link(target).is_ok_and(|there| there == link);
    }
    let size = |path: &Path| {
        fs::symlink_metadata(path)
            .ok()
            .filter(Metadata::is_file)
            .map(|metadata| metadata.len())
    };
    size(&source).is_some()
        && size(&source) == size(target)
        && matches!((fs::read(&source), fs::read(target)), (Ok(one), Ok(other)) if one == other)
}

/// Puts links to `tree`'s module folders in place of the app's `folders`.
pub(crate) fn link(app: &Path, folders: &[PathBuf], tree: &Path) -> Result<()> {
    for folder in folders {
        files::remove(&app.join(folder))?;
    }
    for folder in module_folders(tree) {
        let place = app.join(&folder);
        files::remove(&place)?;
        if let Some(parent) = place.parent() {
            files::make_dir(parent)?;
        }
        symlink(tree.join(&folder), &place).map_err(|error| Failure::io("write", &place, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // An app with a workspace `packages/b`, which is linked, and a dev dependency.
    fn app() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "packages/b/index.js",
            "packages/b/node_modules/c/index.js",
            "node_modules/a/index.js",
            "node_modules/a/node_modules/deep/index.js",
            "node_modules/dev/index.js",
            ".git/node_modules/no",
        ] {
            files::write(&dir.path().join(name), name).unwrap();
        }
        files::make_dir(&dir.path().join("node_modules/.bin")).unwrap();
        symlink("../a/index.js", dir.path().join("node_modules/.bin/a")).unwrap();
        symlink("../packages/b", dir.path().join("node_modules/b")).unwrap();
        dir
    }

    fn copied(app: &Path, links: Links<'_>) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        copy(app, tree.path(), &module_folders(app), links).unwrap();
        tree
    }

    #[test]
    fn the_outermost_folders_are_found() {
        let app = app();
        assert_eq!(
            module_folders(app.path()),
            ["node_modules", "packages/b/node_modules"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_copy_is_no_difference_and_links_into_the_app_are_absolute() {
        let app = app();
        let folders = module_folders(app.path());
        let full = copied(app.path(), Links::Keep);
        assert!(difference(app.path(), full.path(), &folders).unwrap().is_empty());
        let image = copied(app.path(), Links::IntoApp(app.path()));
        let link = |name: &str| fs::read_link(image.path().join(name)).unwrap();
        assert_eq!(link("node_modules/b"), app.path().join("packages/b"));
        assert_eq!(link("node_modules/.bin/a"), Path::new("../a/index.js"));
    }

    #[test]
    fn what_a_build_makes_is_brought_in_but_not_into_pruned_packages() {
        let app = app();
        let folders = module_folders(app.path());
        let full = copied(app.path(), Links::Keep);
        let image = copied(app.path(), Links::IntoApp(app.path()));
        fs::remove_dir_all(image.path().join("node_modules/dev")).unwrap();
        for name in [
            "node_modules/.prisma/client/index.js",
            "node_modules/a/index.js",
            "node_modules/dev/made.js",
            "node_modules/.cache/x",
        ] {
            files::write(&app.path().join(name), "made by the build").unwrap();
        }
        let changed = difference(app.path(), full.path(), &folders).unwrap();
        assert_eq!(changed.len(), 3);
        let places = (app.path(), full.path(), image.path());
        assert_eq!(apply(&changed, places, &folders, app.path()).unwrap(), 2);
        assert!(image.path().join("node_modules/.prisma/client/index.js").exists());
        assert!(!image.path().join("node_modules/dev").exists());
        // The same again writes nothing: the layer stays as it is.
        assert_eq!(apply(&changed, places, &folders, app.path()).unwrap(), 0);
    }

    #[test]
    fn in_the_image_the_folders_are_links() {
        let app = app();
        let image = copied(app.path(), Links::IntoApp(app.path()));
        let folders = module_folders(app.path());
        link(app.path(), &folders, image.path()).unwrap();
        link(app.path(), &[], image.path()).unwrap();
        assert!(app.path().join("node_modules").is_symlink());
        assert!(app.path().join("packages/b/node_modules").is_symlink());
        assert_eq!(
            fs::read_to_string(app.path().join("node_modules/b/index.js")).unwrap(),
            "packages/b/index.js"
        );
        assert!(app.path().join("node_modules/b/node_modules/c/index.js").exists());
    }
}

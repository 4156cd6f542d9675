//! Marks the sources that changed since the last build.
//!
//! Cargo compares times, and everything that is pushed has the same one, long past: without this it would take
//! yesterday's program for today's code. So a list of all files with their digests is kept beside Cargo's output,
//! and what differs gets the present time. What is about to be built is taken off the list before, and put on it
//! when the build has succeeded: after a build that failed half way it counts as changed, whatever it holds.

use buildpack_support::{Failure, Result, files};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Path, relative to the app's folder, and digest.
type List = BTreeMap<String, String>;

/// The list of a build that is going on.
#[derive(Debug)]
pub(crate) struct Sources {
    file: PathBuf,
    now: List,
    /// How many are other than in the last build.
    pub(crate) changed: usize,
}

impl Sources {
    /// Compares with the last list and touches what differs.
    pub(crate) fn mark(app: &Path, kept: &Path) -> Result<Self> {
        let file = kept.join("sources.json");
        let before: List = fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut now = List::new();
        walk(app, app, &mut now).map_err(|error| Failure::io("read the files in", app, &error))?;
        let changed: Vec<&String> = now
            .iter()
            .filter(|(path, digest)| before.get(*path) != Some(*digest))
            .map(|(path, _)| path)
            .collect();
        let gone: Vec<&String> = before.keys().filter(|path| !now.contains_key(*path)).collect();
        let time = SystemTime::now();
        for path in &changed {
            touch(&app.join(path), time)?;
        }
        // A build script may watch a folder.
        for path in changed.iter().chain(&gone) {
            let folder = app
                .join(path)
                .parent()
                .map(Path::to_owned)
                .unwrap_or_else(|| app.to_owned());
            if folder.is_dir() {
                touch(&folder, time)?;
            }
        }
        let certain: List = before
            .iter()
            .filter(|(path, digest)| now.get(*path) == Some(*digest))
            .map(|(path, digest)| (path.clone(), digest.clone()))
            .collect();
        write(&file, &certain)?;
        let changed = changed.len() + gone.len();
        Ok(Self { file, now, changed })
    }

    /// The build has succeeded.
    pub(crate) fn done(self) -> Result<()> {
        write(&self.file, &self.now)
    }
}

fn write(file: &Path, list: &List) -> Result<()> {
    let text =
        serde_json::to_vec(list).map_err(|error| Failure::io("write", file, &io::Error::from(error)))?;
    files::write(file, text)
}

fn touch(path: &Path, time: SystemTime) -> Result<()> {
    File::open(path)
        .and_then(|file| file.set_modified(time))
        .map_err(|error| Failure::io("set the time of", path, &error))
}

fn walk(root: &Path, folder: &Path, list: &mut List) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        let name = entry.file_name();
        if kind.is_dir() {
            let is_apart = name == ".git" || name == "node_modules" || (folder == root && name == "target");
            if !is_apart {
                walk(root, &path, list)?;
            }
        } else if kind.is_file() {
            let mut hasher = Sha256::new();
            hasher.update(fs::read(&path)?);
            let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            list.insert(relative, hex::encode(hasher.finalize()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: SystemTime = SystemTime::UNIX_EPOCH;

    // As the lifecycle unpacks a push: all times the same.
    fn push(app: &Path, tree: &[(&str, &str)]) {
        fs::remove_dir_all(app).ok();
        for (name, text) in tree {
            files::write(&app.join(name), text).unwrap();
            touch(&app.join(name), OLD).unwrap();
        }
    }

    fn touched(app: &Path, names: &[&str]) -> Vec<String> {
        names
            .iter()
            .filter(|name| fs::metadata(app.join(name)).unwrap().modified().unwrap() != OLD)
            .map(|name| (*name).to_owned())
            .collect()
    }

    #[test]
    fn what_changed_gets_the_present_time() {
        let dir = tempfile::tempdir().unwrap();
        let (app, kept) = (dir.path().join("app"), dir.path().join("kept"));
        let names = ["src/main.rs", "src/lib.rs"];
        push(&app, &[("src/main.rs", "1"), ("src/lib.rs", "1")]);
        Sources::mark(&app, &kept).unwrap().done().unwrap();
        assert_eq!(touched(&app, &names), names);

        push(&app, &[("src/main.rs", "1"), ("src/lib.rs", "1")]);
        let same = Sources::mark(&app, &kept).unwrap();
        assert_eq!((same.changed, touched(&app, &names)), (0, Vec::new()));
        same.done().unwrap();

        push(&app, &[("src/main.rs", "2"), ("src/lib.rs", "1")]);
        // This build fails: `done` is not reached.
        assert_eq!(Sources::mark(&app, &kept).unwrap().changed, 1);
        assert_eq!(touched(&app, &names), ["src/main.rs"]);

        // Back to what the last build that succeeded had: what Cargo has may be of either.
        push(&app, &[("src/main.rs", "1"), ("src/lib.rs", "1")]);
        Sources::mark(&app, &kept).unwrap().done().unwrap();
        assert_eq!(touched(&app, &names), ["src/main.rs"]);
    }

    #[test]
    fn what_is_gone_counts_as_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (app, kept) = (dir.path().join("app"), dir.path().join("kept"));
        push(&app, &[("a/x", "1"), ("a/y", "1"), ("target/release/z", "1")]);
        Sources::mark(&app, &kept).unwrap().done().unwrap();
        push(&app, &[("a/x", "1")]);
        assert_eq!(Sources::mark(&app, &kept).unwrap().changed, 1);
    }
}

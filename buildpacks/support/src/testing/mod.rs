//! Runs a buildpack on a folder as the lifecycle does, for tests. No containers.
//!
//! [`App`] is the folder with all that a platform keeps around it; `phase` runs `bin/detect` and `bin/build` on it,
//! and `image` is what the image would be. Between two builds of one app the layers are restored by the
//! specification's table.

mod image;
mod outcome;
mod phase;

pub use outcome::{Outcome, redact};
pub use phase::enter;

use crate::files;
use libcnb::Env;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Makes the test binary able to be `$buildpack`: a hidden test, and `fn app() -> App`, an empty app.
#[macro_export]
macro_rules! entry {
    ($buildpack:expr, $descriptor:expr) => {
        #[test]
        fn buildpack_entry() {
            $crate::testing::enter(&$buildpack);
        }

        /// An empty app for the buildpack.
        pub(crate) fn app() -> $crate::testing::App {
            $crate::testing::App::new(concat!(module_path!(), "::buildpack_entry"), $descriptor)
        }
    };
}
pub use crate::entry;

/// An app's folder with all that a platform keeps around it; gone when dropped.
#[derive(Debug)]
pub struct App {
    root: tempfile::TempDir,
    entry: String,
    env: Env,
    required: Vec<String>,
}

impl App {
    /// `entry` is the hidden test's path with the crate's name before; `entry!` knows it.
    #[must_use]
    pub fn new(entry: &str, descriptor: &str) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        for folder in ["workspace", "layers", "platform/env", "buildpack", "home"] {
            fs::create_dir_all(root.path().join(folder)).expect("a new folder can be filled");
        }
        fs::write(root.path().join("buildpack/buildpack.toml"), descriptor)
            .expect("a new file can be written");
        let entry = entry.split_once("::").map_or(entry, |(_, path)| path).to_owned();
        Self {
            root,
            entry,
            env: phase::host_env(),
            required: Vec::new(),
        }
    }

    /// The app's folder.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.path().join("workspace")
    }

    /// The buildpack's layers.
    #[must_use]
    pub fn layers(&self) -> PathBuf {
        self.root.path().join("layers")
    }

    /// The buildpack's own folder (`CNB_BUILDPACK_DIR`).
    #[must_use]
    pub fn buildpack_dir(&self) -> PathBuf {
        self.root.path().join("buildpack")
    }

    /// Writes a file of the app.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    /// As [`Self::file`], between two builds.
    pub fn write(&self, name: &str, text: &str) {
        files::write(&self.dir().join(name), text).expect("a file of the app can be written");
    }

    /// Copies a folder into the app's.
    #[must_use]
    pub fn fixture(self, from: &Path) -> Self {
        let status = Command::new("cp")
            .arg("-a")
            .arg(from.join("."))
            .arg(self.dir())
            .status();
        assert!(status.expect("cp is there").success());
        self
    }

    /// A variable that the platform gives.
    #[must_use]
    pub fn env(self, name: &str, value: &str) -> Self {
        fs::write(self.root.path().join("platform/env").join(name), value)
            .expect("a variable can be written");
        self
    }

    /// A variable of the process only: what an earlier buildpack or the lifecycle set.
    #[must_use]
    pub fn process_env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name, value);
        self
    }

    /// What a later buildpack of the group requires: an entry of the build's plan.
    #[must_use]
    pub fn required(mut self, name: &str) -> Self {
        self.required.push(name.to_owned());
        self
    }

    /// Makes the app's folder anew, with these files only, as for the next push; layers stay.
    pub fn next_push(&self) {
        fs::remove_dir_all(self.dir()).expect("the app's folder can be removed");
        fs::create_dir(self.dir()).expect("and made again");
    }

    // What programs leave among temporary files goes with the app.
    fn temporary(&self) -> PathBuf {
        let folder = self.root.path().join("tmp");
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }
}

fn table(path: &Path) -> toml::Table {
    fs::read_to_string(path)
        .unwrap_or_default()
        .parse()
        .unwrap_or_default()
}

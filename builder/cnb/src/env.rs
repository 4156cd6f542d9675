//! The environment of buildpacks and of processes (buildpack.md, "Environment"): which variables they start with,
//! what layers add, what the platform and the operator set over it. Pure: folders come as listings.
//!
//! What always holds:
//!
//! - A value is bytes: nothing is trimmed, nothing need be UTF-8.
//! - The same listing gives the same environment, in whatever order it comes: files count in the byte order of
//!   their names.
//! - A name that no variable can bear (empty, or with `=`) is left alone.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

/// Whose environment a layer is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// That of the buildpacks after this one.
    Build,
    /// That of the image's processes.
    Launch,
}

/// The variables that a buildpack gets from whoever runs the lifecycle; all others come from the platform's
/// folder. Those that layers prepend to come too.
const PASSED_TO_BUILDPACKS: [&str; 9] = [
    "CNB_STACK_ID",
    "HOSTNAME",
    "HOME",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The variables that are the launcher's own and that a process does not see.
const KEPT_FROM_PROCESSES: [&str; 5] = [
    "CNB_LAYERS_DIR",
    "CNB_APP_DIR",
    "CNB_PROCESS_TYPE",
    "CNB_PLATFORM_API",
    "CNB_DEPRECATION_MODE",
];

/// Folders of a layer, and the lists of paths that they are put in front of.
const LAYER_ROOT: [(&str, &[&str]); 4] = [
    ("bin", &["PATH"]),
    ("lib", &["LD_LIBRARY_PATH", "LIBRARY_PATH"]),
    ("include", &["CPATH"]),
    ("pkgconfig", &["PKG_CONFIG_PATH"]),
];

/// The same when an image runs.
const LAUNCH_LAYER_ROOT: [(&str, &[&str]); 2] = [("bin", &["PATH"]), ("lib", &["LD_LIBRARY_PATH"])];

/// Variables by name, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// What a buildpack starts with, of the lifecycle's own variables.
    #[must_use]
    pub fn for_build(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let passed = |name: &OsStr| is_path_list(name) || PASSED_TO_BUILDPACKS.iter().any(|it| name == *it);
        Self(variables.into_iter().filter(|(name, _)| passed(name)).collect())
    }

    /// What a process starts with, of the launcher's own variables; `not_in_path` are the folders that only the
    /// launcher has in `PATH`.
    #[must_use]
    pub fn for_launch(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        not_in_path: &[&Path],
    ) -> Self {
        let kept = |name: &OsStr| KEPT_FROM_PROCESSES.iter().any(|it| name == *it);
        let mut env = Self(variables.into_iter().filter(|(name, _)| !kept(name)).collect());
        if let Some(path) = env.get("PATH") {
            let folders = path.as_bytes().split(|byte| *byte == b':');
            let left: Vec<&[u8]> = folders
                .filter(|folder| !not_in_path.iter().any(|it| it.as_os_str().as_bytes() == *folder))
                .collect();
            let path = OsString::from_vec(left.join(&b':'));
            env.set("PATH", path);
        }
        env
    }

    /// A variable's value; an empty one is there, too.
    #[must_use]
    pub fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.get(name.as_ref()).map(OsString::as_os_str)
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        let name = name.into();
        if is_name(&name) {
            self.0.insert(name, value.into());
        }
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: impl AsRef<OsStr>) {
        self.0.remove(name.as_ref());
    }

    /// All variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Puts a layer's own folders (`bin`, `lib`, ...) in front of the lists of paths they belong to, as far as
    /// `is_there` finds them. `layer` is absolute.
    pub fn apply_layer_root(&mut self, phase: Phase, layer: &Path, is_there: impl Fn(&Path) -> bool) {
        let roots: &[(&str, &[&str])] = match phase {
            Phase::Build => &LAYER_ROOT,
            Phase::Launch => &LAUNCH_LAYER_ROOT,
        };
        for (folder, names) in roots {
            let folder = layer.join(folder);
            if is_there(&folder) {
                for name in *names {
                    self.prepend(OsStr::new(name), folder.as_os_str(), OsStr::new(":"));
                }
            }
        }
    }

    /// Applies a folder of a layer (`env`, `env.build`, `env.launch`, `env.launch/<process>`), given as the
    /// names and contents of its files.
    pub fn apply_env_dir(&mut self, files: impl IntoIterator<Item = (OsString, OsString)>) {
        self.apply_files(files, Action::Override);
    }

    /// Applies the operator's `<build-config>/env`: like a layer's, but a name without a suffix is a default.
    pub fn apply_build_config(&mut self, files: impl IntoIterator<Item = (OsString, OsString)>) {
        self.apply_files(files, Action::Default);
    }

    /// Applies `<platform>/env`: lists of paths go in front, all else is set. Suffixes mean nothing here.
    pub fn apply_platform(&mut self, files: impl IntoIterator<Item = (OsString, OsString)>) {
        for (name, value) in files {
            if is_path_list(&name) {
                self.prepend(&name, &value, OsStr::new(":"));
            } else {
                self.set(name, value);
            }
        }
    }

    fn apply_files(&mut self, files: impl IntoIterator<Item = (OsString, OsString)>, unnamed: Action) {
        let files: BTreeMap<OsString, OsString> = files.into_iter().collect();
        for (file, value) in &files {
            let (name, action) = split(file, unnamed);
            let Some(action) = action else { continue };
            let delimiter = || {
                let mut file = name.to_owned();
                file.push(".delim");
                files.get(&file).cloned().unwrap_or_default()
            };
            match action {
                Action::Override => self.set(name, value),
                Action::Default => {
                    if self.get(name).is_none_or(OsStr::is_empty) {
                        self.set(name, value);
                    }
                }
                Action::Prepend => self.prepend(name, value, &delimiter()),
                Action::Append => {
                    let mut joined = self.get(name).unwrap_or_default().to_owned();
                    if !joined.is_empty() {
                        joined.push(delimiter());
                    }
                    joined.push(value);
                    self.set(name, joined);
                }
            }
        }
    }

    /// The delimiter stands between two values only, never beside an empty one.
    fn prepend(&mut self, name: &OsStr, value: &OsStr, delimiter: &OsStr) {
        let mut joined = value.to_owned();
        if let Some(before) = self.get(name).filter(|before| !before.is_empty()) {
            joined.push(delimiter);
            joined.push(before);
        }
        self.set(name, joined);
    }
}

impl FromIterator<(OsString, OsString)> for Env {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Self {
        Self(variables.into_iter().filter(|(name, _)| is_name(name)).collect())
    }
}

impl IntoIterator for Env {
    type Item = (OsString, OsString);
    type IntoIter = std::collections::btree_map::IntoIter<OsString, OsString>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[derive(Clone, Copy)]
enum Action {
    Override,
    Default,
    Prepend,
    Append,
}

/// The variable and what to do with it, by a file's name; nothing for a suffix that is not known.
fn split(file: &OsStr, unnamed: Action) -> (&OsStr, Option<Action>) {
    let bytes = file.as_bytes();
    let Some(dot) = bytes.iter().position(|byte| *byte == b'.') else {
        return (file, Some(unnamed));
    };
    let action = match &bytes[dot + 1..] {
        b"override" => Some(Action::Override),
        b"default" => Some(Action::Default),
        b"prepend" => Some(Action::Prepend),
        b"append" => Some(Action::Append),
        _ => None,
    };
    (OsStr::from_bytes(&bytes[..dot]), action)
}

fn is_name(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().contains(&b'=')
}

fn is_path_list(name: &OsStr) -> bool {
    LAYER_ROOT
        .iter()
        .any(|(_, names)| names.iter().any(|it| name == *it))
}

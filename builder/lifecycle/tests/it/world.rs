//! A build container's folders in a temporary one, and the lifecycle run in them.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The folders.
pub(crate) struct World {
    root: TempDir,
    variables: BTreeMap<&'static str, String>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    phase: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// The line for the host, which is the last one.
    pub(crate) fn failure(&self) -> serde_json::Value {
        let line = self.err.lines().last().unwrap_or_default();
        let json = line
            .strip_prefix("pvdify-lifecycle: ")
            .unwrap_or_else(|| panic!("no such line: {self:?}"));
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
    }

    pub(crate) fn message(&self) -> String {
        self.failure()["message"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        // A whole build says so, as its last line.
        let said = match self.phase.as_str() {
            "create" | "resume" => "pvdify-lifecycle: {\"code\":0}\n",
            _ => "",
        };
        assert_eq!(self.err, said, "{self:?}");
        self
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            root: tempfile::tempdir().expect("a folder"),
            variables: BTreeMap::new(),
        };
        for folder in [
            "app",
            "layers",
            "platform/env",
            "buildpacks",
            "extensions",
            "config",
            "tmp",
        ] {
            fs::create_dir_all(world.path(folder)).expect("a folder");
        }
        world
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("a folder");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// A program of `/bin/sh`; `$ROOT` in it is this world.
    pub(crate) fn program(&self, path: impl AsRef<Path>, script: &str) {
        let script = script.replace("$ROOT", self.root.path().to_str().expect("a plain path"));
        let path = self.write(path, format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// A buildpack in version 1 of API 0.10, with lines for the end of its buildpack.toml.
    pub(crate) fn buildpack(&self, id: &str, more: &str, detect: &str, build: &str) {
        self.buildpack_of("0.10", id, more, detect, build);
    }

    pub(crate) fn buildpack_of(&self, api: &str, id: &str, more: &str, detect: &str, build: &str) {
        let folder = PathBuf::from("buildpacks").join(id.replace('/', "_")).join("1");
        let toml = format!("api = '{api}'\n[buildpack]\nid = '{id}'\nversion = '1'\n{more}\n");
        self.write(folder.join("buildpack.toml"), toml);
        self.program(folder.join("bin/detect"), detect);
        self.program(folder.join("bin/build"), build);
    }

    /// An image extension in version 1 of API 0.10, without programs.
    pub(crate) fn extension(&self, id: &str) -> PathBuf {
        let folder = PathBuf::from("extensions").join(id.replace('/', "_")).join("1");
        let toml = format!("api = '0.10'\n[extension]\nid = '{id}'\nversion = '1'\n");
        self.write(folder.join("extension.toml"), toml);
        folder
    }

    /// `a,b?;c`: groups of buildpacks in version 1, `?` for optional.
    pub(crate) fn order(&self, text: &str) {
        self.write("order.toml", groups("order", text));
    }

    /// A group.toml and an empty plan.toml, as detection would leave them.
    pub(crate) fn group(&self, ids: &[&str]) {
        let element = |id: &&str| {
            let folder = PathBuf::from("buildpacks")
                .join(id.replace('/', "_"))
                .join("1/buildpack.toml");
            let api = self.read(folder).lines().next().expect("the API").to_owned();
            format!("[[group]]\nid = '{id}'\nversion = '1'\n{api}\n")
        };
        let text: String = ids.iter().map(element).collect();
        self.write("layers/group.toml", text);
        self.write("layers/plan.toml", "");
    }

    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.variables.insert(variable, value.into());
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pvdify-lifecycle"));
        let path = |name: &str| self.path(name);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("TMPDIR", path("tmp"))
            .env("PVDIFY_SOURCE", path("source.tar"))
            .env("PVDIFY_SOURCE_FILES", path("files.toml"))
            .env("CNB_APP_DIR", path("app"))
            .env("CNB_LAYERS_DIR", path("layers"))
            .env("CNB_PLATFORM_DIR", path("platform"))
            .env("CNB_BUILDPACKS_DIR", path("buildpacks"))
            .env("CNB_EXTENSIONS_DIR", path("extensions"))
            .env("CNB_BUILD_CONFIG_DIR", path("config"))
            .env("CNB_ORDER_PATH", path("order.toml"))
            .env("CNB_SYSTEM_PATH", path("system.toml"))
            .envs(&self.variables)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, phase: &str) -> Run {
        let output = self.command(&[phase]).output().expect("the program runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        let run = Run {
            phase: phase.to_owned(),
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        };
        let left: Vec<_> = fs::read_dir(self.path("tmp")).expect("the folder").collect();
        assert!(left.is_empty(), "temporary files stay behind: {left:?}");
        run
    }

    /// A TOML file that must be there.
    pub(crate) fn toml(&self, path: &str) -> toml::Table {
        self.read(path)
            .parse()
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// All paths in a folder, sorted; folders end in `/`.
    pub(crate) fn tree(&self, folder: &str) -> Vec<String> {
        fn walk(base: &Path, folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("an entry");
                let path = entry.path();
                let shown = path
                    .strip_prefix(base)
                    .expect("it is below")
                    .display()
                    .to_string();
                if entry.file_type().expect("a type").is_dir() {
                    found.push(format!("{shown}/"));
                    walk(base, &path, found);
                } else {
                    found.push(shown);
                }
            }
        }
        let base = self.path(folder);
        let mut found = Vec::new();
        walk(&base, &base, &mut found);
        found.sort();
        found
    }
}

/// `a,b?;c` as tables of an order.
pub(crate) fn groups(table: &str, text: &str) -> String {
    let element = |name: &str| {
        let optional = name.ends_with('?');
        format!(
            "[[{table}.group]]\nid = '{}'\nversion = '1'\noptional = {optional}\n",
            name.trim_end_matches('?')
        )
    };
    let row = |row: &str| format!("[[{table}]]\n{}", row.split(',').map(element).collect::<String>());
    text.split(';').map(row).collect()
}

//! Runs a buildpack on a folder as the lifecycle does, for tests: a child process, positional arguments, the
//! `CNB_*` environment, an allow-list of the rest. No containers.
//!
//! A buildpack reads its process's environment and working directory and ends its process, so it needs one of
//! its own: the test binary starts itself, asking for one hidden test (`entry!`) that is the buildpack. Between
//! two builds of one [`App`] the layers are restored by the specification's table.

use crate::{Failure, failure, files};
use libcnb::{
    Buildpack, Env,
    layer_env::{LayerEnv, Scope},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
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

const PHASE: &str = "PVDIFY_TEST_PHASE";

/// The hidden test: nothing, unless [`App`] started this process.
pub fn enter<B: Buildpack<Error = Failure>>(buildpack: &B) {
    let Ok(arguments) = std::env::var(PHASE) else {
        return;
    };
    let arguments: Vec<String> = arguments.split('\n').map(str::to_owned).collect();
    let descriptor =
        Path::new(&std::env::var("CNB_BUILDPACK_DIR").expect("set by App")).join("buildpack.toml");
    let descriptor = libcnb::read_toml_file(descriptor).expect("buildpack.toml is what libcnb reads");
    let result = match arguments[0].as_str() {
        "detect" => {
            let arguments = libcnb::DetectArgs::parse(&arguments).expect("two arguments");
            libcnb::libcnb_runtime_detect(buildpack, descriptor, arguments)
        }
        _ => {
            let arguments = libcnb::BuildArgs::parse(&arguments).expect("three arguments");
            libcnb::libcnb_runtime_build(buildpack, descriptor, arguments)
        }
    };
    let code = result.unwrap_or_else(|error| {
        failure::print(error);
        1
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "this process is the buildpack, and the test harness must say nothing more"
    )]
    std::process::exit(code);
}

/// An app's folder with all that a platform keeps around it; gone when dropped.
#[derive(Debug)]
pub struct App {
    root: tempfile::TempDir,
    entry: String,
    env: Env,
    required: Vec<String>,
}

/// How a phase ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code: 0 passed, 100 not detected, else an error.
    pub code: i32,
    /// stdout.
    pub stdout: String,
    /// stderr: the failure, as it is rendered.
    pub stderr: String,
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
            env: host_env(),
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

    /// Runs `bin/detect`.
    #[must_use]
    pub fn detect(&self) -> Outcome {
        let plan = self.root.path().join("plan.toml");
        fs::write(&plan, "").expect("a file can be written");
        self.phase(&["detect".into(), self.root.path().join("platform"), plan])
    }

    /// The build plan that the last `detect` wrote.
    #[must_use]
    pub fn plan(&self) -> toml::Table {
        table(&self.root.path().join("plan.toml"))
    }

    /// Restores the layers of the last build and runs `bin/build`.
    #[must_use]
    pub fn build(&self) -> Outcome {
        self.restore();
        let plan = self.root.path().join("build-plan.toml");
        let entries: String = self
            .required
            .iter()
            .map(|name| format!("[[entries]]\nname = \"{name}\"\n"))
            .collect();
        fs::write(&plan, entries).expect("a file can be written");
        self.phase(&[
            "build".into(),
            self.layers(),
            self.root.path().join("platform"),
            plan,
        ])
    }

    /// Makes the app's folder anew, with these files only, as for the next push; layers stay.
    pub fn next_push(&self) {
        fs::remove_dir_all(self.dir()).expect("the app's folder can be removed");
        fs::create_dir(self.dir()).expect("and made again");
    }

    /// `launch.toml` of the last build.
    #[must_use]
    pub fn launch(&self) -> toml::Table {
        table(&self.layers().join("launch.toml"))
    }

    /// A process's whole command, if there is that type.
    #[must_use]
    pub fn process(&self, name: &str) -> Option<Vec<String>> {
        let launch = self.launch();
        let processes = launch.get("processes")?.as_array()?;
        let process = processes
            .iter()
            .rfind(|process| process["type"].as_str() == Some(name))?;
        let words = |key: &str| {
            let list = process
                .get(key)
                .and_then(|value| value.as_array())
                .into_iter()
                .flatten();
            list.filter_map(|word| Some(word.as_str()?.to_owned()))
                .collect::<Vec<_>>()
        };
        Some([words("command"), words("args")].concat())
    }

    /// A layer's folder.
    #[must_use]
    pub fn layer(&self, name: &str) -> PathBuf {
        self.layers().join(name)
    }

    /// A layer's `build`, `cache` and `launch`.
    #[must_use]
    pub fn layer_types(&self, name: &str) -> [bool; 3] {
        let layer = table(&self.layers().join(format!("{name}.toml")));
        ["build", "cache", "launch"].map(|kind| {
            layer
                .get("types")
                .and_then(|types| types.get(kind))
                .and_then(toml::Value::as_bool)
                .unwrap_or_default()
        })
    }

    /// The environment of a process in the image: the launch layers' on top of a bare one, exec.d included.
    #[must_use]
    pub fn launch_env(&self) -> Env {
        let mut env = Env::new();
        env.insert(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        env.insert("HOME", self.root.path().join("home"));
        env.insert("TMPDIR", self.temporary());
        let names = self.layer_names();
        let launch: Vec<_> = names.iter().filter(|name| self.layer_types(name)[2]).collect();
        for name in &launch {
            let layer = LayerEnv::read_from_layer_dir(self.layer(name)).expect("a layer can be read");
            env = layer.apply(Scope::Launch, &env);
        }
        for name in &launch {
            let mut programs: Vec<_> = fs::read_dir(self.layer(name).join("exec.d"))
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
                .collect();
            programs.sort();
            for program in programs {
                let output = Command::new("sh")
                    .args(["-c", "exec \"$0\" 3>&1 >/dev/null"])
                    .arg(&program)
                    .env_clear()
                    .envs(&env)
                    .current_dir(self.dir())
                    .output()
                    .expect("sh is there");
                assert!(
                    output.status.success(),
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                let table: toml::Table = String::from_utf8_lossy(&output.stdout)
                    .parse()
                    .expect("exec.d gives TOML");
                for (name, value) in table {
                    env.insert(name, value.as_str().unwrap_or_default());
                }
            }
        }
        env
    }

    /// A command that runs a process type as the launcher would.
    #[must_use]
    pub fn start(&self, name: &str) -> Command {
        let words = self.process(name).expect("the process type is there");
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(&self.launch_env())
            .current_dir(self.dir());
        command
    }

    fn layer_names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.layers())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    // By the specification: cached layers come back without their types, of the others at most the metadata.
    fn restore(&self) {
        for name in self.layer_names() {
            let file = self.layers().join(format!("{name}.toml"));
            let [_, is_cached, _] = self.layer_types(&name);
            if is_cached {
                let mut layer = table(&file);
                layer.remove("types");
                fs::write(&file, layer.to_string()).expect("a layer's file can be written");
            } else {
                fs::remove_dir_all(self.layer(&name)).expect("a layer can be removed");
                files::remove(&file).expect("a layer's file can be removed");
            }
        }
        files::remove(&self.layers().join("launch.toml")).expect("launch.toml can be removed");
    }

    // What programs leave among temporary files goes with the app.
    fn temporary(&self) -> PathBuf {
        let folder = self.root.path().join("tmp");
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    fn phase(&self, arguments: &[PathBuf]) -> Outcome {
        let arguments: Vec<String> = arguments.iter().map(|word| word.display().to_string()).collect();
        let buildpack = self.root.path().join("buildpack");
        let output = Command::new("/proc/self/exe")
            .args([&self.entry, "--exact", "--nocapture", "--test-threads=2"])
            .env_clear()
            .envs(&self.env)
            .env("HOME", self.root.path().join("home"))
            .env("TMPDIR", self.temporary())
            .env(PHASE, arguments.join("\n"))
            .env("CNB_BUILDPACK_DIR", buildpack)
            .env("CNB_PLATFORM_DIR", self.root.path().join("platform"))
            .env("CNB_LAYERS_DIR", self.layers())
            .env("CNB_APP_DIR", self.dir())
            .env("CNB_TARGET_OS", "linux")
            .env(
                "CNB_TARGET_ARCH",
                if cfg!(target_arch = "aarch64") {
                    "arm64"
                } else {
                    "amd64"
                },
            )
            .env("CNB_TARGET_DISTRO_NAME", "debian")
            .env("CNB_TARGET_DISTRO_VERSION", "13")
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .output()
            .expect("the test binary starts itself");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        // What the test harness says before the hidden test runs (with one thread it would say more).
        let stdout = stdout
            .split_once("running 1 test\n")
            .map_or(stdout.clone(), |(_, rest)| rest.to_owned());
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// Ends the test with all output unless the phase passed.
    pub fn passed(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    /// stdout with times and sizes of downloads replaced, for snapshots.
    #[must_use]
    pub fn log(&self) -> String {
        redact(&self.stdout)
    }
}

/// Replaces times (`4.2s`, `1m 05s`) and sizes (`51.6 MB`): they differ from run to run.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut out: Vec<String> = Vec::new();
        for word in words {
            let bare = word.trim_matches(['(', ')', ',', '.']);
            let is_time = bare.ends_with('s') && bare[..bare.len() - 1].parse::<f64>().is_ok();
            let is_unit = matches!(bare, "B" | "KB" | "MB" | "GB");
            if is_time {
                out.push(word.replace(bare, "[time]"));
            } else if is_unit
                && out
                    .last()
                    .is_some_and(|last| last.trim_start_matches('(').parse::<f64>().is_ok())
            {
                let before = out.pop().unwrap_or_default();
                let open = if before.starts_with('(') { "(" } else { "" };
                out.push(format!("{open}{}", word.replace(bare, "[size]")));
            } else {
                out.push(word);
            }
        }
        lines.push(out.join(" "));
    }
    lines.join("\n") + "\n"
}

fn table(path: &Path) -> toml::Table {
    fs::read_to_string(path)
        .unwrap_or_default()
        .parse()
        .unwrap_or_default()
}

// What the lifecycle lets through, and what a host needs to reach package registries.
fn host_env() -> Env {
    let mut env = Env::new();
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_uppercase();
        let is_kept = [
            "PATH",
            "HOSTNAME",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "TMPDIR",
        ]
        .contains(&text.as_str())
            || text.contains("CERT")
            || text.contains("_CA")
            || [
                "PIP_",
                "UV_",
                "NPM_CONFIG_",
                "CARGO_HTTP",
                "GOPROXY",
                "GOSUMDB",
                "GONOSUM",
            ]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        if is_kept {
            env.insert(name, value);
        }
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_replaced() {
        assert_eq!(
            redact("       node 24.1.0: downloaded 51.6 MB (4.2s)\n       Done (1m 05s)\n"),
            "       node 24.1.0: downloaded [size] ([time])\n       Done (1m [time])\n"
        );
    }
}

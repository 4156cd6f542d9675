//! `bin/detect` and `bin/build`: a child process, positional arguments, the `CNB_*` environment, an allow-list of the
//! rest.
//!
//! A buildpack reads its process's environment and working directory and ends its process, so it needs one of its
//! own: the test binary starts itself, asking for one hidden test (`entry!`) that is the buildpack.

use super::{App, Outcome, table};
use crate::{Failure, failure, files};
use libcnb::{Buildpack, Env};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

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

impl App {
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

// What the lifecycle lets through, and what a host needs to reach package registries.
pub(super) fn host_env() -> Env {
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

//! An image's folders, in a temporary folder.

use std::{
    io::Read,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
};

/// `/layers` and `/workspace` of an image.
pub(crate) struct Image {
    folder: tempfile::TempDir,
}

/// How a launcher ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const METADATA: &str = r#"
[[buildpacks]]
id = "acme/new"
version = "1"
api = "0.9"

[[buildpacks]]
id = "acme/old"
version = "1"
api = "0.8"

[[processes]]
type = "web"
command = ["bash", "-c", 'echo "web: $0 $*"']
args = ["by", "default"]
direct = true
buildpack-id = "acme/new"

[[processes]]
type = "with.period"
command = ["echo", "with a period"]
direct = true
buildpack-id = "acme/new"

[[processes]]
type = "script"
command = "echo \"script: $GREETING\" && pwd"
direct = false
buildpack-id = "acme/old"

[[processes]]
type = "words"
command = "echo"
args = ["words: $GREETING", "'quoted'", "two  spaces"]
direct = false
buildpack-id = "acme/old"

[[processes]]
type = "elsewhere"
command = ["pwd"]
working-dir = "sub"
buildpack-id = "acme/new"

[[processes]]
type = "env"
command = ["env"]
buildpack-id = "acme/new"

[[processes]]
type = "tested"
command = ["echo", "tested"]
exec-env = ["test"]
buildpack-id = "acme/new"
"#;

impl Image {
    pub(crate) fn new() -> Self {
        let image = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        image.write("layers/config/metadata.toml", METADATA);
        image.write("workspace/sub/file", "");
        image
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A program: a script for `sh`.
    pub(crate) fn program(&self, path: &str, script: &str) {
        self.write(path, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(self.path(path), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The launcher under a name, in the environment that the image sets.
    pub(crate) fn launcher(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pvdify-launcher"));
        command
            .arg0(name)
            .env_clear()
            .env("PATH", "/cnb/process:/cnb/lifecycle:/usr/bin:/bin")
            .env("CNB_PLATFORM_API", "0.15")
            .env("CNB_LAYERS_DIR", self.path("layers"))
            .env("CNB_APP_DIR", self.path("workspace"))
            .env("CNB_DEPRECATION_MODE", "quiet")
            .stdin(Stdio::null());
        command
    }

    /// Runs a process type.
    pub(crate) fn run(&self, process: &str, arguments: &[&str]) -> Ended {
        ended(self.launcher(&format!("/cnb/process/{process}")).args(arguments))
    }

    /// Runs the launcher by its own name.
    pub(crate) fn run_command(&self, arguments: &[&str]) -> Ended {
        ended(self.launcher("/cnb/lifecycle/launcher").args(arguments))
    }
}

pub(crate) fn ended(command: &mut Command) -> Ended {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    Ended {
        code: child.wait().unwrap().code(),
        stdout,
        stderr,
    }
}

impl Ended {
    /// What a process that went well wrote.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        &self.stdout
    }

    /// The code and the one line of a launcher that started nothing.
    #[track_caller]
    pub(crate) fn failure(&self) -> (i32, &str) {
        assert_eq!(
            (self.stdout.as_str(), self.stderr.lines().count()),
            ("", 1),
            "{self:?}"
        );
        (
            self.code.unwrap(),
            self.stderr.trim_end().strip_prefix("launcher: ").unwrap(),
        )
    }
}

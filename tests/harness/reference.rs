//! The reference implementation of Cloud Native Buildpacks, which images are shown to and builds run beside.

use crate::{binaries::repository_root, command_line::Output, platform::Platform};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Set where the reference can't be built, as on a host that reaches no Go modules: tests with it are left out then.
const WITHOUT: &str = "PVDIFY_TESTS_WITHOUT_REFERENCE";

/// The folder of its programs, built unless they are there; `None` where they are to be left out.
///
/// # Panics
/// When they can't be built.
#[must_use]
pub fn reference() -> Option<PathBuf> {
    if std::env::var_os(WITHOUT).is_some() {
        return None;
    }
    let root = repository_root();
    let status = Command::new(root.join("scripts/reference.sh"))
        .stdin(Stdio::null())
        .status()
        .expect("scripts/reference.sh starts");
    assert!(
        status.success(),
        "the reference does not build; {WITHOUT}=1 leaves its tests out"
    );
    Some(root.join("target/reference"))
}

/// The reference's `pack`, with a token for one platform's registry.
pub struct Pack {
    program: PathBuf,
    home: TempDir,
    engine: PathBuf,
    token: String,
}

impl Pack {
    /// `None` where the reference is left out.
    ///
    /// # Panics
    /// When it can't be built, or no token is given.
    pub async fn new(platform: &Platform) -> Option<Self> {
        let program = reference()?.join("pack");
        let token = platform
            .on_host(&["token", "create", "--scope", "write", "pack"])
            .await
            .ok();
        let home = tempfile::tempdir().expect("a home");
        let login = BASE64_STANDARD.encode(format!("pack:{}", token.trim()));
        let login = serde_json::json!({"auth": login});
        let config = serde_json::json!({"auths": {platform.address("registry").to_string(): login}});
        std::fs::write(home.path().join("config.json"), config.to_string()).expect("its logins are written");
        // pvdifyd starts a service of its own where the host has none.
        let own = platform.state_dir().join("run/podman.sock");
        let engine = if own.exists() {
            own
        } else {
            "/run/podman/podman.sock".into()
        };
        Some(Self {
            program,
            home,
            engine,
            token: token.trim().to_owned(),
        })
    }

    /// Runs `pack ARGS`.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn run(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.home.path())
            .env("PACK_HOME", self.home.path())
            .env("DOCKER_CONFIG", self.home.path())
            // It asks for images here too, and fails where nobody answers.
            .env("DOCKER_HOST", format!("unix://{}", self.engine.display()));
        crate::command_line::output_of(command).await
    }

    /// Podman's options for the same logins.
    #[must_use]
    pub fn podman_login(&self) -> [String; 2] {
        let file = self.home.path().join("config.json");
        [
            format!("--authfile={}", file.display()),
            "--tls-verify=false".to_owned(),
        ]
    }

    /// The token of its login.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The folder that it runs in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.home.path()
    }
}

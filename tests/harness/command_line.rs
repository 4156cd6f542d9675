//! A platform's doors for people and programs: the command line, on its own and on the host, and the API.

use crate::{binaries::binary, platform::Platform};
use pvdify_client::Client;
use std::process::Stdio;

/// How a program ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; -1 when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a success.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout
    }
}

impl Platform {
    /// The API, as a program would use it.
    ///
    /// # Panics
    /// Never: a loopback URL is one.
    #[must_use]
    pub fn api(&self) -> Client {
        Client::over_tcp(&format!("http://{}", self.address("api")), None).expect("a loopback URL is one")
    }

    /// Runs `pvdify ARGS` as a person would.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn cli(&self, args: &[&str]) -> Output {
        self.cli_with_token(args, "").await
    }

    /// Runs `pvdifyd ARGS` on the host, beside the running server.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn on_host(&self, args: &[&str]) -> Output {
        self.on_host_with(args, &[]).await
    }

    /// The same with more settings, as `("PVDIFY_...", "...")`.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn on_host_with(&self, args: &[&str], settings: &[(&str, &str)]) -> Output {
        let mut command = tokio::process::Command::new(binary("pvdifyd"));
        command.args(args).env("PVDIFY_STATE_DIR", self.state_dir());
        command.envs(settings.iter().copied());
        output_of(command).await
    }

    /// Runs `pvdify ARGS` with this token in `PVDIFY_TOKEN`.
    ///
    /// # Panics
    /// When it can't be started.
    pub async fn cli_with_token(&self, args: &[&str], token: &str) -> Output {
        let mut command = tokio::process::Command::new(binary("pvdify"));
        command
            .args(args)
            .env("PVDIFY_API_URL", format!("http://{}", self.address("api")))
            .env("PVDIFY_TOKEN", token)
            .env_remove("PVDIFY_APP");
        output_of(command).await
    }
}

pub(crate) async fn output_of(mut command: tokio::process::Command) -> Output {
    let command = command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.expect("the program starts");
    Output {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

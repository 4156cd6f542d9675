//! A platform's doors for people and programs: the command line, on its own and on the host, and the API.

use crate::{binaries::binary, platform::Platform, terminal::Terminal};
use pvdify_client::Client;
use std::process::Stdio;
use tokio::io::AsyncWriteExt;

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
    fn of(output: &std::process::Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

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
        let mut command = self.as_person(tokio::process::Command::new(binary("pvdify")));
        command.args(args).env("PVDIFY_TOKEN", token);
        output_of(command).await
    }

    /// Runs `pvdify ARGS` with this on its standard input, and gives its standard output as it is.
    ///
    /// # Panics
    /// When it can't be started, or does not read its input.
    pub async fn cli_with_input(&self, args: &[&str], input: &[u8]) -> (Output, Vec<u8>) {
        let mut command = self.as_person(tokio::process::Command::new(binary("pvdify")));
        let command = command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        let writing = async move {
            // A program may end without having read all of it.
            stdin.write_all(input).await.ok();
        };
        let ((), output) = tokio::join!(writing, child.wait_with_output());
        let output = output.expect("the program ends");
        (Output::of(&output), output.stdout)
    }

    /// `pvdify ARGS` in a terminal of this size, which is its controlling one.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn cli_in_terminal(&self, args: &[&str], columns: u16, rows: u16) -> Terminal {
        let mut command = self.as_person(tokio::process::Command::new("setsid"));
        command.arg("--ctty").arg(binary("pvdify")).args(args);
        Terminal::start(command, columns, rows)
    }

    /// The surroundings of a person's program.
    fn as_person(&self, mut command: tokio::process::Command) -> tokio::process::Command {
        command
            .env("PVDIFY_API_URL", format!("http://{}", self.address("api")))
            .env("PVDIFY_TOKEN", "")
            .env_remove("PVDIFY_APP");
        command
    }
}

pub(crate) async fn output_of(mut command: tokio::process::Command) -> Output {
    let command = command
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output().await.expect("the program starts");
    Output::of(&output)
}

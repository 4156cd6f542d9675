//! Runs the binary in a home, a directory and an environment of its own.

use crate::server::Server;
use std::{
    path::Path,
    process::{Output, Stdio},
};
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt, process::Command};

/// One person at one terminal-less shell.
pub(crate) struct Cli {
    home: TempDir,
    url: String,
    env: Vec<(&'static str, String)>,
    stdin: String,
}

impl Cli {
    pub(crate) fn new(server: &Server) -> Self {
        Self::at(&server.url)
    }

    pub(crate) fn at(url: &str) -> Self {
        Self {
            home: TempDir::new().unwrap(),
            url: url.to_owned(),
            env: Vec::new(),
            stdin: String::new(),
        }
    }

    pub(crate) fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// The home, which is also the working directory.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.home().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// A command with this person's environment and nothing else.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("NO_COLOR", "1")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // No repository above the directory is found.
            .env("GIT_CEILING_DIRECTORIES", self.home().parent().unwrap())
            .env("PVDIFY_API_URL", &self.url)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_pvdify"));
        command.args(args);
        command
    }

    pub(crate) async fn output(&self, args: &[&str]) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that does not read its stdin closes it: no failure of the test.
        stdin.write_all(self.stdin.as_bytes()).await.ok();
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// Runs it; gives all that a person and a script see of it, without what differs from run to run.
    pub(crate) async fn run(&self, args: &[&str]) -> String {
        let output = self.output(args).await;
        let shown = format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        let shown = shown.replace(self.home().to_str().unwrap(), "HOME");
        if self.url.is_empty() {
            shown
        } else {
            shown.replace(&self.url, "http://API")
        }
    }
}

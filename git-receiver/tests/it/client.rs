//! A person's machine: a home of its own, keys, git and ssh as they come.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tokio::{io::AsyncWriteExt, process::Command};

/// A work folder, its key, and the server it pushes to.
pub(crate) struct Client {
    pub(crate) home: tempfile::TempDir,
    pub(crate) key: PathBuf,
    pub(crate) port: u16,
    pub(crate) user: &'static str,
}

/// What a program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) raw: Vec<u8>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            ok: output.status.success(),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            raw: output.stdout,
        }
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn must(self) -> Self {
        assert!(self.ok, "{}\n{}", self.out, self.err);
        self
    }

    /// What git showed, with its trailing clear-to-end-of-line padding removed.
    pub(crate) fn shown(&self) -> String {
        self.err
            .lines()
            .map(|line| line.replace("\u{1b}[K", "").trim_end().to_owned() + "\n")
            .collect()
    }
}

impl Client {
    pub(crate) async fn new(port: u16, kind: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-C", "test", "-f"])
            .arg(&key)
            .output()
            .await
            .unwrap();
        assert!(made.status.success());
        std::fs::create_dir(home.path().join("work")).unwrap();
        Self {
            home,
            key,
            port,
            user: "git",
        }
    }

    pub(crate) async fn fingerprint(&self) -> String {
        let said: Said = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&self.key)
            .output()
            .await
            .unwrap()
            .into();
        said.must().out.split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.home.path().join("work")
    }

    pub(crate) fn url(&self, app: &str) -> String {
        format!("ssh://{}@127.0.0.1:{}/{app}.git", self.user, self.port)
    }

    fn ssh_options(&self) -> Vec<String> {
        let mut options = vec!["-F".to_owned(), "/dev/null".to_owned(), "-i".to_owned()];
        options.push(self.key.display().to_string());
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=20",
        ] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// A program without the tester's own settings.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_SSH_COMMAND", format!("ssh {}", self.ssh_options().join(" ")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .current_dir(self.work());
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Ada")
                .env(format!("GIT_{who}_EMAIL"), "ada@example.com")
                .env(format!("GIT_{who}_DATE"), "1700000000 +0000");
        }
        command
    }

    pub(crate) fn git_command(&self, args: &[&str]) -> Command {
        let mut command = self.program("git");
        command.args(args);
        command
    }

    pub(crate) async fn git(&self, args: &[&str]) -> Said {
        self.git_command(args).output().await.unwrap().into()
    }

    pub(crate) fn ssh_command(&self, args: &[&str]) -> Command {
        let mut command = self.program("ssh");
        command.args(self.ssh_options());
        let (port, host) = (self.port.to_string(), format!("{}@127.0.0.1", self.user));
        command.args(["-p", &port]);
        // Options before the host, the remote command after it.
        let options = args.iter().take_while(|arg| arg.starts_with('-')).count();
        command.args(&args[..options]).arg(host).args(&args[options..]);
        command
    }

    pub(crate) async fn ssh(&self, args: &[&str]) -> Said {
        self.ssh_command(args).output().await.unwrap().into()
    }

    /// Sends bytes of our own making to a remote command, and its input's end.
    pub(crate) async fn ssh_with_input(&self, args: &[&str], input: &[u8]) -> Said {
        pipe(self.ssh_command(args), input).await
    }

    pub(crate) async fn git_with_input(&self, args: &[&str], input: &[u8]) -> Said {
        pipe(self.git_command(args), input).await
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) async fn init(&self) {
        self.git(&["init", "-q", "-b", "main"]).await.must();
    }

    pub(crate) async fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]).await.must();
        self.git(&["commit", "-q", "--allow-empty", "-m", message])
            .await
            .must();
        self.head().await
    }

    pub(crate) async fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
            .await
            .must()
            .out
            .trim()
            .to_owned()
    }

    pub(crate) async fn push(&self, app: &str, args: &[&str]) -> Said {
        let url = self.url(app);
        let mut all = vec!["push", &url];
        all.extend_from_slice(args);
        self.git(&all).await
    }
}

async fn pipe(mut command: Command, input: &[u8]) -> Said {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = tokio::spawn(async move {
        // A server that refuses closes before it has read all: that is what some tests are about.
        stdin.write_all(&input).await.ok();
    });
    let said = child.wait_with_output().await.unwrap().into();
    feeding.await.unwrap();
    said
}

/// Every file below a folder with its bytes, for before and after.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.push((path.clone(), Vec::new()));
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                all.push((path, bytes));
            }
        }
    }
    all.sort();
    all
}

//! A person with an SSH key and a working copy.

use crate::{platform::Platform, run};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

/// Uses stock `git` and `ssh` with nothing of the machine's own configuration.
pub struct Pusher {
    home: TempDir,
    remote: String,
}

/// How a push ended.
#[derive(Debug)]
pub struct Pushed {
    /// git's exit status.
    pub status: i32,
    /// What git printed, `remote:` lines included.
    pub output: String,
}

impl Pushed {
    /// The output of an accepted push.
    ///
    /// # Panics
    /// When it was rejected.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}", self.output);
        self.output
    }

    /// The output of a rejected push.
    ///
    /// # Panics
    /// When it was accepted.
    #[track_caller]
    pub fn rejected(self) -> String {
        assert_ne!(self.status, 0, "{}", self.output);
        self.output
    }
}

/// A push that has begun.
pub struct UnderWay {
    push: tokio::process::Child,
    said: tokio::task::JoinHandle<String>,
}

impl UnderWay {
    /// Whether git has ended.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn is_over(&mut self) -> bool {
        self.push.try_wait().expect("git is waited for").is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(mut self) -> Pushed {
        let ended = tokio::time::timeout(Duration::from_secs(180), self.push.wait()).await;
        let status = ended.expect("git ends").expect("git is waited for");
        Pushed {
            status: status.code().unwrap_or(-1),
            output: self.said.await.expect("its output is read"),
        }
    }
}

impl Pusher {
    /// Makes a key, registers it, creates the app and an empty working copy with the app's remote.
    ///
    /// # Panics
    /// When any of it fails.
    pub async fn new(platform: &Platform, app: &str) -> Self {
        platform.cli(&["apps:create", app]).await.ok();
        let pusher = Self::without_registration(platform, app);
        platform
            .cli(&["keys:add", &pusher.key().with_extension("pub").to_string_lossy()])
            .await
            .ok();
        pusher
    }

    /// Somebody whose key Pvdify does not know, with a working copy of this app's remote.
    ///
    /// # Panics
    /// When the key or the working copy can't be made.
    #[must_use]
    pub fn without_registration(platform: &Platform, app: &str) -> Self {
        Self::at(platform.address("ssh"), app)
    }

    /// The same against an SSH endpoint at this address.
    ///
    /// # Panics
    /// When the key or the working copy can't be made.
    #[must_use]
    pub fn at(ssh: std::net::SocketAddr, app: &str) -> Self {
        let home = tempfile::tempdir().expect("a home");
        let key = home.path().join("key");
        run(
            "ssh-keygen",
            &[
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "scenario",
                "-f",
                &key.to_string_lossy(),
            ],
        );
        let remote = format!("ssh://git@{ssh}/{app}.git");
        let pusher = Self { home, remote };
        std::fs::create_dir(pusher.copy()).expect("a working copy");
        pusher.git_sync(&["init", "-q", "-b", "main"]);
        pusher.git_sync(&["remote", "add", "pvdify", &pusher.remote.clone()]);
        pusher
    }

    /// The private key's file; the public one lies beside it as `key.pub`.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.home.path().join("key")
    }

    /// The working copy.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        self.home.path().join("copy")
    }

    fn environment(&self) -> [(&'static str, String); 9] {
        let ssh = self.ssh_command(&self.key());
        [
            ("HOME", self.home.path().display().to_string()),
            ("GIT_SSH_COMMAND", ssh),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
            ("GIT_TERMINAL_PROMPT", "0".to_owned()),
            ("GIT_AUTHOR_NAME", "Ada".to_owned()),
            ("GIT_AUTHOR_EMAIL", "ada@example.com".to_owned()),
            ("GIT_COMMITTER_NAME", "Ada".to_owned()),
            ("GIT_COMMITTER_EMAIL", "ada@example.com".to_owned()),
            ("SSH_AUTH_SOCK", String::new()),
        ]
    }

    fn git_sync(&self, args: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(args)
            .current_dir(self.copy())
            .envs(self.environment())
            .stdin(Stdio::null())
            .output()
            .expect("git starts");
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Changes the working copy by `write`, commits all of it and gives the commit.
    ///
    /// # Panics
    /// When nothing changed, or git fails.
    pub fn commit(&self, write: impl FnOnce(&Path)) -> String {
        write(&self.copy());
        self.git_sync(&["add", "-A"]);
        self.git_sync(&["commit", "-q", "-m", "Change"]);
        self.git_sync(&["rev-parse", "HEAD"])
    }

    /// `git push pvdify REFSPEC`.
    ///
    /// # Panics
    /// When git can't be started.
    pub async fn push_ref(&self, refspec: &str) -> Pushed {
        let output = self
            .start_push(refspec)
            .wait_with_output()
            .await
            .expect("git ends");
        let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stdout));
        Pushed {
            status: output.status.code().unwrap_or(-1),
            output: text,
        }
    }

    /// `git push URL REFSPEC`, with another key where one is given.
    ///
    /// # Panics
    /// When git can't be started.
    #[must_use]
    pub fn push_url(&self, url: &str, refspec: &str, key: Option<&str>) -> Pushed {
        let mut command = std::process::Command::new("git");
        command
            .args(["push", "-q", url, refspec])
            .current_dir(self.copy())
            .envs(self.environment());
        if let Some(key) = key {
            command.env("GIT_SSH_COMMAND", self.ssh_command(Path::new(key)));
        }
        let output = command.stdin(Stdio::null()).output().expect("git starts");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Pushed {
            status: output.status.code().unwrap_or(-1),
            output: text,
        }
    }

    fn ssh_command(&self, key: &Path) -> String {
        let known = self.home.path().join("known_hosts");
        format!(
            "ssh -i {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={} -o BatchMode=yes",
            key.display(),
            known.display(),
        )
    }

    /// `git push pvdify main`.
    ///
    /// # Panics
    /// When git can't be started.
    pub async fn push(&self) -> Pushed {
        self.push_ref("main").await
    }

    /// Starts a push and gives the process, its output piped.
    ///
    /// # Panics
    /// When git can't be started.
    #[must_use]
    pub fn start_push(&self, refspec: &str) -> tokio::process::Child {
        tokio::process::Command::new("git")
            .args(["push", "pvdify", refspec])
            .current_dir(self.copy())
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("git starts")
    }

    /// Starts `git push pvdify main`, and waits until a line of its output holds `text`.
    ///
    /// # Panics
    /// When the push ends before, or takes too long.
    pub async fn start_push_until(&self, text: &str) -> UnderWay {
        let mut push = self.start_push("main");
        let mut output = BufReader::new(push.stderr.take().expect("it is piped"));
        let mut said = String::new();
        let reached = async {
            while !said.contains(text) {
                let length = output.read_line(&mut said).await.expect("git speaks UTF-8");
                assert!(length > 0, "the push ended before {text:?}:\n{said}");
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(180), reached).await;
        assert!(reached.is_ok(), "the push does not get to {text:?}:\n{said}");
        // A pipe that nobody reads would stop git.
        let said = tokio::spawn(async move {
            output.read_to_string(&mut said).await.expect("git speaks UTF-8");
            said
        });
        UnderWay { push, said }
    }

    /// The commit the remote's branch is at, as the server advertises it to a pusher; `None` when it has none.
    ///
    /// # Panics
    /// When git can't be started.
    pub async fn remote_ref(&self, branch: &str) -> Option<String> {
        // A dry run prints `old..new` or `[new branch]`; `send-pack --dry-run` asks only receive-pack.
        let output = tokio::process::Command::new("git")
            .args([
                "push",
                "--dry-run",
                "--porcelain",
                "--force",
                "pvdify",
                &format!("HEAD~0:refs/heads/{branch}"),
            ])
            .current_dir(self.copy())
            .envs(self.environment())
            .stdin(Stdio::null())
            .output()
            .await
            .expect("git starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find(|line| line.contains(&format!("refs/heads/{branch}")))?;
        if line.starts_with('=') {
            return Some(self.git_sync(&["rev-parse", "HEAD"]));
        }
        let summary = line.split('\t').nth(2)?;
        let old = summary
            .split("..")
            .next()
            .filter(|old| old.bytes().all(|b| b.is_ascii_hexdigit()) && !old.is_empty())?;
        Some(self.git_sync(&["rev-parse", old]))
    }
}

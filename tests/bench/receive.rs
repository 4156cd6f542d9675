//! Receiving a large push, against OpenSSH's sshd with stock `git receive-pack`.
//!
//! Both sides get the same pack over SSH on loopback from the same client; the branch is one that Pvdify
//! stores without building.

use crate::{Pairs, ROUNDS};
use pvdify_tests::{Platform, Pusher, run};
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const COMMITS: usize = 2_000;
/// Files changed by each commit; a commit adds itself, a tree for each level and these.
const FILES_PER_COMMIT: usize = 8;

pub(crate) async fn measure() -> Pairs {
    let platform = Platform::start().await;
    let pusher = Pusher::new(&platform, "bench").await;
    fill(&pusher.copy());
    let peer = Sshd::start();
    let mut pairs = Vec::new();
    for round in 0..ROUNDS {
        // An app and a repository of its own for each round: else the objects would be there already.
        let app = format!("bench{round}");
        platform.cli(&["apps:create", &app]).await.ok();
        let ours = push(
            &pusher,
            &format!("ssh://git@{}/{app}.git", platform.address("ssh")),
            None,
        );
        let repository = peer.repository(round);
        let theirs = push(
            &pusher,
            &format!("ssh://root@127.0.0.1:{}{repository}", peer.port),
            Some(&peer.key()),
        );
        pairs.push((ours, theirs));
    }
    Pairs(pairs)
}

fn push(pusher: &Pusher, url: &str, key: Option<&str>) -> Duration {
    let started = Instant::now();
    let output = pusher.push_url(url, "main:refs/heads/stored", key);
    assert_eq!(output.status, 0, "{}", output.output);
    started.elapsed()
}

/// A history of about 20,000 objects by `git fast-import`.
fn fill(copy: &Path) {
    let mut stream = String::new();
    for commit in 1..=COMMITS {
        let message = format!("Change {commit}");
        writeln!(
            stream,
            "commit refs/heads/main\nmark :{commit}\ncommitter A <a@example.com> {} +0000",
            1_700_000_000 + commit
        )
        .expect("a string takes all");
        writeln!(stream, "data {}\n{message}", message.len()).expect("a string takes all");
        if commit > 1 {
            writeln!(stream, "from :{}", commit - 1).expect("a string takes all");
        }
        for file in 0..FILES_PER_COMMIT {
            let content = format!("{commit} {file} {}\n", "line of a file that changes\n".repeat(40));
            let path = format!(
                "dir{}/file{}.txt",
                (commit * 7 + file) % 50,
                (commit + file * 13) % 200
            );
            writeln!(
                stream,
                "M 100644 inline {path}\ndata {}\n{content}",
                content.len()
            )
            .expect("a string takes all");
        }
    }
    let file = copy.join(".git/stream");
    fs::write(&file, stream).expect("the stream is written");
    let input = fs::File::open(&file).expect("the stream is read");
    let status = Command::new("git")
        .args(["fast-import", "--quiet", "--force"])
        .current_dir(copy)
        .stdin(input)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "git fast-import fails"
    );
    fs::remove_file(&file).expect("the stream goes");
}

/// A private OpenSSH server on a free port.
struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Sshd {
    fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("pvdify-sshd-")
            .tempdir()
            .expect("a directory");
        let path = |name: &str| dir.path().join(name).display().to_string();
        for name in ["host", "client"] {
            run(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", &path(name)],
            );
        }
        fs::copy(path("client.pub"), path("authorized")).expect("the key is authorised");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a free port")
            .port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPermitRootLogin yes\n",
            path("host"),
            path("authorized"),
        );
        fs::write(path("config"), config).expect("the configuration is written");
        // sshd insists on this directory, which only Debian's service unit makes.
        fs::create_dir_all("/run/sshd").expect("sshd's directory");
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-f", &path("config")])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd starts (Debian package openssh-server)");
        let sshd = Self { dir, port, child };
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                started.elapsed() < Duration::from_secs(10),
                "sshd does not listen"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        sshd
    }

    fn key(&self) -> String {
        self.dir.path().join("client").display().to_string()
    }

    fn repository(&self, round: usize) -> String {
        let path = self
            .dir
            .path()
            .join(format!("r{round}.git"))
            .display()
            .to_string();
        run("git", &["init", "-q", "--bare", &path]);
        path
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do about either.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

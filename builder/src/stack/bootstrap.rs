//! Both images from Debian 13 packages, by one run of mmdebstrap: the run image is packed when its packages are in,
//! then the build image's go on top. So apt's indexes and every common package are fetched and unpacked once.
//!
//! mmdebstrap is run as a program with arguments; what it runs in between are files, and none holds what a person
//! typed. Packages are fetched by this host's apt, and nothing of how it does so stays in an image.

use super::{
    Options, StackError,
    recipe::{self, DPKG_OPTIONS, GROW, Image, PACK, REMEMBER, SETUP},
    say, sources,
};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    collections::VecDeque,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
};

/// What the bootstrap, both archives and their import take together.
const NEEDED_MIB: u64 = 4500;
/// Lines shown of a run that failed.
const TAIL: usize = 25;
/// How long a run that nobody waits for any more may take to clean up after itself.
const CLEAN_UP: Duration = Duration::from_secs(20);
/// Where Debian 13's keys are; Debian 12 as first published lacks them, its updates have them.
const KEYS: (&str, &str) = ("/usr/share/keyrings", "debian-archive-trixie-stable.");
/// What mmdebstrap runs in the new system, in this order.
const HOOKS: [(&str, &str); 4] = [
    ("setup", SETUP),
    ("pack", PACK),
    ("remember", REMEMBER),
    ("grow", GROW),
];
/// Steps that are shown of mmdebstrap's own.
const STEPS: [&str; 6] = [
    "running apt-get update",
    "downloading packages",
    "extracting archives",
    "installing essential",
    "installing remaining",
    "creating tarball",
];

/// The archives of the two images.
#[derive(Debug)]
pub(super) struct Archives {
    pub(super) run: PathBuf,
    pub(super) build: PathBuf,
}

impl Archives {
    pub(super) fn of(&self, image: Image) -> &Path {
        match image {
            Image::Run => &self.run,
            Image::Build => &self.build,
        }
    }
}

/// Makes them in `work`.
pub(super) async fn run(
    work: &Path,
    options: &Options,
    output: &mpsc::Sender<String>,
) -> Result<Archives, StackError> {
    if !geteuid().is_root() {
        return Err(StackError::new(
            "only root can make the base images from packages",
            "run the command again as root, or with sudo",
        ));
    }
    check_disk(work)?;
    let lines = sources::deb_lines(options.mirror.as_deref()).await?;
    check_keys(output).await?;
    write_hooks(work, &sources::options().await?).map_err(|error| StackError::disk(&error))?;
    for line in &lines {
        say(output, format!("       {line}")).await;
    }
    let archives = Archives {
        run: work.join("run.tar"),
        build: work.join("build.tar"),
    };
    let mut command = command(work, &archives.build, &lines);
    let child = command.spawn().map_err(|error| {
        StackError::new(
            format!("mmdebstrap can't be started: {error}"),
            "run: apt-get install mmdebstrap; or make them from an image: pvdifyd stack build --from debian:13",
        )
    })?;
    let tail = match follow(child, output).await {
        Ok(()) => return Ok(archives),
        Err(tail) => tail,
    };
    for line in tail {
        say(output, line).await;
    }
    Err(StackError::new(
        "mmdebstrap could not make the base images",
        "fix what it says above; is Debian 13 (trixie) on the mirror? --mirror URL names another",
    ))
}

fn command(work: &Path, build: &Path, lines: &[String]) -> Command {
    let mut command = Command::new("mmdebstrap");
    let include: Vec<&str> = Image::Run.debian_packages().collect();
    command
        .args(["--mode=root", "--variant=apt", "--format=tar"])
        .arg(format!("--include={}", include.join(",")))
        .arg(format!("--aptopt={}", work.join("apt.conf").display()));
    for option in DPKG_OPTIONS {
        command.arg(format!("--dpkgopt={option}"));
    }
    for (hook, _) in HOOKS {
        command.arg(format!("--customize-hook={}", work.join(hook).display()));
    }
    command.arg("trixie").arg(build).args(lines);
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8")
        .env("TMPDIR", work)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Follows a run to its end; its last lines when it failed.
async fn follow(child: Child, output: &mpsc::Sender<String>) -> Result<(), VecDeque<String>> {
    let mut running = Running(child);
    let (sender, mut lines) = mpsc::channel(64);
    let streams: [Option<Box<dyn AsyncRead + Send + Unpin>>; 2] = [
        running.0.stdout.take().map(|stream| Box::new(stream) as _),
        running.0.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if sender.send(line).await.is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut tail = VecDeque::new();
    while let Some(line) = lines.recv().await {
        if let Some(step) = step(&line) {
            say(output, format!("       {step}")).await;
        }
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    match running.0.wait().await {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            tail.push_back(format!("mmdebstrap ended with {status}"));
            Err(tail)
        }
        Err(error) => {
            tail.push_back(error.to_string());
            Err(tail)
        }
    }
}

/// What a line of the log says of how far it is. The log is long and the terminal is for people.
fn step(line: &str) -> Option<&str> {
    if let Some(own) = line.strip_prefix("pvdify: ") {
        return Some(own);
    }
    let text = line.strip_prefix("I: ")?;
    let step = STEPS.iter().find(|step| text.starts_with(**step))?;
    Some(if text.len() > step.len() {
        text.trim_end_matches('.')
    } else {
        step
    })
}

/// A run that ends with whoever waits for it: told to end, it removes what it has mounted and unpacked.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(pid) = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) else {
            return;
        };
        if kill_process(pid, Signal::TERM).is_err() {
            return;
        }
        let end = Instant::now() + CLEAN_UP;
        while Instant::now() < end && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn write_hooks(work: &Path, apt_options: &str) -> std::io::Result<()> {
    // apt fetches as a user of its own.
    fs::set_permissions(work, fs::Permissions::from_mode(0o755))?;
    for (name, text) in HOOKS {
        let path = work.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    let packages: String = Image::Build
        .debian_packages()
        .map(|name| format!("{name}\n"))
        .collect();
    fs::write(work.join("build-packages"), packages)?;
    fs::write(work.join("apt.conf"), apt_options)
}

fn check_disk(work: &Path) -> Result<(), StackError> {
    let disk = rustix::fs::statvfs(work).map_err(|error| StackError::disk(&error.into()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) / crate::config::MIB;
    if free >= NEEDED_MIB {
        return Ok(());
    }
    Err(StackError::new(
        format!(
            "{} has {free} MiB free, making the base images needs {NEEDED_MIB}",
            work.parent().unwrap_or(work).display()
        ),
        "free some space, or set TMPDIR to a folder elsewhere",
    ))
}

async fn check_keys(output: &mpsc::Sender<String>) -> Result<(), StackError> {
    if has_keys() {
        return Ok(());
    }
    say(
        output,
        "       updating debian-archive-keyring: Debian 13's keys are missing",
    )
    .await;
    let upgrade = [
        "--quiet",
        "--quiet",
        "--yes",
        "install",
        "--only-upgrade",
        "debian-archive-keyring",
    ];
    // Whether it helped is seen by the keys.
    Command::new("apt-get")
        .args(upgrade)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .ok();
    if has_keys() {
        return Ok(());
    }
    Err(StackError::new(
        "debian-archive-keyring holds no keys of Debian 13",
        "run: apt-get update && apt-get install debian-archive-keyring",
    ))
}

fn has_keys() -> bool {
    let files = fs::read_dir(KEYS.0).into_iter().flatten().flatten();
    files
        .into_iter()
        .any(|file| file.file_name().to_string_lossy().starts_with(KEYS.1))
}

/// The instructions for an image's config: environment, command and labels.
pub(super) fn instructions(labels: &[(&'static str, String)]) -> Vec<String> {
    let label = |(name, value): &(&str, String)| format!("LABEL {name}=\"{value}\"");
    recipe::instructions()
        .into_iter()
        .chain(labels.iter().map(label))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_steps_and_not_the_log() {
        let table = [
            ("I: running apt-get update...", Some("running apt-get update")),
            (
                "I: installing remaining packages inside the chroot...",
                Some("installing remaining packages inside the chroot"),
            ),
            ("I: cleaning package lists and apt cache...", None),
            (
                "pvdify: installing build packages",
                Some("installing build packages"),
            ),
            ("Selecting previously unselected package libc6", None),
        ];
        for (line, shown) in table {
            assert_eq!(step(line), shown, "{line}");
        }
    }

    #[test]
    fn hooks_are_files_and_every_argument_is_one() {
        let work = Path::new("/tmp/a b");
        let lines = ["deb http://m.example/debian trixie main".to_owned()];
        let command = command(work, &work.join("build.tar"), &lines);
        let arguments: Vec<_> = command
            .as_std()
            .get_args()
            .map(|one| one.to_string_lossy())
            .collect();
        assert!(
            arguments
                .iter()
                .any(|one| one == "--customize-hook=/tmp/a b/setup")
        );
        assert_eq!(arguments[arguments.len() - 3], "trixie");
        assert_eq!(
            arguments.last().unwrap(),
            "deb http://m.example/debian trixie main"
        );
    }

    #[tokio::test]
    async fn a_run_that_nobody_waits_for_is_told_to_end() {
        let mut command = Command::new("sleep");
        let child = command.arg("600").stdin(Stdio::null()).spawn().unwrap();
        let id = child.id().unwrap();
        drop(Running(child));
        assert!(!Path::new(&format!("/proc/{id}/task")).exists() || state(id) == Some('Z'));
    }

    fn state(id: u32) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    }
}

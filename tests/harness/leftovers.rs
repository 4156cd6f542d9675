//! What one installation has on its host besides its state directory, and how that is ended.
//!
//! Always by what is the installation's own: its label, its registry's address, its builds' control group, its
//! service's socket. Podman's storage is shared with other scenarios and with whoever else uses it, so images go
//! by name and without force: with force, Podman also removes build containers that stand on the same layers.

use pvdify_builder::podman::forget_bridge;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How long what was killed may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(10);
/// How long images may be held by what others have.
const IMAGES_LIMIT: Duration = Duration::from_secs(60);
/// How often a list is asked for.
const LIST_TRIES: u32 = 5;

/// Runs podman and gives the lines of its output; none when it fails. A list fails when something of it goes while
/// it is read, as other tests' containers do: it is asked for again.
fn podman(args: &[&str]) -> Vec<String> {
    let removes = args.iter().any(|arg| ["rm", "rmi"].contains(arg));
    for _ in 0..if removes { 1 } else { LIST_TRIES } {
        let output = Command::new("podman")
            .args(args)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output();
        if let Ok(output) = output
            && output.status.success()
        {
            let text = String::from_utf8_lossy(&output.stdout);
            return text
                .lines()
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect();
        }
    }
    Vec::new()
}

fn label(installation: &str) -> String {
    // Podman takes a label without a value for any value: it would be everybody's.
    assert!(!installation.is_empty(), "an installation has an id");
    format!("label=pvdify.installation={installation}")
}

/// `id pid` of each running container of an installation's app, sorted.
pub(crate) fn running(installation: &str) -> Vec<String> {
    let format = "{{.ID}} {{.Pid}}";
    let mut found = podman(&[
        "ps",
        "--no-trunc",
        "--filter",
        &label(installation),
        "--format",
        format,
    ]);
    found.sort();
    found
}

/// All that is there of an installation, a line each; empty when it left nothing.
#[must_use]
pub fn of(installation: &str, registry: Option<&str>) -> Vec<String> {
    let label = label(installation);
    let groups = control_groups(installation);
    let groups = groups.iter().map(|group| group.display().to_string());
    let kinds = [
        ("process", build_processes(installation)),
        (
            "container",
            podman(&["ps", "--all", "--quiet", "--filter", &label]),
        ),
        ("working container", working_containers(installation)),
        (
            "network",
            podman(&["network", "ls", "--quiet", "--filter", &label]),
        ),
        ("image", images(&label, registry)),
        ("control group", groups.collect()),
    ];
    let lines = kinds
        .into_iter()
        .flat_map(|(kind, found)| found.into_iter().map(move |one| format!("{kind} {one}")));
    lines.collect()
}

/// Ends and removes all of it, once its pvdifyd and its Podman service are gone.
pub fn remove(installation: &str, registry: Option<&str>) {
    end_processes(|| build_processes(installation));
    let label = label(installation);
    for id in podman(&["ps", "-aq", "--filter", &label]) {
        podman(&["rm", "-f", "-v", "-t", "0", &id]);
    }
    for id in working_containers(installation) {
        podman(&["rm", "-f", &id]);
    }
    for id in podman(&["network", "ls", "-q", "--filter", &label]) {
        let bridges = podman(&["network", "inspect", "--format", "{{.NetworkInterface}}", &id]);
        bridges.iter().for_each(|bridge| forget_bridge(bridge));
        podman(&["network", "rm", "-f", &id]);
    }
    // An image can stand on another one: as long as some go, more may. One without layers is held by whatever image
    // without layers has a history that begins alike, also by another scenario's, for as long as that is there.
    let begun = Instant::now();
    let mut left = images(&label, registry);
    while !left.is_empty() && begun.elapsed() < IMAGES_LIMIT {
        let names = left.iter().map(String::as_str);
        podman(&["rmi"].into_iter().chain(names).collect::<Vec<_>>());
        let before = std::mem::replace(&mut left, images(&label, registry));
        if left.len() >= before.len() {
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    for group in control_groups(installation).iter().rev() {
        // One that holds a process that can't be killed stays.
        fs::remove_dir(group).ok();
    }
}

/// Each name of each image that bears the label or came from the registry; the id where there is no name.
fn images(label: &str, registry: Option<&str>) -> Vec<String> {
    let format = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}";
    let labelled = podman(&[
        "images",
        "--all",
        "--no-trunc",
        "--filter",
        label,
        "--format",
        format,
    ]);
    let pulled = registry.map(|address| {
        let prefix = format!("{address}/");
        let all = podman(&["images", "--all", "--no-trunc", "--format", format]);
        all.into_iter().filter(move |line| line.starts_with(&prefix))
    });
    let name = |line: String| {
        let parts: Vec<&str> = line.split('\t').collect();
        match parts[..] {
            ["<none>", _, _, id] => id.to_owned(),
            [repository, "<none>", digest, _] => format!("{repository}@{digest}"),
            [repository, tag, ..] => format!("{repository}:{tag}"),
            _ => line,
        }
    };
    let mut found: Vec<String> = labelled
        .into_iter()
        .chain(pulled.into_iter().flatten())
        .map(name)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Containers of builds that were cut off. They bear no label; Buildah's record beside each names the control
/// group, and that one is the installation's.
fn working_containers(installation: &str) -> Vec<String> {
    let format = "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}-containers";
    let Some(records) = podman(&["info", "--format", format]).pop() else {
        return Vec::new();
    };
    let group = format!("\"/{}/", build_group(installation));
    let mut all = podman(&["ps", "--all", "--external", "--no-trunc", "--format", "{{.ID}}"]);
    all.retain(|id| {
        let record = Path::new(&records).join(id).join("userdata/buildah.json");
        fs::read_to_string(record).is_ok_and(|record| record.contains(&group))
    });
    all
}

/// What every control group of an installation's builds is below of.
fn build_group(installation: &str) -> String {
    format!("pvdify-build-{installation}")
}

/// What RUN steps of an installation's builds started.
pub(crate) fn build_processes(installation: &str) -> Vec<String> {
    let group = format!(":/{}/", build_group(installation));
    processes("cgroup", |groups| groups.contains(&group))
}

/// Parents first.
fn control_groups(installation: &str) -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        entries.map(|entry| entry.path()).collect()
    };
    let mount = PathBuf::from("/sys/fs/cgroup");
    // Each of the old hierarchies, or the one new one.
    let hierarchies = folders(&mount).into_iter().chain([mount]);
    let groups = hierarchies.map(|hierarchy| hierarchy.join(build_group(installation)));
    let mut found: Vec<PathBuf> = groups.filter(|group| group.is_dir()).collect();
    let mut next = 0;
    while let Some(group) = found.get(next) {
        let below = folders(group);
        found.extend(below);
        next += 1;
    }
    found
}

/// pvdifyd's own Podman service outlives it by design; the scenario's must not outlive the scenario.
pub(crate) fn stop_podman_service(state: &Path) {
    let socket = format!("unix://{}", state.join("run/podman.sock").display());
    end_processes(|| processes("cmdline", |args| args.split('\0').any(|arg| arg == socket)));
}

/// The processes of whose `/proc/PID/FILE` this holds.
fn processes(file: &str, holds: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            holds(&String::from_utf8_lossy(&read(file))) && !is_dead(&String::from_utf8_lossy(&read("stat")))
        })
        .collect()
}

/// Whether `/proc/PID/stat` is that of a process whose parent has yet to notice its end.
fn is_dead(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_none_or(|state| state.starts_with(['Z', 'X']))
}

/// Kills, and waits for them to be gone: what is to be removed next must not be in use any more.
fn end_processes(find: impl Fn() -> Vec<String>) {
    let begun = Instant::now();
    let mut left = find();
    while !left.is_empty() && begun.elapsed() < END_LIMIT {
        Command::new("kill")
            .arg("-KILL")
            .args(&left)
            .stderr(Stdio::null())
            .status()
            .ok();
        std::thread::sleep(Duration::from_millis(20));
        left = find();
    }
}

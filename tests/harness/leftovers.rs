//! The engine as a bystander sees it: what runs, and removing what a scenario left.

use std::process::{Command, Stdio};

/// Runs podman and gives the lines of its output; none when it fails.
fn lines(args: &[&str]) -> Vec<String> {
    let output = Command::new("podman")
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

/// `id pid` of each running container of an installation's app, sorted: changes when one is restarted.
pub(crate) fn running(installation: &str) -> Vec<String> {
    let label = format!("label=pvdify.installation={installation}");
    let format = "{{.ID}} {{.Pid}}";
    let mut found = lines(&["ps", "--no-trunc", "--filter", &label, "--format", format]);
    found.sort();
    found
}

/// Removes everything that bears the installation's label.
pub(crate) fn remove_all(installation: &str) {
    let label = format!("label=pvdify.installation={installation}");
    for id in lines(&["ps", "-aq", "--filter", &label]) {
        lines(&["rm", "-f", "-t", "0", &id]);
    }
    for id in lines(&["network", "ls", "-q", "--filter", &label]) {
        lines(&["network", "rm", "-f", &id]);
    }
    // By name and without force: with force, Podman would also remove the build containers of other scenarios
    // that stand on the same first layers.
    for name in lines(&[
        "images",
        "--filter",
        &label,
        "--format",
        "{{.Repository}}:{{.Tag}}",
    ]) {
        lines(&["rmi", &name]);
    }
}

//! `pvdifyd doctor`: what this host gives and lacks, each finding with its fix.
//!
//! Looks at what the engine needs (`engine::probe`), at the settings' addresses and folders, and at the
//! base images. It changes nothing; that a server already runs on the ports is a finding, not an error.

use crate::{
    boot,
    config::Config,
    engine::probe::{self, Finding, Level},
    store::secrets::keys_in,
};
use pvdify_builder::{
    podman::Libpod,
    stack::{BUILD_IMAGE, RUN_IMAGE},
};
use std::{
    fmt::Write as _,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Below this a build of an ordinary app fails half-way.
const LITTLE_DISK_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// All findings, the engine's first.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = match boot::find_podman(config).await {
        Ok(podman) => match probe::probe(podman.socket()).await {
            Ok(host) => {
                let mut findings = host.findings;
                findings.push(base_images(&Libpod::new(podman.socket().to_owned())).await);
                findings
            }
            Err(error) => vec![podman_is_missing(&error.to_string())],
        },
        Err(error) => vec![podman_is_missing(&error.to_string())],
    };
    findings.push(key_file(&config.key_file));
    findings.push(disk(&config.state_dir));
    findings.push(build_ca(config));
    findings.push(port("API address", config.listen));
    findings.push(port("SSH address", config.ssh_listen));
    findings.push(port("HTTP address", config.http_listen));
    findings.push(port("registry address", config.registry_listen));
    findings
}

/// A line for each finding, its fix below it.
#[must_use]
pub fn render(findings: &[Finding]) -> String {
    let width = findings
        .iter()
        .map(|finding| finding.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.level {
            Level::Ok => "ok     ",
            Level::Warn => "warning",
            Level::Problem => "problem",
        };
        // Writing to a string can't fail.
        writeln!(text, "{mark}  {:width$}  {}", finding.name, finding.value).ok();
        if let Some(fix) = &finding.fix {
            writeln!(text, "         {:width$}  fix: {fix}", "").ok();
        }
    }
    text
}

/// Whether anything does not work.
#[must_use]
pub fn has_problem(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Problem)
}

fn finding(name: &'static str, value: impl Into<String>, level: Level, fix: Option<&str>) -> Finding {
    Finding {
        name,
        value: value.into(),
        level,
        fix: fix.map(str::to_owned),
    }
}

fn podman_is_missing(reason: &str) -> Finding {
    finding(
        "podman",
        reason,
        Level::Problem,
        Some("apt-get install podman runc netavark aardvark-dns"),
    )
}

async fn base_images(podman: &Libpod) -> Finding {
    let mut missing = Vec::new();
    for image in [RUN_IMAGE, BUILD_IMAGE] {
        match podman.image_exists(image).await {
            Ok(true) => {}
            Ok(false) => missing.push(image),
            Err(error) => return podman_is_missing(&error.to_string()),
        }
    }
    if missing.is_empty() {
        return finding(
            "base images",
            format!("{RUN_IMAGE}, {BUILD_IMAGE}"),
            Level::Ok,
            None,
        );
    }
    finding(
        "base images",
        format!("missing: {}", missing.join(", ")),
        Level::Warn,
        Some("pvdifyd stack build"),
    )
}

fn key_file(path: &Path) -> Finding {
    let shown = path.display().to_string();
    match std::fs::metadata(path) {
        Err(_) => finding(
            "key file",
            format!("{shown}: made at the first start"),
            Level::Ok,
            None,
        ),
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => finding(
            "key file",
            format!("{shown} can be read by others"),
            Level::Problem,
            Some("chmod 600 the key file"),
        ),
        Ok(_) => match keys_in(path) {
            Err(error) => finding(
                "key file",
                error.to_string(),
                Level::Problem,
                Some("put the key file back from a backup"),
            ),
            Ok(0 | 1) => finding("key file", shown, Level::Ok, None),
            Ok(keys) => finding(
                "key file",
                format!("{shown} holds {keys} keys: a rotation was broken off"),
                Level::Warn,
                Some("pvdifyd key rotate"),
            ),
        },
    }
}

/// Of the nearest folder that exists: the state directory may still have to be made.
fn disk(state_dir: &Path) -> Finding {
    let existing = state_dir
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let value = format!(
                "{} GiB free for {}",
                free / (1024 * 1024 * 1024),
                state_dir.display()
            );
            if free < LITTLE_DISK_BYTES {
                finding(
                    "disk",
                    value,
                    Level::Warn,
                    Some("free at least 5 GiB: builds are refused when little is left"),
                )
            } else {
                finding("disk", value, Level::Ok, None)
            }
        }
        Err(error) => finding(
            "disk",
            error.to_string(),
            Level::Problem,
            Some("make the state directory readable"),
        ),
    }
}

fn build_ca(config: &Config) -> Finding {
    let value = match &config.build_ca {
        Some(path) => format!("builds trust {}", path.display()),
        None => "builds trust what their images trust".to_owned(),
    };
    finding("build CA", value, Level::Ok, None)
}

fn port(name: &'static str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => finding(name, format!("{address} is free"), Level::Ok, None),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => finding(
            name,
            format!("{address} is in use"),
            Level::Warn,
            Some("fine when pvdifyd runs; else stop what uses it, or set another address"),
        ),
        Err(error) => finding(
            name,
            format!("{address}: {error}"),
            Level::Problem,
            Some("set another address"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_and_its_fix_stands_below() {
        let findings = [
            finding("podman", "4.3.1", Level::Ok, None),
            finding("disk", "1 GiB free", Level::Warn, Some("free some")),
        ];
        assert_eq!(
            render(&findings),
            "ok       podman  4.3.1\nwarning  disk    1 GiB free\n                 fix: free some\n"
        );
        assert!(!has_problem(&findings));
    }

    #[test]
    fn a_key_file_that_others_read_and_a_taken_port_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert_eq!(key_file(&path).level, Level::Ok);
        let secrets = crate::store::Secrets::open(&path, false).unwrap();
        assert_eq!(key_file(&path).level, Level::Ok);
        secrets.add_key().unwrap();
        let found = key_file(&path);
        assert!(
            found.level == Level::Warn && found.value.ends_with("holds 2 keys: a rotation was broken off")
        );
        std::fs::write(&path, "x").unwrap();
        assert_eq!(key_file(&path).level, Level::Problem);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(key_file(&path).level, Level::Problem);
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(port("p", taken.local_addr().unwrap()).level, Level::Warn);
    }
}

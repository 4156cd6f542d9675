//! What each thing found means, and what to do about it. Pure.

use super::{Facts, Finding, HostProbe, Level, Limits};
use pvdify_builder::podman::Info;

/// Open files of one container, where the host allows as many.
const NOFILE: u64 = 65_536;
/// Processes of one container's user, where the host allows as many; the pids limit is the one that counts.
const NPROC: u64 = 32_768;
/// The oldest Podman whose API has what is used.
const OLDEST_PODMAN: u64 = 4;
/// Below this, a busy web app runs out of connections.
const FEW_FILES: u64 = 4_096;

pub(super) fn decide(info: &Info, facts: &Facts) -> HostProbe {
    let (runtime, runtime_finding) = runtime(info, facts);
    // No hard limit is none to stay below.
    let nofile = facts.nofile.unwrap_or(NOFILE).min(NOFILE);
    let nproc = facts.nproc.unwrap_or(NPROC).min(NPROC);
    let findings = vec![
        podman_version(&info.version.version),
        runtime_finding,
        cgroups(info),
        network(info),
        storage(info),
        init(facts),
        open_files(nofile),
        finding("processes per user", nproc.to_string(), Level::Ok, None),
        seccomp(info),
    ];
    HostProbe {
        findings,
        limits: Limits {
            nofile,
            nproc,
            runtime,
        },
        init: facts.has_init,
    }
}

fn finding(name: &'static str, value: String, level: Level, fix: Option<&str>) -> Finding {
    Finding {
        name,
        value,
        level,
        fix: fix.map(str::to_owned),
    }
}

fn podman_version(version: &str) -> Finding {
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u64>().ok());
    let (level, fix) = if major.is_some_and(|major| major >= OLDEST_PODMAN) {
        (Level::Ok, None)
    } else {
        (Level::Problem, Some("install Podman 4.0 or newer"))
    };
    finding("podman", version.to_owned(), level, fix)
}

/// crun refuses to start containers where cgroup v1 and v2 are mounted side by side; runc does not.
fn runtime(info: &Info, facts: &Facts) -> (Option<String>, Finding) {
    let default = info.host.oci_runtime.name.as_str();
    if default != "crun" || info.host.cgroup_version == "v2" {
        return (
            None,
            finding("container runtime", default.to_owned(), Level::Ok, None),
        );
    }
    if facts.has_runc {
        let value = "runc, since crun refuses cgroup v1".to_owned();
        return (
            Some("runc".to_owned()),
            finding("container runtime", value, Level::Ok, None),
        );
    }
    let fix = "install runc, or boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1)";
    (
        None,
        finding(
            "container runtime",
            "crun on cgroup v1".to_owned(),
            Level::Warn,
            Some(fix),
        ),
    )
}

fn cgroups(info: &Info) -> Finding {
    let rootless = info.host.security.rootless;
    let value = format!(
        "{}, {}",
        info.host.cgroup_version,
        if rootless { "rootless" } else { "rootful" }
    );
    if rootless && info.host.cgroup_version != "v2" {
        let fix = "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or run pvdifyd as root: memory, CPU \
                   and process limits are ignored as it is";
        return finding("cgroups", value, Level::Problem, Some(fix));
    }
    finding("cgroups", value, Level::Ok, None)
}

fn network(info: &Info) -> Finding {
    match info.host.network_backend.as_deref() {
        Some("netavark") => finding("network backend", "netavark".to_owned(), Level::Ok, None),
        other => finding(
            "network backend",
            other.unwrap_or("unknown").to_owned(),
            Level::Warn,
            Some("install netavark and aardvark-dns: apps are not cut off from each other without it"),
        ),
    }
}

fn storage(info: &Info) -> Finding {
    match info.store.graph_driver_name.as_str() {
        "vfs" => finding(
            "storage driver",
            "vfs".to_owned(),
            Level::Warn,
            Some(
                "set driver = \"overlay\" in /etc/containers/storage.conf: vfs copies each image whole for each container",
            ),
        ),
        driver => finding("storage driver", driver.to_owned(), Level::Ok, None),
    }
}

fn init(facts: &Facts) -> Finding {
    if facts.has_init {
        return finding("init process", "catatonit".to_owned(), Level::Ok, None);
    }
    let fix =
        "install catatonit: without it an app that starts processes and does not reap them fills its limit";
    finding("init process", "none".to_owned(), Level::Warn, Some(fix))
}

fn open_files(nofile: u64) -> Finding {
    let (level, fix) = if nofile < FEW_FILES {
        (Level::Warn, Some("raise LimitNOFILE of the pvdifyd service"))
    } else {
        (Level::Ok, None)
    };
    finding("open files", nofile.to_string(), level, fix)
}

fn seccomp(info: &Info) -> Finding {
    if info.host.security.seccomp_enabled {
        return finding("seccomp", "on".to_owned(), Level::Ok, None);
    }
    let fix = "use a Podman built with seccomp: apps can call every system call of the kernel";
    finding("seccomp", "off".to_owned(), Level::Problem, Some(fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pvdify_builder::podman::InfoSecurity;

    fn info(runtime: &str, cgroups: &str) -> Info {
        serde_json::from_value(serde_json::json!({
            "host": {
                "cgroupVersion": cgroups, "networkBackend": "netavark", "ociRuntime": { "name": runtime },
                "security": { "rootless": false, "seccompEnabled": true },
            },
            "store": { "graphDriverName": "overlay", "graphRoot": "/var/lib/containers/storage" },
            "version": { "Version": "4.3.1" },
        }))
        .unwrap()
    }

    fn facts() -> Facts {
        Facts {
            nofile: Some(20_000),
            nproc: None,
            has_runc: true,
            has_init: true,
        }
    }

    #[test]
    fn limits_are_explicit_and_within_the_hosts() {
        let limits = decide(&info("runc", "v1"), &facts()).limits;
        assert_eq!(
            limits,
            Limits {
                nofile: 20_000,
                nproc: 32_768,
                runtime: None
            }
        );
        let generous = Facts {
            nofile: Some(1 << 20),
            nproc: Some(96_365),
            ..facts()
        };
        let limits = decide(&info("runc", "v1"), &generous).limits;
        assert_eq!((limits.nofile, limits.nproc), (NOFILE, NPROC));
    }

    #[test]
    fn runc_is_taken_where_crun_refuses() {
        let table = [
            ("crun", "v2", true, None, Level::Ok),
            ("crun", "v1", true, Some("runc"), Level::Ok),
            ("crun", "v1", false, None, Level::Warn),
            ("runc", "v1", true, None, Level::Ok),
        ];
        for (name, cgroups, has_runc, chosen, level) in table {
            let (runtime, finding) = runtime(&info(name, cgroups), &Facts { has_runc, ..facts() });
            assert_eq!(
                (runtime.as_deref(), finding.level),
                (chosen, level),
                "{name} {cgroups}"
            );
        }
    }

    #[test]
    fn each_finding_that_is_not_good_has_a_fix() {
        let mut bad = info("crun", "v1");
        bad.host.security = InfoSecurity {
            rootless: true,
            seccomp_enabled: false,
        };
        bad.host.network_backend = None;
        bad.store.graph_driver_name = "vfs".into();
        bad.version.version = "3.4.4".into();
        let poor = Facts {
            nofile: Some(1024),
            nproc: None,
            has_runc: false,
            has_init: false,
        };
        let findings = decide(&bad, &poor).findings;
        let good = findings
            .iter()
            .filter(|finding| finding.level == Level::Ok)
            .count();
        assert_eq!(good, 1, "the processes alone: {findings:#?}");
        for finding in findings.iter().filter(|finding| finding.level != Level::Ok) {
            assert!(finding.fix.is_some(), "{finding:?}");
        }
        assert!(
            decide(&info("runc", "v2"), &facts())
                .findings
                .iter()
                .all(|f| f.level == Level::Ok)
        );
    }
}

//! From an [`InstanceSpec`] to libpod's create body. Pure.
//!
//! Everything that isolates an app is here: all capabilities dropped but those that ordinary images need to
//! switch user and bind low ports, no new privileges, the default seccomp profile, own network, limits.
//! Environment values travel in this body alone, never in an argument list.

use super::PodmanOptions;
use crate::engine::{InstanceSpec, container_name};
use pvdify_types::InstallationId;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What stays of the capabilities: enough for an entrypoint that fixes ownership, drops to a user and
/// binds a low port.
const CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETGID",
    "CAP_SETUID",
];
/// Podman drops what was written before when a log file reaches this size; the tailer has read it by then.
const LOG_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How long `podman stop` and a host shutdown wait before SIGKILL, as Heroku.
const STOP_SECONDS: u32 = 30;
/// The scheduler period that CPU limits are a share of, the kernel's default.
const CPU_PERIOD_MICROS: u64 = 100_000;
/// The kernel takes no smaller quota.
const MIN_CPU_QUOTA_MICROS: u64 = 1_000;

/// The body of `POST /libpod/containers/create`.
pub(super) fn body(
    installation: &InstallationId,
    options: &PodmanOptions,
    spec: &InstanceSpec,
    image: &str,
    network: &str,
) -> Value {
    let mut env: BTreeMap<&str, &str> = spec
        .config
        .iter()
        .map(|(key, value)| (key.as_str(), value.reveal()))
        .collect();
    env.extend(spec.own_env.iter().map(|(key, value)| (*key, value.as_str())));
    let resources = &spec.resources;
    let mut limits = json!({
        "memory": { "limit": resources.memory_bytes, "swap": resources.memory_bytes },
        "pids": { "limit": resources.pids },
    });
    if let Some(millis) = resources.cpu_millis {
        let quota = u64::from(millis) * CPU_PERIOD_MICROS / 1000;
        limits["cpu"] = json!({ "quota": quota.max(MIN_CPU_QUOTA_MICROS), "period": CPU_PERIOD_MICROS });
    }
    let mut body = json!({
        "name": container_name(installation, &spec.key),
        "image": image,
        "labels": spec.key.to_labels(installation),
        "env": env,
        "hostname": format!("{}-{}", spec.key.process, spec.key.ordinal).replace('_', "-"),
        "cap_drop": ["ALL"],
        "cap_add": CAPABILITIES,
        "no_new_privileges": true,
        "init": options.init,
        "ipcns": { "nsmode": "private" },
        // Both, always: with one given, Podman takes its own default for the other, which the host may refuse.
        "r_limits": [
            { "type": "nofile", "soft": options.limits.nofile, "hard": options.limits.nofile },
            { "type": "nproc", "soft": options.limits.nproc, "hard": options.limits.nproc },
        ],
        "resource_limits": limits,
        "restart_policy": "always",
        "stop_timeout": STOP_SECONDS,
        "log_configuration": { "driver": "k8s-file", "size": LOG_FILE_BYTES },
        "netns": { "nsmode": "bridge" },
        "Networks": { network: {} },
    });
    if let Some(runtime) = &options.limits.runtime {
        body["oci_runtime"] = json!(runtime);
    }
    if let Some(port) = spec.publish {
        body["portmappings"] = json!([{ "container_port": port, "host_ip": "127.0.0.1", "protocol": "tcp" }]);
    }
    if !spec.command.is_empty() {
        body["entrypoint"] = json!(["/bin/sh", "-c"]);
        body["command"] = json!([spec.command]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{InstanceKey, probe::Limits};
    use pvdify_types::{ConfigValue, ProcessType, ReleaseVersion, Resources};

    fn spec(command: &str) -> InstanceSpec {
        InstanceSpec {
            key: InstanceKey {
                app: "a1".parse().unwrap(),
                app_name: "demo".parse().unwrap(),
                process: ProcessType::web(),
                ordinal: 1,
                release: ReleaseVersion(4),
                restart_generation: 2,
                spec_hash: "cafe".into(),
            },
            image: format!("127.0.0.1:5000/demo@sha256:{}", "a".repeat(64))
                .parse()
                .unwrap(),
            command: command.into(),
            config: [("KEY".parse().unwrap(), ConfigValue::new("secret".into()).unwrap())].into(),
            own_env: [("PORT", "8080".to_owned())].into(),
            publish: Some(8080),
            resources: Resources {
                cpu_millis: Some(500),
                ..Resources::default()
            },
        }
    }

    fn options() -> PodmanOptions {
        PodmanOptions {
            limits: Limits {
                nofile: 20_000,
                nproc: 32_768,
                runtime: Some("runc".into()),
            },
            init: true,
            registry: None,
        }
    }

    #[test]
    fn the_whole_body_of_a_web_process() {
        let installation = "i1".parse().unwrap();
        let body = body(
            &installation,
            &options(),
            &spec("node app.js && true"),
            "img",
            "net",
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn without_a_command_the_image_keeps_its_own() {
        let body = body(&"i1".parse().unwrap(), &options(), &spec(""), "img", "net");
        assert_eq!(body.get("entrypoint"), None);
        assert_eq!(body.get("command"), None);
    }

    #[test]
    fn what_pvdify_sets_wins_over_a_config_var() {
        let mut spec = spec("");
        spec.own_env.insert("KEY", "own".into());
        let body = body(&"i1".parse().unwrap(), &options(), &spec, "img", "net");
        assert_eq!(body["env"]["KEY"], "own");
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", spec("")).contains("secret"));
    }
}

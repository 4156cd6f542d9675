//! From an [`InstanceSpec`] to Podman's [`ContainerSpec`]. Pure.
//!
//! Everything that isolates an app is here: all capabilities dropped but those that ordinary images need to
//! switch user and bind low ports, no new privileges, the default seccomp profile, own network, limits.

use super::{PodmanOptions, bindings};
use crate::engine::{InstanceKind, InstanceSpec, SessionSpec, container_name, labels};
use pvdify_builder::podman::{
    ContainerSpec, CpuLimit, LogConfiguration, MemoryLimit, Mount, Namespace, NetworkAttachment, PidsLimit,
    PortMapping, ResourceLimits, Rlimit,
};
use pvdify_types::{InstallationId, Resources};
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
/// Where published ports are: a loopback address that no program binds to unasked. Podman redirects connections to such a
/// port for a moment longer than it holds it, and for ever once a killed host left its firewall rules; on 127.0.0.1
/// they would meet whatever program of the host got that port next.
const PUBLISHED_AT: &str = "127.80.86.68";
/// Podman drops what was written before when a log file reaches this size; the tailer has read it by then.
const LOG_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// How long `podman stop` and a host shutdown wait before SIGKILL, as Heroku.
const STOP_SECONDS: u32 = 30;
/// The scheduler period that CPU limits are a share of, the kernel's default.
const CPU_PERIOD_MICROS: u64 = 100_000;
/// The kernel takes no smaller quota.
const MIN_CPU_QUOTA_MICROS: u64 = 1_000;

/// The container of a spec.
pub(super) fn container(
    installation: &InstallationId,
    options: &PodmanOptions,
    spec: &InstanceSpec,
    image: &str,
    network: &str,
    mounts: Vec<Mount>,
) -> ContainerSpec {
    let config = spec.config.iter();
    let mut env: BTreeMap<String, String> = config
        .map(|(key, value)| (key.as_str().to_owned(), value.reveal().to_owned()))
        .collect();
    bindings::tell(&spec.bindings, &mut env);
    let own = spec.own_env.iter();
    env.extend(own.map(|(key, value)| ((*key).to_owned(), value.clone())));
    let labels = spec.key.to_labels(installation).into_iter();
    ContainerSpec {
        name: container_name(installation, &spec.key),
        image: image.to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value)).collect(),
        env,
        entrypoint: spec.command.argv(spec.launcher),
        hostname: Some(format!("{}-{}", spec.key.process, spec.key.ordinal).replace('_', "-")),
        cap_drop: vec!["ALL".to_owned()],
        cap_add: CAPABILITIES.map(str::to_owned).to_vec(),
        no_new_privileges: true,
        init: options.init,
        ipcns: Some(Namespace::private()),
        netns: Some(Namespace::bridge()),
        networks: [(network.to_owned(), NetworkAttachment::default())].into(),
        mounts,
        portmappings: spec.publish.map(published).into_iter().collect(),
        r_limits: vec![
            Rlimit::new("nofile", options.limits.nofile),
            Rlimit::new("nproc", options.limits.nproc),
        ],
        resource_limits: limits(&spec.resources),
        restart_policy: Some(restart_policy(spec.key.kind).to_owned()),
        stop_timeout: Some(STOP_SECONDS),
        log_configuration: Some(LogConfiguration {
            driver: "k8s-file".to_owned(),
            size: Some(LOG_FILE_BYTES),
        }),
        oci_runtime: options.limits.runtime.clone(),
        ..ContainerSpec::default()
    }
}

/// The container of a session: as the app's own, but for how it is found again, and that it ends.
pub(super) fn session(
    installation: &InstallationId,
    options: &PodmanOptions,
    spec: &SessionSpec,
    image: &str,
    network: &str,
    mounts: Vec<Mount>,
) -> ContainerSpec {
    let instance = &spec.instance;
    let labels = labels::session(installation, &instance.key, &spec.holder).into_iter();
    ContainerSpec {
        labels: labels.map(|(key, value)| (key.to_owned(), value)).collect(),
        stdin: true,
        terminal: spec.terminal.is_some(),
        timeout: u32::try_from(spec.time_limit.as_secs()).ok(),
        // Whoever holds the session has it.
        log_configuration: Some(LogConfiguration {
            driver: "none".to_owned(),
            size: None,
        }),
        ..container(installation, options, instance, image, network, mounts)
    }
}

/// What is to run once is not run again, by Podman or after a boot.
fn restart_policy(kind: InstanceKind) -> &'static str {
    match kind {
        InstanceKind::Process => "always",
        InstanceKind::OneOff | InstanceKind::Session => "no",
    }
}

/// On a free port of [`PUBLISHED_AT`].
fn published(container_port: u16) -> PortMapping {
    PortMapping {
        container_port,
        host_port: None,
        host_ip: PUBLISHED_AT.to_owned(),
        protocol: "tcp".to_owned(),
    }
}

fn limits(resources: &Resources) -> ResourceLimits {
    ResourceLimits {
        memory: Some(MemoryLimit {
            limit: resources.memory_bytes,
            swap: resources.memory_bytes,
        }),
        pids: Some(PidsLimit {
            limit: u64::from(resources.pids),
        }),
        cpu: resources.cpu_millis.map(|millis| CpuLimit {
            quota: (u64::from(millis) * CPU_PERIOD_MICROS / 1000).max(MIN_CPU_QUOTA_MICROS),
            period: CPU_PERIOD_MICROS,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Command, InstanceKey, probe::Limits};
    use pvdify_types::{Binding, ConfigValue, ProcessType, ReleaseVersion, TerminalSize};
    use std::{collections::BTreeSet, time::Duration};

    fn spec(command: &str) -> InstanceSpec {
        InstanceSpec {
            key: InstanceKey {
                kind: InstanceKind::Process,
                app: "a1".parse().unwrap(),
                app_name: "demo".parse().unwrap(),
                process: ProcessType::web(),
                ordinal: 1,
                release: ReleaseVersion(4),
                restart_generation: 2,
                spec_hash: "cafe".into(),
                exclusive: false,
            },
            image: format!("127.0.0.1:5000/demo@sha256:{}", "a".repeat(64))
                .parse()
                .unwrap(),
            command: Command::Process(ProcessType::web(), command.into()),
            launcher: false,
            config: [("KEY".parse().unwrap(), ConfigValue::new("secret".into()).unwrap())].into(),
            own_env: [("PORT", "8080".to_owned())].into(),
            publish: Some(8080),
            resources: Resources {
                cpu_millis: Some(500),
                ..Resources::default()
            },
            bindings: Vec::new(),
            mounts: Vec::new(),
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

    fn made(spec: &InstanceSpec) -> ContainerSpec {
        container(&"i1".parse().unwrap(), &options(), spec, "img", "net", Vec::new())
    }

    #[test]
    fn the_whole_body_of_a_web_process() {
        let spec = spec("node app.js && true");
        let container = made(&spec);
        let body = serde_json::to_value(container).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    }

    #[test]
    fn a_session_is_as_an_instance_is_but_for_what_makes_it_one() {
        let mut instance = spec("node app.js");
        instance.key.kind = InstanceKind::Session;
        let session = SessionSpec {
            instance: instance.clone(),
            terminal: Some(TerminalSize::default()),
            holder: "s1".into(),
            time_limit: Duration::from_secs(60),
        };
        let installation = "i1".parse().unwrap();
        let session = super::session(&installation, &options(), &session, "img", "net", Vec::new());
        let app = made(&instance);
        let [made, app] = [session, app].map(|spec| serde_json::to_value(spec).unwrap());
        let (made, app) = (made.as_object().unwrap(), app.as_object().unwrap());
        let names: BTreeSet<&String> = made.keys().chain(app.keys()).collect();
        let differing = names
            .into_iter()
            .filter(|name| made.get(*name) != app.get(*name))
            .map(|name| format!("{name}: {}", made.get(name).unwrap_or(&serde_json::Value::Null)));
        insta::assert_snapshot!(differing.collect::<Vec<_>>().join("\n"), @r#"
        labels: {"pvdify.app":"a1","pvdify.app-name":"demo","pvdify.installation":"i1","pvdify.kind":"session","pvdify.ordinal":"1","pvdify.process":"web","pvdify.release":"4","pvdify.restart-generation":"2","pvdify.session":"s1","pvdify.spec-hash":"cafe"}
        log_configuration: {"driver":"none"}
        stdin: true
        terminal: true
        timeout: 60
        "#);
    }

    #[test]
    fn without_a_command_the_image_keeps_its_own() {
        let container = made(&spec(""));
        assert_eq!((container.entrypoint, container.command), (None, None));
    }

    #[test]
    fn images_of_buildpacks_start_by_their_launcher_and_what_runs_once_is_not_restarted() {
        let first = |command, kind| {
            let mut spec = spec("");
            (spec.command, spec.launcher, spec.key.kind) = (command, true, kind);
            let container = made(&spec);
            (container.entrypoint.unwrap(), container.restart_policy.unwrap())
        };
        let process = Command::Process(ProcessType::web(), "x".into());
        let always = (vec!["/cnb/process/web".to_owned()], "always".to_owned());
        assert_eq!(first(process, InstanceKind::Process), always);
        let (entrypoint, policy) = first(Command::Text("a && b".into()), InstanceKind::OneOff);
        assert_eq!(
            (entrypoint.join(" ").as_str(), policy.as_str()),
            ("/cnb/lifecycle/launcher a && b", "no")
        );
    }

    #[test]
    fn what_pvdify_sets_wins_over_a_config_var() {
        let mut spec = spec("");
        spec.own_env.insert("KEY", "own".into());
        let container = made(&spec);
        assert_eq!(container.env["KEY"], "own");
    }

    #[test]
    fn certificates_are_named_to_every_client_but_where_a_config_var_says_otherwise() {
        let pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----".to_vec();
        let bound = |kind: &str| {
            let entries = [("ca.pem".parse().unwrap(), pem.clone())].into();
            vec![Binding::new("ca".parse().unwrap(), kind.parse().unwrap(), None, entries).unwrap()]
        };
        let env = |bindings| {
            let mut spec = spec("");
            let own = ConfigValue::new("/own.crt".into()).unwrap();
            spec.config.insert("CURL_CA_BUNDLE".parse().unwrap(), own);
            spec.bindings = bindings;
            made(&spec).env
        };
        assert!(!env(Vec::new()).contains_key("SERVICE_BINDING_ROOT"));
        let other = env(bound("other"));
        assert_eq!(other["SERVICE_BINDING_ROOT"], "/bindings");
        assert!(!other.contains_key("SSL_CERT_FILE"));
        let certificates = env(bound("ca-certificates"));
        assert_eq!(certificates["SSL_CERT_FILE"], "/.pvdify/ca.crt");
        assert_eq!(certificates["CURL_CA_BUNDLE"], "/own.crt");
    }

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", spec("")).contains("secret"));
    }
}

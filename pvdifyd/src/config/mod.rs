//! Settings: defaults, then the file of `--config`, then `PVDIFY_*` from the environment; checked once, at start.
//!
//! Every setting has one name: `state_dir` in the file is `PVDIFY_STATE_DIR` in the environment. Unknown
//! names in the file and values that can't be parsed are refused with the name, before anything starts.

mod build_env;
mod ca;
mod raw;

use pvdify_types::{Hostname, name::HostnameError};
use raw::Raw;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};
use thiserror::Error;

/// Everything that can be set, parsed.
#[derive(Clone, Debug)]
pub struct Config {
    /// Development mode: loopback only, no token needed from loopback, state in `./.pvdify`.
    pub dev: bool,
    /// REST API and dashboard.
    pub listen: SocketAddr,
    /// git pushes.
    pub ssh_listen: SocketAddr,
    /// Requests to apps.
    pub http_listen: SocketAddr,
    /// The OCI registry.
    pub registry_listen: SocketAddr,
    /// Apps answer at `NAME.<domain>`.
    pub domain: String,
    /// Names that the API and the dashboard answer to besides those that [`Config::api_names`] adds.
    pub api_hosts: Vec<String>,
    /// Everything that must survive.
    pub state_dir: PathBuf,
    /// The key that seals config vars, mode 0600.
    pub key_file: PathBuf,
    /// A filter of the `tracing` kind: `info`, `pvdifyd=debug`, ...
    pub log_level: String,
    /// Serves the dashboard from here instead of from the binary.
    pub static_dir: Option<PathBuf>,
    /// Podman's API socket; found or started when not given.
    pub podman_socket: Option<PathBuf>,
    /// The folder with the programs that build with buildpacks.
    pub programs_dir: PathBuf,
    /// Variables that every buildpack build has, from the file of `build_env_file`.
    pub build_env: BTreeMap<String, String>,
    /// A CA bundle that builds trust.
    pub build_ca: Option<PathBuf>,
    /// Bytes of memory one build may use.
    pub build_memory_bytes: u64,
    /// How long one build may take.
    pub build_timeout: Duration,
    /// Disk that the folders of one build by buildpacks may take up.
    pub build_disk_bytes: u64,
    /// The largest pack a push may send, in bytes.
    pub max_push_bytes: u64,
    /// How many different images of releases that served are kept for an app.
    pub keep_images: usize,
    /// How often what no release needs any more is removed.
    pub garbage_period: Duration,
    /// One-off processes of one app at one time; and as many sessions inside its instances.
    pub max_sessions: usize,
    /// How long one of them may take.
    pub session_timeout: Duration,
    /// How long it may read and write nothing.
    pub session_idle: Duration,
    /// Which parts run in this process.
    pub parts: Parts,
}

/// The parts of Pvdify that can run in one process or in three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Control plane, builder and registry.
    pub control: bool,
    /// The SSH endpoint.
    pub git: bool,
    /// The router.
    pub router: bool,
}

impl Parts {
    /// The names of those that run, as in the setting.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (self.control, "control"),
            (self.git, "git"),
            (self.router, "router"),
        ];
        all.into_iter()
            .filter_map(|(runs, name)| runs.then_some(name))
            .collect()
    }
}

/// A setting that can't be used.
#[derive(Debug, Error)]
#[error("{name}: {problem}")]
pub struct ConfigError {
    /// As it was given: `PVDIFY_LISTEN`, or the file's path.
    pub name: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Config {
    /// Reads the settings: `lookup` is the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with the setting's name.
    pub fn load(
        dev: bool,
        file: Option<&Path>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let raw = Raw::load(file, lookup)?;
        let state_dir = absolute(raw.or("state_dir", if dev { ".pvdify" } else { "/var/lib/pvdify" }))?;
        let key_file = match raw.get("key_file") {
            Some(path) => absolute(path)?,
            None => state_dir.join("keys/config.key"),
        };
        let config = Self {
            dev,
            listen: raw.parse_or("listen", "127.0.0.1:9443")?,
            ssh_listen: raw.parse_or("ssh_listen", if dev { "127.0.0.1:2222" } else { "0.0.0.0:2222" })?,
            http_listen: raw.parse_or("http_listen", if dev { "127.0.0.1:8080" } else { "0.0.0.0:80" })?,
            registry_listen: raw.parse_or("registry_listen", "127.0.0.1:5000")?,
            domain: parse_domain(&raw.or("domain", "localhost"))?,
            api_hosts: parse_hosts(&raw.or("api_hosts", ""))?,
            key_file,
            state_dir,
            log_level: raw.or("log_level", "info"),
            static_dir: raw.get("static_dir").map(absolute).transpose()?,
            podman_socket: raw.get("podman_socket").map(absolute).transpose()?,
            programs_dir: match raw.get("programs_dir") {
                Some(path) => absolute(path)?,
                None => own_folder(),
            },
            build_env: match raw.get("build_env_file") {
                Some(path) => build_env::read(&absolute(path)?)?,
                None => BTreeMap::new(),
            },
            build_ca: ca::choose(&raw.or("build_ca", "auto"))?,
            build_memory_bytes: 1024 * 1024 * raw.parse_or::<u64>("build_memory_mib", "2048")?,
            build_disk_bytes: 1024 * 1024 * raw.parse_or::<u64>("build_disk_mib", "10240")?,
            build_timeout: Duration::from_secs(60 * raw.parse_or::<u64>("build_timeout_minutes", "25")?),
            max_push_bytes: 1024 * 1024 * raw.parse_or::<u64>("max_push_mib", "1024")?,
            keep_images: raw.parse_or::<NonZeroUsize>("keep_images", "10")?.get(),
            garbage_period: parse_minutes("PVDIFY_GARBAGE_MINUTES", raw.parse_or("garbage_minutes", "60")?)?,
            max_sessions: raw.parse_or::<NonZeroUsize>("max_sessions", "10")?.get(),
            session_timeout: parse_minutes(
                "PVDIFY_SESSION_MINUTES",
                raw.parse_or("session_minutes", "1440")?,
            )?,
            session_idle: parse_minutes(
                "PVDIFY_SESSION_IDLE_MINUTES",
                raw.parse_or("session_idle_minutes", "60")?,
            )?,
            parts: parse_parts(&raw.or("parts", "control,git,router"))?,
        };
        config.check()?;
        Ok(config)
    }

    /// What only shows when the settings are seen together.
    fn check(&self) -> Result<(), ConfigError> {
        if !self.dev {
            return Ok(());
        }
        if !self.api_hosts.is_empty() {
            return Err(problem(
                "PVDIFY_API_HOSTS",
                "--dev needs no token, so it answers to localhost alone: start without --dev to have other names",
            ));
        }
        for (name, address) in [
            ("PVDIFY_LISTEN", self.listen),
            ("PVDIFY_SSH_LISTEN", self.ssh_listen),
            ("PVDIFY_HTTP_LISTEN", self.http_listen),
        ] {
            if !address.ip().is_loopback() {
                return Err(problem(
                    name,
                    format!(
                        "--dev needs no token, so it listens on loopback addresses only, not on {address}"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The Unix socket on which git-receiver and router reach the control plane.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.state_dir.join("run/control.sock")
    }

    /// Every name that the API and the dashboard of a server answer to; `localhost` and addresses go without
    /// saying.
    #[must_use]
    pub fn api_names(&self) -> Vec<String> {
        let own = [self.domain.clone(), format!("pvdify.{}", self.domain)];
        own.into_iter().chain(self.api_hosts.iter().cloned()).collect()
    }

    /// Where a browser finds an app of this name: `http://NAME.DOMAIN[:PORT]`.
    #[must_use]
    pub fn web_url(&self, name: &str) -> String {
        match self.http_listen.port() {
            80 => format!("http://{name}.{}", self.domain),
            port => format!("http://{name}.{}:{port}", self.domain),
        }
    }
}

pub(crate) fn problem(name: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        name: name.into(),
        problem: problem.into(),
    }
}

/// Where the running program lies: the others of an installation are beside it.
fn own_folder() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned))
        .unwrap_or_default()
}

fn absolute(path: String) -> Result<PathBuf, ConfigError> {
    std::path::absolute(&path).map_err(|error| problem(path, error.to_string()))
}

fn parse_domain(text: &str) -> Result<String, ConfigError> {
    if text == "localhost" {
        return Ok(text.to_owned());
    }
    match Hostname::parse_typed(text) {
        Ok(domain) => Ok(domain.into()),
        Err(error) => Err(problem("PVDIFY_DOMAIN", error.to_string())),
    }
}

/// Names separated by commas; those of a local network may have one part.
fn parse_hosts(text: &str) -> Result<Vec<String>, ConfigError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let host = |name: &str| match Hostname::parse_typed(name) {
        // What holds for a part of a longer name holds for the only one.
        Err(HostnameError::OneLabel) => {
            Hostname::parse_typed(&format!("{name}.internal")).map(|_| name.to_ascii_lowercase())
        }
        other => other.map(String::from),
    };
    let refused = |name: &str, error: HostnameError| {
        let shown: String = name.chars().take(100).collect();
        problem(
            "PVDIFY_API_HOSTS",
            format!("{shown:?} is no name of a host: {error}"),
        )
    };
    text.split(',')
        .map(str::trim)
        .map(|name| host(name).map_err(|error| refused(name, error)))
        .collect()
}

/// Parts of a minute are fine, as in 0.5.
fn parse_minutes(name: &str, minutes: f64) -> Result<Duration, ConfigError> {
    const RANGE: std::ops::RangeInclusive<f64> = 0.01..=525_600.0;
    if RANGE.contains(&minutes) {
        return Ok(Duration::from_secs_f64(60.0 * minutes));
    }
    Err(problem(
        name,
        format!("{minutes} is not from {} to {}", RANGE.start(), RANGE.end()),
    ))
}

fn parse_parts(text: &str) -> Result<Parts, ConfigError> {
    let mut parts = Parts {
        control: false,
        git: false,
        router: false,
    };
    for part in text.split(',').map(str::trim) {
        match part {
            "control" => parts.control = true,
            "git" => parts.git = true,
            "router" => parts.router = true,
            other => {
                let known = "the parts are control, git and router, separated by commas";
                return Err(problem(
                    "PVDIFY_PARTS",
                    format!("no part is called {other:?}; {known}"),
                ));
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(dev: bool, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env: std::collections::HashMap<String, String> = env
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Config::load(dev, None, |name| env.get(name).cloned())
    }

    #[test]
    fn development_mode_stays_on_loopback_and_in_the_working_directory() {
        let config = load(true, &[]).unwrap();
        assert_eq!(config.http_listen.to_string(), "127.0.0.1:8080");
        assert!(config.state_dir.ends_with(".pvdify") && config.state_dir.is_absolute());
        assert_eq!(config.web_url("demo"), "http://demo.localhost:8080");
        assert!(load(true, &[("PVDIFY_LISTEN", "0.0.0.0:9443")]).is_err());
        assert!(load(true, &[("PVDIFY_API_HOSTS", "ops.example.com")]).is_err());
    }

    #[test]
    fn a_server_listens_to_the_world_for_apps_and_pushes_only() {
        let config = load(false, &[("PVDIFY_DOMAIN", "Apps.Example.com")]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:9443");
        assert_eq!(config.ssh_listen.to_string(), "0.0.0.0:2222");
        assert_eq!(config.web_url("demo"), "http://demo.apps.example.com");
    }

    #[test]
    fn a_servers_api_has_the_names_of_its_domain_and_those_that_are_listed() {
        let domain = ("PVDIFY_DOMAIN", "apps.example.com");
        let config = load(false, &[domain]).unwrap();
        assert_eq!(
            config.api_names(),
            ["apps.example.com", "pvdify.apps.example.com"]
        );
        let listed = ("PVDIFY_API_HOSTS", "Ops.Example.com , intranet");
        let config = load(false, &[domain, listed]).unwrap();
        assert_eq!(config.api_names()[2..], ["ops.example.com", "intranet"]);
    }

    #[test]
    fn a_bad_setting_is_named() {
        let table = [
            (
                ("PVDIFY_LISTEN", "nine"),
                "PVDIFY_LISTEN: \"nine\" is not of the form 127.0.0.1:9443",
            ),
            (
                ("PVDIFY_BUILD_MEMORY_MIB", "2 GB"),
                "PVDIFY_BUILD_MEMORY_MIB: \"2 GB\" is not of the form 2048",
            ),
            (
                ("PVDIFY_KEEP_IMAGES", "0"),
                "PVDIFY_KEEP_IMAGES: \"0\" is not of the form 10",
            ),
            (
                ("PVDIFY_GARBAGE_MINUTES", "NaN"),
                "PVDIFY_GARBAGE_MINUTES: NaN is not from 0.01 to 525600",
            ),
            (
                ("PVDIFY_PARTS", "git,web"),
                "PVDIFY_PARTS: no part is called \"web\"; the parts are control, git and router, separated by commas",
            ),
            (
                ("PVDIFY_DOMAIN", "a_b.c"),
                "PVDIFY_DOMAIN: a domain holds only letters, digits, hyphens and dots, not '_'",
            ),
            (
                ("PVDIFY_API_HOSTS", "ops.example.com,"),
                "PVDIFY_API_HOSTS: \"\" is no name of a host: a domain can't be empty",
            ),
            (
                ("PVDIFY_API_HOSTS", "ops.example.com:9443"),
                "PVDIFY_API_HOSTS: \"ops.example.com:9443\" is no name of a host: a domain is a host name alone: leave out the port",
            ),
            (
                ("PVDIFY_API_HOSTS", "-a"),
                "PVDIFY_API_HOSTS: \"-a\" is no name of a host: a part of a domain can't start or end with a hyphen: \"-a\"",
            ),
            (
                ("PVDIFY_BUILD_CA", "/no/such.pem"),
                "PVDIFY_BUILD_CA: /no/such.pem is no file; give a PEM bundle's path, auto or off",
            ),
        ];
        for (setting, message) in table {
            assert_eq!(load(true, &[setting]).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_file_comes_before_the_environment_and_unknown_names_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pvdify.toml");
        std::fs::write(&file, "listen = \"127.0.0.1:1\"\nbuild_memory_mib = 64\n").unwrap();
        let env = |name: &str| (name == "PVDIFY_LISTEN").then(|| "127.0.0.1:2".to_owned());
        let config = Config::load(true, Some(&file), env).unwrap();
        assert_eq!(
            (config.listen.port(), config.build_memory_bytes),
            (2, 64 * 1024 * 1024)
        );
        std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
        let error = Config::load(true, Some(&file), |_| None).unwrap_err();
        assert!(
            error.problem.starts_with("no setting is called \"lisen\""),
            "{error}"
        );
    }
}

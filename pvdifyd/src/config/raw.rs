//! The settings as text, by name, from file and environment.

use super::{ConfigError, problem};
use std::{collections::BTreeMap, path::Path, str::FromStr};

/// Every name there is; a file with another is refused.
const NAMES: [&str; 24] = [
    "listen",
    "ssh_listen",
    "http_listen",
    "registry_listen",
    "domain",
    "api_hosts",
    "state_dir",
    "key_file",
    "log_level",
    "static_dir",
    "podman_socket",
    "programs_dir",
    "build_ca",
    "build_env_file",
    "build_memory_mib",
    "build_timeout_minutes",
    "build_disk_mib",
    "max_push_mib",
    "keep_images",
    "garbage_minutes",
    "max_sessions",
    "session_minutes",
    "session_idle_minutes",
    "parts",
];

/// Name -> text.
pub(super) struct Raw(BTreeMap<&'static str, String>);

impl Raw {
    pub(super) fn load(
        file: Option<&Path>,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut values = match file {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        for name in NAMES {
            if let Some(value) = lookup(&variable(name)).filter(|value| !value.is_empty()) {
                values.insert(name, value);
            }
        }
        Ok(Self(values))
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    pub(super) fn or(&self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    /// Parses a value; the default is parsed the same way, and shows the form in the error.
    pub(super) fn parse_or<T: FromStr>(&self, name: &str, default: &str) -> Result<T, ConfigError> {
        let text = self.or(name, default);
        text.parse()
            .map_err(|_| problem(variable(name), format!("{text:?} is not of the form {default}")))
    }
}

fn variable(name: &str) -> String {
    format!("PVDIFY_{}", name.to_ascii_uppercase())
}

fn read_file(path: &Path) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| problem(&shown, error.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| problem(&shown, error.message()))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let Some(name) = NAMES.into_iter().find(|name| *name == key) else {
            return Err(problem(
                &shown,
                format!("no setting is called {key:?}; there are {}", NAMES.join(", ")),
            ));
        };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            other => {
                return Err(problem(
                    &shown,
                    format!("{key} is a {}, not text or a number", other.type_str()),
                ));
            }
        };
        values.insert(name, text);
    }
    Ok(values)
}

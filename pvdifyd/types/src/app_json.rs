//! app.json: Heroku's manifest of an app, with Dokku's readiness checks in it.
//!
//! Fields that are not known are left alone: the file belongs to the app, and other tools read it too.

use crate::BuildpackName;
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// The fields that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AppJson {
    /// Readiness of each process type; only `web` is probed.
    pub healthchecks: BTreeMap<String, Vec<HealthCheck>>,
    /// What builds it, in order.
    pub buildpacks: Vec<Buildpack>,
    /// Config vars it needs.
    pub env: BTreeMap<String, EnvVar>,
    /// Commands at certain moments.
    pub scripts: Scripts,
    /// How many of each process type a new app has.
    pub formation: BTreeMap<String, Quantity>,
    /// Commands at certain times.
    pub cron: Vec<Cron>,
}

/// One buildpack.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Buildpack {
    /// Its ID or address.
    pub url: BuildpackName,
}

/// One config var: its value alone, or what makes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "EnvText")]
pub struct EnvVar {
    /// What it is for.
    pub description: Option<String>,
    /// Its first value.
    pub value: Option<String>,
    /// Whether the app can't run without it.
    pub required: bool,
    /// Whether its first value is made up: 64 random hex digits.
    pub is_generated: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EnvText {
    Value(String),
    Fields {
        description: Option<String>,
        value: Option<String>,
        required: Option<bool>,
        generator: Option<String>,
    },
}

impl From<EnvText> for EnvVar {
    fn from(text: EnvText) -> Self {
        match text {
            EnvText::Value(value) => Self {
                description: None,
                value: Some(value),
                required: true,
                is_generated: false,
            },
            EnvText::Fields {
                description,
                value,
                required,
                generator,
            } => Self {
                description,
                value,
                required: required.unwrap_or(true),
                is_generated: generator.as_deref() == Some("secret"),
            },
        }
    }
}

/// Commands at certain moments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Scripts {
    /// Once, after the first release serves.
    pub postdeploy: Option<String>,
}

/// How many instances.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Quantity {
    /// The number.
    pub quantity: Option<u32>,
}

/// A command at certain times.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Cron {
    /// The command line.
    pub command: String,
    /// When, as five fields of cron.
    pub schedule: String,
}

/// One readiness check, named as in Dokku's app.json.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HealthCheck {
    /// An HTTP path that must answer 200-399; without one, a TCP connection is enough.
    pub path: Option<String>,
    /// Seconds the process has to become ready.
    pub timeout: Option<u64>,
}

/// The file is no JSON of this shape.
#[derive(Debug, Error)]
#[error("app.json: {0}")]
pub struct AppJsonError(#[from] serde_json::Error);

/// Reads app.json.
///
/// # Errors
/// When it is no JSON object, or a field that is read has another type; the text names line and column.
pub fn parse(bytes: &[u8]) -> Result<AppJson, AppJsonError> {
    // By way of a map: serde would also read a struct from an array.
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)?;
    Ok(serde_json::from_value(object.into())?)
}

impl AppJson {
    /// The readiness check of `web`, the first where several are given.
    #[must_use]
    pub fn web_healthcheck(&self) -> Option<&HealthCheck> {
        self.healthchecks.get("web").and_then(|checks| checks.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_heroku_reads_is_read() {
        let json = br#"{"buildpacks":[{"url":"heroku/nodejs"}],"env":{"A":"1","S":{"generator":"secret"},
            "R":{"description":"needed"},"O":{"required":false}},"scripts":{"postdeploy":"rake seed"},
            "formation":{"web":{"quantity":2,"size":"x"}},"cron":[{"command":"c","schedule":"@daily"}],"stack":"x"}"#;
        let read = parse(json).unwrap();
        assert_eq!(read.buildpacks[0].url.as_str(), "heroku/nodejs");
        assert_eq!(read.env["A"].value.as_deref(), Some("1"));
        assert!(read.env["S"].is_generated && read.env["R"].required && !read.env["O"].required);
        assert_eq!(read.scripts.postdeploy.as_deref(), Some("rake seed"));
        assert_eq!((read.formation["web"].quantity, read.cron.len()), (Some(2), 1));
        let error = parse(br#"{"buildpacks":[{"url":"../x"}]}"#)
            .unwrap_err()
            .to_string();
        assert!(error.contains("absolute folder"), "{error}");
    }

    #[test]
    fn the_web_check_is_found_and_the_rest_left_alone() {
        let json = br#"{"name":"x","healthchecks":{"web":[{"type":"startup","path":"/up","timeout":7}]}}"#;
        let check = parse(json).unwrap().web_healthcheck().cloned();
        assert_eq!(
            check,
            Some(HealthCheck {
                path: Some("/up".into()),
                timeout: Some(7)
            })
        );
        assert!(parse(b"[]").is_err());
        assert!(parse(b"{}").unwrap().web_healthcheck().is_none());
    }
}

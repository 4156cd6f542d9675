//! app.json: what Pvdify reads of Heroku's manifest today, the readiness check of `web`.
//!
//! Fields that are not known are left alone: the file belongs to the app, and other tools read it too.

use serde::Deserialize;
use thiserror::Error;

/// The fields that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AppJson {
    /// Readiness of each process type; only `web` is probed.
    pub healthchecks: std::collections::BTreeMap<String, Vec<HealthCheck>>,
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

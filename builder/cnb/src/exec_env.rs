//! Execution environments: `production`, `test`, ... (Buildpack API 0.12, Platform API 0.15).

use serde::{Deserialize, Deserializer};

/// The environment when nobody names one.
pub const DEFAULT: &str = "production";

/// Whether something that is for `listed` counts in `current`. Nothing listed, or `*`: everywhere.
#[must_use]
pub fn applies(listed: &[String], current: &str) -> bool {
    listed.is_empty() || listed.iter().any(|it| it == "*" || it == current)
}

/// `exec-env` of a buildpack.toml: the specification has tables with a name, the reference reads texts.
pub(crate) fn texts_or_tables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Table { name: String },
    }
    let listed = Vec::<Either>::deserialize(deserializer)?;
    Ok(listed
        .into_iter()
        .map(|it| match it {
            Either::Text(name) | Either::Table { name } => name,
        })
        .collect())
}

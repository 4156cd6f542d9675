//! The query of a request: each value percent-encoded, filters as the JSON object that Podman takes.

use serde::Serialize;
use std::{collections::BTreeMap, fmt, fmt::Write as _};

/// A query being written.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(key);
        self.0.push('=');
        self.0.push_str(&percent_encode(&value.to_string()));
        self
    }

    /// A path with this query.
    #[must_use]
    pub fn on(&self, path: &str) -> String {
        format!("{path}{}", self.0)
    }
}

/// What a list or a stream of events is narrowed to: all of the kinds must fit. Of the values of one kind any
/// does, except for `label`, where all must.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filters(BTreeMap<&'static str, Vec<String>>);

impl Filters {
    /// Adds a filter, such as `label` with `key=value`, or `event` with `died`.
    #[must_use]
    pub fn with(mut self, kind: &'static str, value: impl Into<String>) -> Self {
        self.0.entry(kind).or_default().push(value.into());
        self
    }

    /// What has this label.
    #[must_use]
    pub fn label(key: &str, value: impl fmt::Display) -> Self {
        Self::default().with("label", format!("{key}={value}"))
    }
}

impl fmt::Display for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
#[must_use]
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String can't fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_encoded() {
        let query = Query::default().with("t", "localhost/a:1").with("x", "[\"ä&b\"]");
        assert_eq!(
            query.on("/build"),
            "/build?t=localhost%2Fa%3A1&x=%5B%22%C3%A4%26b%22%5D"
        );
    }

    #[test]
    fn filters_are_one_json_object() {
        let filters = Filters::label("a", "1")
            .with("label", "b=2")
            .with("event", "died");
        assert_eq!(filters.to_string(), r#"{"event":["died"],"label":["a=1","b=2"]}"#);
    }
}

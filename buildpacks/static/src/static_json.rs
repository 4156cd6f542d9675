//! `static.json`, as Heroku's buildpack for static sites read it.

use crate::{
    manifest::{HeaderRule, Piece, Rule, Token},
    pattern,
    settings::Settings,
};
use buildpack_support::{Failure, Result};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::Value;
use std::{fmt, marker::PhantomData};

#[derive(Deserialize)]
#[serde(default)]
struct StaticJson {
    root: String,
    encoding: Option<String>,
    clean_urls: bool,
    https_only: bool,
    canonical_host: Option<String>,
    basic_auth: bool,
    error_page: Option<String>,
    routes: Ordered<String>,
    redirects: Ordered<Redirect>,
    headers: Ordered<Ordered<Value>>,
    proxies: Ordered<Value>,
    logging: Logging,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Redirect {
    url: String,
    #[serde(default = "permanent")]
    status: u16,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Logging {
    access: bool,
}

fn permanent() -> u16 {
    301
}

impl Default for StaticJson {
    fn default() -> Self {
        Self {
            root: String::new(),
            encoding: None,
            clean_urls: false,
            https_only: false,
            canonical_host: None,
            basic_auth: false,
            error_page: None,
            routes: Ordered(Vec::new()),
            redirects: Ordered(Vec::new()),
            headers: Ordered(Vec::new()),
            proxies: Ordered(Vec::new()),
            logging: Logging::default(),
            others: std::collections::BTreeMap::new(),
        }
    }
}

/// Reads it into `settings`.
pub(crate) fn read(text: &str, settings: &mut Settings) -> Result<()> {
    let json: StaticJson = serde_json::from_str(text).map_err(|error| {
        Failure::new(
            "static.json can't be read",
            format!("{error}."),
            "Correct it (it is JSON: no comments, no comma at the end of a list), commit and push again.",
        )
    })?;
    if let Some((path, _)) = json.proxies.0.first() {
        return Err(Failure::new(
            "static.json asks for a proxy",
            format!(
                "`proxies` has {path}. Sites are served here from files only: requests are not passed on."
            ),
            "Let the page ask the other server directly (it then allows the site's origin by CORS), or serve both under \
             one domain by the other app. Remove `proxies` and push again.",
        ));
    }
    // The name of a file in the app, not its default: then the build may find the site.
    settings.root = Some(json.root.trim_matches('/').to_owned()).filter(|root| !root.is_empty());
    settings.charset = json.encoding;
    settings.single_page = Some(false);
    let config = &mut settings.config;
    config.clean_urls = json.clean_urls;
    config.https_only = json.https_only;
    config.canonical_host = json.canonical_host.filter(|host| !host.is_empty());
    config.basic_auth = json.basic_auth;
    config.access_log = json.logging.access;
    config.not_found = json.error_page.map(|page| page.trim_matches('/').to_owned());
    config
        .rules
        .extend(json.redirects.0.into_iter().map(|(from, redirect)| Rule {
            from: vec![Token::Text(absolute(&from))],
            to: vec![Piece::Text(redirect.url)],
            status: redirect.status,
            ..Rule::default()
        }));
    config
        .rules
        .extend(json.routes.0.into_iter().map(|(from, to)| Rule {
            from: pattern::heroku(&absolute(&from)),
            to: vec![Piece::Text(absolute(&to))],
            status: 200,
            ..Rule::default()
        }));
    for rule in &config.rules {
        if !(200..600).contains(&rule.status) {
            return Err(Failure::new(
                format!("static.json redirects with status {}", rule.status),
                "That is no status of HTTP.",
                "Take 301 (for ever) or 302 (for now), and push again.",
            ));
        }
    }
    for (from, set) in json.headers.0 {
        let set = set
            .0
            .into_iter()
            .map(|(name, value)| (name, shown(&value)))
            .collect();
        let rule = HeaderRule {
            from: pattern::heroku(&absolute(&from)),
            set,
            alone: true,
            any_slash: false,
        };
        settings.add_headers(rule, "static.json");
    }
    for name in json.others.keys() {
        if ![
            "resolver",
            "worker_connections",
            "debug",
            "port",
            "basic_auth_htpasswd_path",
        ]
        .contains(&name.as_str())
        {
            settings.warn(format!("static.json: `{name}` is not known, and is passed over."));
        }
    }
    Ok(())
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A JSON object in the order in which it is written: the order of routes means something.
struct Ordered<T>(Vec<(String, T)>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        let mut settings = Settings::default();
        read(text, &mut settings).map(|()| settings)
    }

    fn config(text: &str) -> String {
        serde_json::to_string(&settings(text).unwrap().config).unwrap()
    }

    #[test]
    fn all_that_a_site_says_is_taken() {
        let text = r#"{
            "root": "dist/", "encoding": "US-ASCII", "clean_urls": true, "https_only": true,
            "canonical_host": "${HOST}", "error_page": "errors/404.html", "logging": {"access": true, "error": "warn"}
        }"#;
        let settings = settings(text).unwrap();
        assert_eq!(
            (settings.root.as_deref(), settings.charset.as_deref()),
            (Some("dist"), Some("US-ASCII"))
        );
        insta::assert_snapshot!(config(text), @r#"{"clean_urls":true,"https_only":true,"canonical_host":"${HOST}","access_log":true,"not_found":"errors/404.html"}"#);
    }

    #[test]
    fn routes_keep_their_order_and_redirects_come_before_them() {
        insta::assert_snapshot!(config(r#"{
            "routes": {"/z/*": "z.html", "/**": "index.html"},
            "redirects": {"/old/gone/": {"url": "/", "status": 302}, "old": {"url": "${NEW}/x"}}
        }"#), @r#"{"rules":[{"from":[{"text":"/old/gone/"}],"to":[{"text":"/"}],"status":302},{"from":[{"text":"/old"}],"to":[{"text":"${NEW}/x"}],"status":301},{"from":[{"text":"/z/"},{"segment":"1"}],"to":[{"text":"/z.html"}],"status":200},{"from":[{"text":"/"},{"rest":"1"}],"to":[{"text":"/index.html"}],"status":200}]}"#);
    }

    #[test]
    fn headers_stand_alone() {
        insta::assert_snapshot!(config(r#"{"headers": {"/**": {"X-A": "a", "X-N": 1}, "/foo": {"X-A": true}}}"#), @r#"{"headers":[{"from":[{"text":"/"},{"rest":"1"}],"set":[["X-A","a"],["X-N","1"]],"alone":true},{"from":[{"text":"/foo"}],"set":[["X-A","true"]],"alone":true}]}"#);
    }

    #[test]
    fn what_is_not_known_is_warned_of() {
        let settings = settings(r#"{"clean_url": true, "resolver": "8.8.8.8"}"#).unwrap();
        assert_eq!(
            settings.warnings,
            ["static.json: `clean_url` is not known, and is passed over."]
        );
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let text = |json: &str| settings(json).unwrap_err().text();
        insta::assert_snapshot!(text(r#"{"root": "dist",}"#), @r"
        static.json can't be read

        trailing comma at line 1 column 17.

        Correct it (it is JSON: no comments, no comma at the end of a list), commit and push again.
        ");
        insta::assert_snapshot!(text(r#"{"proxies": {"/api/": {"origin": "https://api.example.com"}}}"#), @r"
        static.json asks for a proxy

        `proxies` has /api/. Sites are served here from files only: requests are not passed on.

        Let the page ask the other server directly (it then allows the site's origin by CORS), or serve both under one domain by the other app. Remove `proxies` and push again.
        ");
        insta::assert_snapshot!(text(r#"{"redirects": {"/a": {"url": "/", "status": 30}}}"#), @r"
        static.json redirects with status 30

        That is no status of HTTP.

        Take 301 (for ever) or 302 (for now), and push again.
        ");
    }
}

//! Names a person chooses: apps, process types, config keys, host names.
//!
//! Each error has one variant per rule and names the offending character, because the text goes to the
//! person as it stands. No name can start with `-`, hold a `/`, a dot segment or a control character, so
//! none can become an option, a path or a line of its own further in.

use crate::newtype::string_newtype;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An app's name: a DNS label of lower-case letters, digits and hyphens, starting with a letter.
///
/// At most 30 characters, Heroku's limit. Container names `<app>-<type>-v<N>-<n>-<hash>` add at most
/// 1+30 + 2+6 + 1+4 + 1+8 = 53, which stays below the 128 that Podman takes, and `<app>` alone below the
/// 63 of a DNS label (RFC 1035 section 2.3.4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppName(String);
string_newtype!(AppName, AppNameError);

/// Names that stand for parts of Pvdify itself where an app's name would stand.
const RESERVED_APP_NAMES: [&str; 10] = [
    "api",
    "registry",
    "www",
    "git",
    "admin",
    "health",
    "internal",
    "pvdify",
    "localhost",
    "status",
];

/// Why a text is no app name.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AppNameError {
    #[error("an app name can't be empty")]
    Empty,
    #[error("an app name has at most 30 characters, this one has {0}")]
    TooLong(usize),
    #[error("an app name is lower case: try {0:?}")]
    UpperCase(String),
    #[error("an app name starts with a letter a-z, not with {0:?}")]
    Start(char),
    #[error("an app name can't end with a hyphen")]
    End,
    #[error("an app name holds only a-z, 0-9 and hyphens, not {0:?}")]
    Character(char),
    #[error("the name {0:?} is reserved: choose another")]
    Reserved(String),
    #[error("an app name can't start with \"xn--\": that prefix marks internationalised names")]
    Punycode,
}

impl AppName {
    fn check(text: &str) -> Result<(), AppNameError> {
        let Some(first) = text.chars().next() else {
            return Err(AppNameError::Empty);
        };
        let length = text.chars().count();
        if length > 30 {
            return Err(AppNameError::TooLong(length));
        }
        if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && text.chars().any(|c| c.is_ascii_uppercase())
        {
            return Err(AppNameError::UpperCase(text.to_ascii_lowercase()));
        }
        if let Some(bad) = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
            return Err(AppNameError::Character(bad));
        }
        if !first.is_ascii_lowercase() {
            return Err(AppNameError::Start(first));
        }
        if text.ends_with('-') {
            return Err(AppNameError::End);
        }
        if text.starts_with("xn--") {
            return Err(AppNameError::Punycode);
        }
        if RESERVED_APP_NAMES.contains(&text) {
            return Err(AppNameError::Reserved(text.to_owned()));
        }
        Ok(())
    }
}

/// A process type as a Procfile names it: `web`, `worker`, ...
///
/// Letters, digits, `-` and `_`, starting with a letter or digit, at most 30 characters (see [`AppName`] for the sum).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProcessType(String);
string_newtype!(ProcessType, ProcessTypeError);

/// Why a text is no process type.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProcessTypeError {
    #[error("a process type can't be empty")]
    Empty,
    #[error("a process type has at most 30 characters, this one has {0}")]
    TooLong(usize),
    #[error(
        "a process type holds only letters, digits, - and _ and starts with a letter or digit, not with or holding {0:?}"
    )]
    Character(char),
}

impl ProcessType {
    fn check(text: &str) -> Result<(), ProcessTypeError> {
        let Some(first) = text.chars().next() else {
            return Err(ProcessTypeError::Empty);
        };
        let length = text.chars().count();
        if length > 30 {
            return Err(ProcessTypeError::TooLong(length));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(ProcessTypeError::Character(first));
        }
        match text
            .chars()
            .find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')))
        {
            Some(bad) => Err(ProcessTypeError::Character(bad)),
            None => Ok(()),
        }
    }

    /// The only type that is routed to and probed for a listening port.
    #[must_use]
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// Whether this is the routed type.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }

    /// Whether this type is the release phase command, which is no process of the formation.
    #[must_use]
    pub fn is_release_phase(&self) -> bool {
        self.0 == "release"
    }
}

/// The name of a config var: an environment variable's name as POSIX portable shells take it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigKey(String);
string_newtype!(ConfigKey, ConfigKeyError);

/// Why a text is no config key.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ConfigKeyError {
    #[error("a config key can't be empty")]
    Empty,
    #[error("a config key has at most 128 characters, this one has {0}")]
    TooLong(usize),
    #[error("a config key starts with a letter or _, not with {0:?}")]
    Start(char),
    #[error("a config key holds only letters, digits and _, not {0:?}")]
    Character(char),
    #[error("{0} is set by Pvdify itself and can't be a config var")]
    Reserved(String),
}

impl ConfigKey {
    fn check(text: &str) -> Result<(), ConfigKeyError> {
        let Some(first) = text.chars().next() else {
            return Err(ConfigKeyError::Empty);
        };
        let length = text.chars().count();
        if length > 128 {
            return Err(ConfigKeyError::TooLong(length));
        }
        if !(first.is_ascii_alphabetic() || first == '_') {
            return Err(ConfigKeyError::Start(first));
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_')) {
            return Err(ConfigKeyError::Character(bad));
        }
        if matches!(text, "PORT" | "DYNO")
            || text.starts_with("PVDIFY_")
            || text.starts_with("HEROKU_")
            || text.starts_with("__")
        {
            return Err(ConfigKeyError::Reserved(text.to_owned()));
        }
        Ok(())
    }
}

/// A host name that a person points at an app: lower-case DNS name with at least one dot, no port, no wildcard.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hostname(String);
string_newtype!(Hostname, HostnameError);

/// Why a text is no host name.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum HostnameError {
    #[error("a domain can't be empty")]
    Empty,
    #[error("a domain is a host name alone: leave out the {0:?} part")]
    Scheme(String),
    #[error("a domain is a host name alone: leave out the path after it")]
    Path,
    #[error("a domain is a host name alone: leave out the port")]
    Port,
    #[error("a domain is a name, not an IP address")]
    Address,
    #[error("wildcard domains are not supported: add each host name")]
    Wildcard,
    #[error("a domain has at most 253 characters, this one has {0}")]
    TooLong(usize),
    #[error("a domain needs at least two parts, as in app.example.com")]
    OneLabel,
    #[error("each part of a domain has 1 to 63 characters, {0:?} has not")]
    LabelLength(String),
    #[error("a part of a domain can't start or end with a hyphen: {0:?}")]
    LabelHyphen(String),
    #[error("a domain holds only letters, digits, hyphens and dots, not {0:?}")]
    Character(char),
}

impl Hostname {
    fn check(text: &str) -> Result<(), HostnameError> {
        if text.is_empty() {
            return Err(HostnameError::Empty);
        }
        if let Some(at) = text.find("://") {
            return Err(HostnameError::Scheme(text[..at + 3].to_owned()));
        }
        if text.contains('/') {
            return Err(HostnameError::Path);
        }
        if text.starts_with('[') || text.parse::<std::net::IpAddr>().is_ok() {
            return Err(HostnameError::Address);
        }
        if text.contains(':') {
            return Err(HostnameError::Port);
        }
        if text.contains('*') {
            return Err(HostnameError::Wildcard);
        }
        if text.len() > 253 {
            return Err(HostnameError::TooLong(text.len()));
        }
        if let Some(bad) = text
            .chars()
            .find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'))
        {
            return Err(HostnameError::Character(bad));
        }
        if !text.contains('.') {
            return Err(HostnameError::OneLabel);
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(HostnameError::LabelLength(label.to_owned()));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(HostnameError::LabelHyphen(label.to_owned()));
            }
        }
        Ok(())
    }

    /// Parses what a person typed: DNS names are compared without case (RFC 4343), so it is lowered first.
    ///
    /// # Errors
    /// When the text breaks one of the rules of [`HostnameError`].
    pub fn parse_typed(text: &str) -> Result<Self, HostnameError> {
        text.to_ascii_lowercase().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_name_is_a_dns_label_in_lower_case() {
        for good in ["a", "demo", "my-app-2", "abcdefghijklmnopqrstuvwxyz1234"] {
            assert!(good.parse::<AppName>().is_ok(), "{good}");
        }
        let table = [
            ("", AppNameError::Empty),
            ("abcdefghijklmnopqrstuvwxyz12345", AppNameError::TooLong(31)),
            ("Foo", AppNameError::UpperCase("foo".into())),
            ("a;id", AppNameError::Character(';')),
            ("../x", AppNameError::Character('.')),
            ("-rf", AppNameError::Start('-')),
            ("1a", AppNameError::Start('1')),
            ("a-", AppNameError::End),
            ("xn--e1a", AppNameError::Punycode),
            ("\u{430}pp", AppNameError::Character('\u{430}')),
            ("api", AppNameError::Reserved("api".into())),
            ("a\nb", AppNameError::Character('\n')),
            ("a\0b", AppNameError::Character('\0')),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<AppName>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_config_key_is_an_environment_name_that_pvdify_does_not_set_itself() {
        for good in ["A", "_x", "DATABASE_URL", "a1"] {
            assert!(good.parse::<ConfigKey>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "1A",
            "A-B",
            "A=B",
            "A\n",
            "PORT",
            "PVDIFY_TOKEN",
            "DYNO",
            "A B",
            "\u{e9}",
        ] {
            assert!(bad.parse::<ConfigKey>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_host_name_is_a_name_alone() {
        for good in ["app.example.com", "a.b", "xn--bcher-kva.example"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://x",
            "x.com/path",
            "127.0.0.1",
            "::1",
            "*.com",
            "a_b.com",
            "x.com:80",
            "localhost",
            "-a.com",
            "a..b",
        ] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
        assert!(format!("{}.com", "a.".repeat(126)).parse::<Hostname>().is_err());
        assert_eq!(
            Hostname::parse_typed("App.Example.COM").unwrap().as_str(),
            "app.example.com"
        );
    }

    #[test]
    fn a_process_type_can_not_be_an_option_or_a_path() {
        assert!("web".parse::<ProcessType>().is_ok());
        assert!("worker_2-b".parse::<ProcessType>().is_ok());
        for bad in ["", "-x", "a/b", "a b", "a.b"] {
            assert!(bad.parse::<ProcessType>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bad_name_does_not_deserialise() {
        assert!(serde_json::from_str::<AppName>("\"Foo\"").is_err());
        assert_eq!(
            serde_json::from_str::<AppName>("\"foo\"").unwrap().as_str(),
            "foo"
        );
    }
}

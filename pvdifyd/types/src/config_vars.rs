//! Config vars: values that never show themselves, and who sees them besides the app's processes.

use crate::{name::ConfigKey, version::ConfigVersion};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What an app's processes have in their environment.
pub type ConfigVars = BTreeMap<ConfigKey, ConfigValue>;
/// One app's whole set of config vars.
pub type ConfigSet = BTreeMap<ConfigKey, ConfigVar>;

/// A config var: its value, and who sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ConfigVar {
    pub value: ConfigValue,
    pub scope: ConfigScope,
}

impl From<ConfigValue> for ConfigVar {
    /// For the app's processes alone.
    fn from(value: ConfigValue) -> Self {
        let scope = ConfigScope::default();
        Self { value, scope }
    }
}

/// The config vars that a build sees.
pub type BuildVars = BTreeMap<ConfigKey, BuildVar>;

/// A build that sees none.
pub const NO_BUILD_VARS: &BuildVars = &BuildVars::new();

/// A config var as a build is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildVar {
    /// The secret.
    pub value: ConfigValue,
    /// The version that gave it this value: a step that used the value before is not taken from a cache.
    pub since: ConfigVersion,
}

/// Who sees a config var. What runs has each of them; a build has code of strangers in it, and sees what it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigScope {
    /// The app's processes.
    #[default]
    Run,
    /// Its builds too.
    Build,
}

impl ConfigScope {
    /// The word in API, database and CLI.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Build => "build",
        }
    }
}

impl fmt::Display for ConfigScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ConfigScope {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "run" => Ok(Self::Run),
            "build" => Ok(Self::Build),
            other => Err(format!("a config var's scope is run or build, not {other:?}")),
        }
    }
}

/// A config var's value. `Debug` is masked and there is no `Display`; reading it is the named call
/// [`ConfigValue::reveal`], so that each place that shows a secret can be found.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigValue(String);

/// The longest value: 64 KiB, Heroku's limit for a whole app, taken here for one value.
pub const MAX_CONFIG_VALUE_BYTES: usize = 64 * 1024;
/// All keys and values of an app together: Linux gives one process 2 MiB of arguments and environment
/// by default (a quarter of an 8 MiB stack); an eighth of that leaves room for the image's own variables.
pub const MAX_CONFIG_TOTAL_BYTES: usize = 256 * 1024;

impl ConfigValue {
    /// Takes a value.
    ///
    /// # Errors
    /// When it is longer than [`MAX_CONFIG_VALUE_BYTES`] or holds a NUL byte, which no environment can carry.
    pub fn new(value: String) -> Result<Self, String> {
        if value.len() > MAX_CONFIG_VALUE_BYTES {
            return Err(format!(
                "a config value has at most 64 KiB, this one has {} bytes",
                value.len()
            ));
        }
        if value.contains('\0') {
            return Err("a config value can't hold a NUL byte".to_owned());
        }
        Ok(Self(value))
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Bytes that a set takes, keys and values.
#[must_use]
pub fn total_bytes(set: &ConfigSet) -> usize {
    set.iter()
        .map(|(key, var)| key.as_str().len() + var.value.0.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_not_show_in_debug_output() {
        let var = ConfigVar {
            value: ConfigValue::new("s3cret".into()).unwrap(),
            scope: ConfigScope::Build,
        };
        let set = ConfigSet::from([("KEY".parse().unwrap(), var)]);
        assert!(!format!("{set:?}").contains("s3cret"));
        assert_eq!(total_bytes(&set), 9);
    }

    #[test]
    fn a_scope_is_one_of_two_words() {
        for scope in [ConfigScope::Run, ConfigScope::Build] {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert_eq!(
            "Build".parse::<ConfigScope>().unwrap_err(),
            "a config var's scope is run or build, not \"Build\""
        );
    }

    #[test]
    fn a_value_that_no_environment_can_carry_is_refused() {
        assert!(ConfigValue::new("a\0b".into()).is_err());
        assert!(ConfigValue::new("x".repeat(MAX_CONFIG_VALUE_BYTES + 1)).is_err());
        assert!(ConfigValue::new("x".repeat(MAX_CONFIG_VALUE_BYTES)).is_ok());
    }
}

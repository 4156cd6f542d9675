//! Config vars: values that never show themselves.

use crate::name::ConfigKey;
use std::{collections::BTreeMap, fmt};

/// One app's whole set of config vars.
pub type ConfigVars = BTreeMap<ConfigKey, ConfigValue>;

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
pub fn total_bytes(vars: &ConfigVars) -> usize {
    vars.iter()
        .map(|(key, value)| key.as_str().len() + value.0.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_not_show_in_debug_output() {
        let mut vars = ConfigVars::new();
        vars.insert("KEY".parse().unwrap(), ConfigValue::new("s3cret".into()).unwrap());
        assert!(!format!("{vars:?}").contains("s3cret"));
        assert_eq!(total_bytes(&vars), 9);
    }

    #[test]
    fn a_value_that_no_environment_can_carry_is_refused() {
        assert!(ConfigValue::new("a\0b".into()).is_err());
        assert!(ConfigValue::new("x".repeat(MAX_CONFIG_VALUE_BYTES + 1)).is_err());
        assert!(ConfigValue::new("x".repeat(MAX_CONFIG_VALUE_BYTES)).is_ok());
    }
}

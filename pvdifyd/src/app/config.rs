//! Config vars: one change, one new set, one release.
//!
//! The set is read, merged and written inside one transaction of the only writer, so two changes at once
//! both hold. Values are revealed in one place, the answer to who may see them.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
    releases::settings_release,
};
use crate::store::{self, apps, config_vars};
use pvdify_api::config::{Config, ConfigChange};
use pvdify_types::{
    AppName, ConfigKey, ConfigValue, ConfigVars, ReleaseVersion,
    config_vars::{MAX_CONFIG_TOTAL_BYTES, total_bytes},
};
use std::{collections::BTreeMap, sync::Arc};

/// What a change gave.
pub struct ConfigChanged {
    /// The whole set after it.
    pub config: Config,
    /// `None`: nothing changed, or nothing was deployed yet.
    pub release: Option<ReleaseVersion>,
}

/// A checked change.
type Change = BTreeMap<ConfigKey, Option<ConfigValue>>;

impl Acting {
    /// The whole set.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn config(&self, name: &AppName) -> Result<Config> {
        self.may(Action::ReadConfig)?;
        let (name, secrets) = (name.clone(), Arc::clone(&self.app.inner.secrets));
        self.app
            .store()
            .read(move |reader| {
                let app = known_app(reader, &name)?;
                Ok(reveal(&config_vars::load(
                    reader,
                    &secrets,
                    &app.id,
                    app.config_version,
                )?))
            })
            .await
    }

    /// Merges a change; `None` removes.
    ///
    /// # Errors
    /// When refused, unknown, or a key, a value or the sum breaks a rule; then nothing of it is done.
    pub async fn change_config(&self, name: &AppName, change: ConfigChange) -> Result<ConfigChanged> {
        self.may(Action::ChangeConfig)?;
        let change = parse(change)?;
        let (name, user) = (name.clone(), self.user().to_owned());
        let secrets = Arc::clone(&self.app.inner.secrets);
        let (id, vars, release) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let before = config_vars::load(tx, &secrets, &app.id, app.config_version)?;
                let after = merge(&before, &change);
                if after == before {
                    return Ok((app.id, before, None));
                }
                check_total(&after)?;
                let now = store::now();
                let version = config_vars::insert(tx, &secrets, &app.id, &after, now)?;
                apps::set_config_version(tx, &app.id, version)?;
                apps::touch(tx, &app.id, now)?;
                let release = settings_release(tx, &app, describe(&before, &after), user, now)?;
                Ok::<_, Error>((app.id, after, release))
            })
            .await?;
        if let Some(release) = &release {
            self.app.announce(&id, release);
            self.app.inner.handle.wake();
        }
        Ok(ConfigChanged {
            config: reveal(&vars),
            release: release.map(|release| release.version),
        })
    }
}

fn parse(change: ConfigChange) -> Result<Change> {
    let entry = |(key, value): (String, Option<String>)| {
        let key: ConfigKey = key.parse().map_err(Error::invalid)?;
        let value = value.map(ConfigValue::new).transpose();
        let value = value.map_err(|reason| Error::Invalid(format!("{key}: {reason}")))?;
        Ok((key, value))
    };
    change.into_iter().map(entry).collect()
}

fn merge(before: &ConfigVars, change: &Change) -> ConfigVars {
    let mut after = before.clone();
    for (key, value) in change {
        match value {
            Some(value) => after.insert(key.clone(), value.clone()),
            None => after.remove(key),
        };
    }
    after
}

pub(super) fn check_total(vars: &ConfigVars) -> Result<()> {
    let total = total_bytes(vars);
    if total <= MAX_CONFIG_TOTAL_BYTES {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "an app's config vars have at most {} KiB together, these would have {total} bytes",
        MAX_CONFIG_TOTAL_BYTES / 1024
    )))
}

/// As Heroku says it: `Set A, B config vars`, `Remove A config vars`.
fn describe(before: &ConfigVars, after: &ConfigVars) -> String {
    let set = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value));
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    let (set, removed) = (names(set.map(|(key, _)| key)), names(removed));
    match (set, removed) {
        (Some(set), Some(removed)) => format!("Set {set}, remove {removed} config vars"),
        (Some(set), None) => format!("Set {set} config vars"),
        (None, Some(removed)) => format!("Remove {removed} config vars"),
        (None, None) => "Set config vars".to_owned(),
    }
}

/// The first five, and how many more.
pub(super) fn names<'a>(keys: impl Iterator<Item = &'a ConfigKey>) -> Option<String> {
    let keys: Vec<_> = keys.map(ConfigKey::as_str).collect();
    match keys.len() {
        0 => None,
        1..=5 => Some(keys.join(", ")),
        more => Some(format!("{} and {} more", keys[..5].join(", "), more - 5)),
    }
}

fn reveal(vars: &ConfigVars) -> Config {
    vars.iter()
        .map(|(key, value)| (key.to_string(), value.reveal().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> ConfigVars {
        pairs
            .iter()
            .map(|(key, value)| (key.parse().unwrap(), ConfigValue::new((*value).into()).unwrap()))
            .collect()
    }

    #[test]
    fn a_change_is_described_by_its_keys_never_by_values() {
        let before = vars(&[("A", "1"), ("B", "2")]);
        let table = [
            (
                vars(&[("A", "1"), ("B", "3"), ("C", "4")]),
                "Set B, C config vars",
            ),
            (vars(&[("A", "1")]), "Remove B config vars"),
            (vars(&[("A", "9")]), "Set A, remove B config vars"),
        ];
        for (after, text) in table {
            assert_eq!(describe(&before, &after), text);
        }
        let many: Vec<_> = (0..8).map(|n| format!("K{n}")).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "x")).collect();
        assert_eq!(
            describe(&ConfigVars::new(), &vars(&many)),
            "Set K0, K1, K2, K3, K4 and 3 more config vars"
        );
    }
}

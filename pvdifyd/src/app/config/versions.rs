//! Earlier sets of config vars: what there was, and what differs between two of them.

use crate::{
    app::{
        Acting, Action,
        authorise::known_app,
        error::{Error, Result},
        releases::known_release,
    },
    store::{Reader, apps, as_date, config_vars, config_versions},
};
use pvdify_api::config::{ConfigDiff, ConfigVersion as Listed, DiffQuery, Difference, Side};
use pvdify_types::{AppName, ConfigKey, ConfigSet, ConfigVar, ConfigVersion};
use std::{collections::BTreeSet, sync::Arc};

impl Acting {
    /// An app's versions, newest first, without values.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn config_versions(&self, name: &AppName) -> Result<Vec<Listed>> {
        self.may(Action::ReadConfigKeys)?;
        let name = name.clone();
        let read = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            let all = config_versions::list(reader, &app.id)?;
            let face = |one: config_versions::Version| Listed {
                version: one.version.0,
                current: one.version == app.config_version,
                user: one.user,
                description: one.description,
                releases: one.releases,
                created_at: as_date(one.created_at),
            };
            Ok(all.into_iter().map(face).collect())
        });
        read.await
    }

    /// What differs between two versions: the present one and the one before it, or those that are named by their
    /// own number or by a release.
    ///
    /// # Errors
    /// When refused, also when it is the values alone that may not be seen, or unknown.
    pub async fn config_diff(&self, name: &AppName, query: DiffQuery) -> Result<ConfigDiff> {
        self.may(if query.values {
            Action::ReadConfig
        } else {
            Action::ReadConfigKeys
        })?;
        let (name, secrets) = (name.clone(), Arc::clone(&self.app.inner.secrets));
        let read = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            let to = match &query.to {
                Some(given) => named(reader, &app, given)?,
                None => app.config_version,
            };
            let from = match &query.from {
                Some(given) => named(reader, &app, given)?,
                None => ConfigVersion(to.0.saturating_sub(1)),
            };
            let load = |version| config_vars::load(reader, &secrets, &app.id, version);
            Ok::<_, Error>(ConfigDiff {
                from: from.0,
                to: to.0,
                changes: differences(&load(from)?, &load(to)?, query.values),
            })
        });
        read.await
    }
}

/// `3` is a version, `v3` the one that the release took.
fn named(reader: &Reader, app: &apps::App, given: &str) -> Result<ConfigVersion> {
    if given.starts_with('v') {
        return Ok(known_release(reader, app, given)?.config_version);
    }
    let number = given
        .parse::<u64>()
        .ok()
        .filter(|number| i64::try_from(*number).is_ok());
    let unknown = || Error::NoConfigVersion {
        app: app.name.clone(),
        version: given.chars().take(24).collect(),
    };
    let version = ConfigVersion(number.ok_or_else(unknown)?);
    if config_versions::is_there(reader, &app.id, version)? {
        Ok(version)
    } else {
        Err(unknown())
    }
}

fn differences(from: &ConfigSet, to: &ConfigSet, values: bool) -> Vec<Difference> {
    let keys: BTreeSet<&ConfigKey> = from.keys().chain(to.keys()).collect();
    let side = |var: &ConfigVar| Side {
        scope: var.scope,
        value: values.then(|| var.value.reveal().to_owned()),
    };
    let changed = keys.into_iter().filter(|key| from.get(*key) != to.get(*key));
    changed
        .map(|key| Difference {
            key: key.clone(),
            from: from.get(key).map(side),
            to: to.get(key).map(side),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::change::tests::set, *};

    #[test]
    fn a_diff_has_what_was_added_removed_or_changed_and_values_only_when_asked_for() {
        let from = set(&[("A", "1"), ("B", "2"), ("C", "3"), ("D", "4")]);
        let to = set(&[("A", "1"), ("B", "9"), ("C!", "3"), ("E!", "5")]);
        let shown = |values| {
            let side = |side: &Option<Side>| match side {
                Some(side) => format!("{} {}", side.scope, side.value.as_deref().unwrap_or("-")),
                None => "none".to_owned(),
            };
            let line = |one: Difference| format!("{}: {} to {}", one.key, side(&one.from), side(&one.to));
            differences(&from, &to, values)
                .into_iter()
                .map(line)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(true),
            [
                "B: run 2 to run 9",
                "C: run 3 to build 3",
                "D: run 4 to none",
                "E: none to build 5"
            ]
        );
        assert_eq!(
            shown(false),
            [
                "B: run - to run -",
                "C: run - to build -",
                "D: run - to none",
                "E: none to build -"
            ]
        );
        assert_eq!(differences(&to, &to, true), []);
    }
}

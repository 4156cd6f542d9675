//! Config vars: one change, one new set, one release.
//!
//! The set is read, merged and written inside one transaction of the only writer, so two changes at once
//! both hold; a change that depends on what it read says which version that was, and is refused when it is another
//! by then. Values are revealed in two places, the answers to who may see them: here, and in a diff (`versions`).

mod change;
mod versions;

pub(super) use change::{check_total, describe, names};

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
    releases::settings_release,
};
use crate::store::{self, apps, config_vars, config_versions::Origin};
use pvdify_api::config::{Config, ConfigChange, Scopes};
use pvdify_types::{AppName, ConfigScope, ConfigSet, ConfigVersion, ReleaseVersion};
use std::sync::Arc;

/// An answer, and which version it is of.
pub struct Versioned<T> {
    /// What was asked for.
    pub value: T,
    /// Of the whole set.
    pub version: ConfigVersion,
}

/// What a change gave.
pub struct ConfigChanged {
    /// The whole set after it.
    set: ConfigSet,
    /// Of that set.
    pub version: ConfigVersion,
    /// `None`: nothing changed, or nothing was deployed yet.
    pub release: Option<ReleaseVersion>,
    /// The keys of it that builds see, as `A, B and 3 more`; `None`: none.
    pub next_build: Option<String>,
}

impl ConfigChanged {
    /// The values too.
    #[must_use]
    pub fn config(&self) -> Config {
        reveal(&self.set)
    }

    /// Who sees each.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        let scopes = self.set.iter().map(|(key, var)| (key.clone(), var.scope));
        scopes.collect()
    }
}

/// The versions that a change may be applied to; `None`: whichever there is.
pub type Expected = Option<Vec<ConfigVersion>>;

impl Acting {
    /// The whole set.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn config(&self, name: &AppName) -> Result<Versioned<Config>> {
        self.may(Action::ReadConfig)?;
        let (name, secrets) = (name.clone(), Arc::clone(&self.app.inner.secrets));
        let read = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            let set = config_vars::load(reader, &secrets, &app.id, app.config_version)?;
            Ok(Versioned {
                value: reveal(&set),
                version: app.config_version,
            })
        });
        read.await
    }

    /// Its keys and who sees each, without values.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn config_scopes(&self, name: &AppName) -> Result<Versioned<Scopes>> {
        self.may(Action::ReadConfigKeys)?;
        let name = name.clone();
        let read = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            Ok(Versioned {
                value: config_vars::scopes(reader, &app.id, app.config_version)?,
                version: app.config_version,
            })
        });
        read.await
    }

    /// Merges a change; `None` removes. A key that is set gets this scope, else it keeps its own.
    ///
    /// # Errors
    /// When refused, unknown, not of an expected version, or a key, a value or the sum breaks a rule; then nothing
    /// of it is done.
    pub async fn change_config(
        &self,
        name: &AppName,
        change: ConfigChange,
        scope: Option<ConfigScope>,
        expected: Expected,
    ) -> Result<ConfigChanged> {
        self.may(Action::ChangeConfig)?;
        let change = change::parse(change)?;
        let apply = move |before: &ConfigSet| Ok(change::merge(before, &change, scope));
        self.change(name, expected, apply).await
    }

    /// Changes who sees config vars.
    ///
    /// # Errors
    /// As [`Acting::change_config`], and when a key is not set.
    pub async fn change_scopes(
        &self,
        name: &AppName,
        scopes: Vec<(String, String)>,
        expected: Expected,
    ) -> Result<ConfigChanged> {
        self.may(Action::ChangeConfig)?;
        let scopes = change::parse_scopes(scopes)?;
        let app = name.clone();
        let apply = move |before: &ConfigSet| change::scoped(&app, before, &scopes);
        self.change(name, expected, apply).await
    }

    async fn change(
        &self,
        name: &AppName,
        expected: Expected,
        apply: impl FnOnce(&ConfigSet) -> Result<ConfigSet> + Send + 'static,
    ) -> Result<ConfigChanged> {
        let (name, user) = (name.clone(), self.user().to_owned());
        let secrets = Arc::clone(&self.app.inner.secrets);
        let (id, release, mut changed) = self
            .app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                let version = app.config_version;
                if expected.is_some_and(|expected| !expected.contains(&version)) {
                    return Err(Error::ConfigChanged { app: name, version });
                }
                let before = config_vars::load(tx, &secrets, &app.id, version)?;
                let after = apply(&before)?;
                let mut changed = ConfigChanged {
                    next_build: change::next_build(&before, &after),
                    set: after,
                    version,
                    release: None,
                };
                if changed.set == before {
                    return Ok((app.id, None, changed));
                }
                check_total(&changed.set)?;
                let (now, description) = (store::now(), describe(&before, &changed.set));
                let origin = Origin {
                    user: &user,
                    description: &description,
                };
                let set = (version, &changed.set);
                changed.version = config_vars::insert(tx, &secrets, &app.id, set, origin, now)?;
                apps::set_config_version(tx, &app.id, changed.version)?;
                apps::touch(tx, &app.id, now)?;
                let release = settings_release(tx, &app, description, user, now)?;
                Ok::<_, Error>((app.id, release, changed))
            })
            .await?;
        if let Some(release) = &release {
            self.app.announce(&id, release);
            self.app.inner.handle.wake();
        }
        changed.release = release.map(|release| release.version);
        Ok(changed)
    }
}

fn reveal(set: &ConfigSet) -> Config {
    set.iter()
        .map(|(key, var)| (key.to_string(), var.value.reveal().to_owned()))
        .collect()
}

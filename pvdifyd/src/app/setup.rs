//! An app's first deploy: config vars and quantities begin as its app.json says, in the release's transaction.

use super::{
    config::{check_total, describe, names},
    error::{Error, Result},
    volumes::most,
};
use crate::store::{
    self, Reader, Secrets, Tx, apps, config_vars, config_versions::Origin, formation, releases,
};
use pvdify_types::{AppId, ConfigKey, ConfigValue, ConfigVersion, Setup, setup::FirstValue};
use std::collections::BTreeSet;

/// Writes what is not set yet, and gives the config version from now on and what to tell the pusher: names, and
/// no values.
pub(super) fn begin(
    tx: &Tx<'_>,
    secrets: &Secrets,
    app: &apps::App,
    setup: &Setup,
    user: &str,
) -> Result<(ConfigVersion, Vec<String>)> {
    let mut told = Vec::new();
    let before = config_vars::load(tx, secrets, &app.id, app.config_version)?;
    let after = setup.add_to(&before, secret)?;
    let mut version = app.config_version;
    if after != before {
        check_total(&after)?;
        let description = describe(&before, &after);
        let origin = Origin {
            user,
            description: &description,
        };
        version = config_vars::insert(
            tx,
            secrets,
            &app.id,
            (app.config_version, &after),
            origin,
            store::now(),
        )?;
        apps::set_config_version(tx, &app.id, version)?;
        let new = |generated: bool| {
            let is = |key: &&ConfigKey| {
                !before.contains_key(*key)
                    && (setup.env.get(*key) == Some(&FirstValue::Generated)) == generated
            };
            names(after.keys().filter(is))
        };
        told.extend(new(false).map(|keys| format!("       Config vars set by app.json: {keys}")));
        told.extend(new(true).map(|keys| format!("       Config vars made up for it: {keys}")));
    }
    let scaled = formation::scaled(tx, &app.id)?;
    let mut quantities = Vec::new();
    for (process, quantity) in &setup.formation {
        if !scaled.contains_key(process) {
            let quantity = (*quantity).min(most(tx, &app.id, process)?);
            formation::set(tx, &app.id, process, quantity)?;
            quantities.push(format!("{process}={quantity}"));
        }
    }
    if !quantities.is_empty() {
        told.push(format!("       Scaled by app.json: {}", quantities.join(" ")));
    }
    if !told.is_empty() {
        told.insert(0, "-----> Setting the app up".to_owned());
    }
    Ok((version, told))
}

/// The names of what is set, when the app never served; `None` when it did.
pub(super) fn first_config(reader: &Reader, id: &AppId) -> Result<Option<BTreeSet<ConfigKey>>> {
    if releases::current(reader, id)?.is_some() {
        return Ok(None);
    }
    let Some(app) = apps::by_id(reader, id)? else {
        return Ok(None);
    };
    let scopes = config_vars::scopes(reader, id, app.config_version)?;
    Ok(Some(scopes.into_keys().collect()))
}

/// 256 random bits in hex, as Heroku's generator makes them.
fn secret() -> Result<ConfigValue> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Error::Io {
        doing: "get random bytes",
        source: std::io::Error::other(error),
    })?;
    ConfigValue::new(hex::encode(random)).map_err(Error::Invalid)
}

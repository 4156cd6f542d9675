//! What an app begins with, as its app.json says: config vars and quantities of its first deploy.
//!
//! Later deploys change nothing of it: what a person set, scaled or removed since then stands. A config var that
//! is set before the first deploy stands too.

use crate::{
    app_json::{AppJson, EnvVar},
    config_vars::{ConfigSet, ConfigValue},
    formation::{Formation, MAX_QUANTITY},
    name::{ConfigKey, ProcessType},
};
use std::collections::{BTreeMap, BTreeSet};

/// What an app begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Config vars, unless they are set already.
    pub env: BTreeMap<ConfigKey, FirstValue>,
    /// Quantities, of types that nobody scaled.
    pub formation: Formation,
    /// A command for the shell, once its first release serves.
    pub postdeploy: Option<String>,
}

/// Where the first value of a config var comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstValue {
    /// app.json has it.
    Given(ConfigValue),
    /// It is made up: 64 random hex digits, Heroku's `"generator": "secret"`.
    Generated,
    /// A person has to set it before the first deploy; why, where app.json says so.
    Asked(Option<String>),
}

impl Setup {
    /// Reads it out of app.json.
    ///
    /// # Errors
    /// When a name, a value or a quantity breaks a rule; the text says which.
    pub fn of(app_json: &AppJson) -> Result<Self, String> {
        let command = |text: &String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut setup = Self {
            postdeploy: app_json.scripts.postdeploy.as_ref().and_then(command),
            ..Self::default()
        };
        for (name, var) in &app_json.env {
            let wrong = |reason: String| format!("app.json: env: {name:?}: {reason}");
            let key: ConfigKey = name.parse().map_err(|error| wrong(format!("{error}")))?;
            if let Some(first) = first_value(var).map_err(wrong)? {
                setup.env.insert(key, first);
            }
        }
        for (name, wanted) in &app_json.formation {
            let wrong = |reason: String| format!("app.json: formation: {name:?}: {reason}");
            let process: ProcessType = name.parse().map_err(|error| wrong(format!("{error}")))?;
            match wanted.quantity {
                Some(quantity) if quantity > MAX_QUANTITY => {
                    return Err(wrong(format!(
                        "a quantity is at most {MAX_QUANTITY}, not {quantity}"
                    )));
                }
                Some(quantity) => drop(setup.formation.insert(process, quantity)),
                None => {}
            }
        }
        Ok(setup)
    }

    /// Whether everything that a person has to set is among what is set.
    ///
    /// # Errors
    /// When it is not: one line for the person, with what to do.
    pub fn check(&self, set: &BTreeSet<ConfigKey>) -> Result<(), String> {
        let missing: Vec<(&ConfigKey, &Option<String>)> = self
            .env
            .iter()
            .filter_map(|(key, first)| match first {
                FirstValue::Asked(why) if !set.contains(key) => Some((key, why)),
                _ => None,
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = missing
            .iter()
            .map(|(key, why)| match why {
                Some(why) => format!("{key} ({})", why.trim().trim_end_matches('.')),
                None => key.to_string(),
            })
            .collect();
        let example: Vec<String> = missing.iter().map(|(key, _)| format!("{key}=...")).collect();
        Err(format!(
            "app.json requires config vars that are not set: {}. Set them and push again: pvdify config:set APP {}",
            named.join(", "),
            example.join(" ")
        ))
    }

    /// The config vars that it adds to those that are set; `random` makes up what is to be generated.
    ///
    /// # Errors
    /// Of `random`.
    pub fn add_to<E>(
        &self,
        set: &ConfigSet,
        mut random: impl FnMut() -> Result<ConfigValue, E>,
    ) -> Result<ConfigSet, E> {
        let mut all = set.clone();
        for (key, first) in self.env.iter().filter(|(key, _)| !set.contains_key(*key)) {
            match first {
                FirstValue::Given(value) => drop(all.insert(key.clone(), value.clone().into())),
                FirstValue::Generated => drop(all.insert(key.clone(), random()?.into())),
                FirstValue::Asked(_) => {}
            }
        }
        Ok(all)
    }
}

fn first_value(var: &EnvVar) -> Result<Option<FirstValue>, String> {
    Ok(match &var.value {
        _ if var.is_generated => Some(FirstValue::Generated),
        Some(value) => Some(FirstValue::Given(ConfigValue::new(value.clone())?)),
        None if var.required => Some(FirstValue::Asked(var.description.clone())),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app_json;

    fn setup(json: &str) -> Result<Setup, String> {
        Setup::of(&app_json::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_not_set_begins_as_app_json_says() {
        let setup = setup(
            r#"{"env": {"A": "1", "B": {"value": "2", "required": false}, "S": {"generator": "secret"},
            "O": {"required": false}, "R": {"description": "The key."}}, "formation": {"worker": {"quantity": 2}, "web": {"size": "eco"}}}"#,
        )
        .unwrap();
        let value = |text: &str| ConfigValue::new(text.into()).unwrap();
        let mut set = ConfigSet::from([("B".parse().unwrap(), value("mine").into())]);
        let all = setup.add_to(&set, || ConfigValue::new("made up".into())).unwrap();
        let shown: Vec<String> = all
            .iter()
            .map(|(key, var)| format!("{key}={}", var.value.reveal()))
            .collect();
        assert_eq!(shown, ["A=1", "B=mine", "S=made up"]);
        assert_eq!(setup.formation, Formation::from([("worker".parse().unwrap(), 2)]));

        let keys = |set: &ConfigSet| set.keys().cloned().collect();
        assert_eq!(
            setup.check(&keys(&set)).unwrap_err(),
            "app.json requires config vars that are not set: R (The key). Set them and push again: pvdify config:set APP R=..."
        );
        set.insert("R".parse().unwrap(), value("").into());
        setup.check(&keys(&set)).unwrap();
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        let table = [
            (r#"{"env": {"a b": "1"}}"#, r#"app.json: env: "a b": "#),
            (
                r#"{"formation": {"web": {"quantity": 101}}}"#,
                r#"app.json: formation: "web": a quantity is at most 100, not 101"#,
            ),
            (
                r#"{"formation": {"We b": {"quantity": 1}}}"#,
                r#"app.json: formation: "We b": "#,
            ),
        ];
        for (json, text) in table {
            let error = setup(json).unwrap_err();
            assert!(error.starts_with(text), "{error}");
        }
    }
}

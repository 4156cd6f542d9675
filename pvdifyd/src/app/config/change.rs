//! A change of config vars: read, applied and put into words. Pure; no text here holds a value.

use crate::app::error::{Error, Result};
use pvdify_api::config::ConfigChange;
use pvdify_types::{
    AppName, ConfigKey, ConfigScope, ConfigSet, ConfigValue, ConfigVar,
    config_vars::{MAX_CONFIG_TOTAL_BYTES, total_bytes},
};
use std::collections::BTreeMap;

/// A checked change; `None` removes.
pub(super) type Change = BTreeMap<ConfigKey, Option<ConfigValue>>;

pub(super) fn parse(change: ConfigChange) -> Result<Change> {
    let entry = |(key, value): (String, Option<String>)| {
        let key: ConfigKey = key.parse().map_err(Error::invalid)?;
        let value = value.map(ConfigValue::new).transpose();
        let value = value.map_err(|reason| Error::Invalid(format!("{key}: {reason}")))?;
        Ok((key, value))
    };
    change.into_iter().map(entry).collect()
}

pub(super) fn parse_scopes(scopes: Vec<(String, String)>) -> Result<BTreeMap<ConfigKey, ConfigScope>> {
    let entry = |(key, scope): (String, String)| {
        let key: ConfigKey = key.parse().map_err(Error::invalid)?;
        let scope: String = scope.chars().take(64).collect();
        let scope = scope.parse();
        let scope = scope.map_err(|rule| Error::Invalid(format!("{key}: {rule}")))?;
        Ok((key, scope))
    };
    scopes.into_iter().map(entry).collect()
}

pub(super) fn merge(before: &ConfigSet, change: &Change, scope: Option<ConfigScope>) -> ConfigSet {
    let mut after = before.clone();
    for (key, value) in change {
        let Some(value) = value else {
            after.remove(key);
            continue;
        };
        let own = before.get(key).map(|var| var.scope);
        let var = ConfigVar {
            value: value.clone(),
            scope: scope.or(own).unwrap_or_default(),
        };
        after.insert(key.clone(), var);
    }
    after
}

pub(super) fn scoped(
    app: &AppName,
    before: &ConfigSet,
    scopes: &BTreeMap<ConfigKey, ConfigScope>,
) -> Result<ConfigSet> {
    let mut after = before.clone();
    for (key, scope) in scopes {
        let var = after.get_mut(key).ok_or_else(|| Error::NoConfigVar {
            app: app.clone(),
            key: key.to_string(),
        })?;
        var.scope = *scope;
    }
    Ok(after)
}

pub(in crate::app) fn check_total(set: &ConfigSet) -> Result<()> {
    let total = total_bytes(set);
    if total <= MAX_CONFIG_TOTAL_BYTES {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "an app's config vars have at most {} KiB together, these would have {total} bytes",
        MAX_CONFIG_TOTAL_BYTES / 1024
    )))
}

/// As Heroku says it: `Set A, B config vars`, `Remove A config vars`; and what changed for builds alone.
pub(in crate::app) fn describe(before: &ConfigSet, after: &ConfigSet) -> String {
    let set = after.iter().filter(|(key, var)| {
        let same = before.get(*key).filter(|old| old.value == var.value);
        same.is_none()
    });
    let removed = before.keys().filter(|key| !after.contains_key(*key));
    let rescoped = |to: ConfigScope| {
        let is = move |(key, var): &(&ConfigKey, &ConfigVar)| {
            let old = before.get(*key).filter(|old| old.value == var.value);
            var.scope == to && old.is_some_and(|old| old.scope != to)
        };
        names(after.iter().filter(is).map(|(key, _)| key))
    };
    let mut parts = Vec::new();
    parts.extend(names(set.map(|(key, _)| key)).map(|keys| format!("set {keys}")));
    parts.extend(names(removed).map(|keys| format!("remove {keys}")));
    if let Some(last) = parts.last_mut() {
        last.push_str(" config vars");
    }
    parts.extend(rescoped(ConfigScope::Build).map(|keys| format!("show {keys} to builds")));
    parts.extend(rescoped(ConfigScope::Run).map(|keys| format!("hide {keys} from builds")));
    let text = parts.join(", ");
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// What changed of what builds see.
pub(super) fn next_build(before: &ConfigSet, after: &ConfigSet) -> Option<String> {
    let seen = after.iter().filter(|(_, var)| var.scope == ConfigScope::Build);
    names(
        seen.filter(|(key, var)| before.get(*key) != Some(*var))
            .map(|(key, _)| key),
    )
}

/// The first five, and how many more.
pub(in crate::app) fn names<'a>(keys: impl Iterator<Item = &'a ConfigKey>) -> Option<String> {
    let keys: Vec<_> = keys.map(ConfigKey::as_str).collect();
    match keys.len() {
        0 => None,
        1..=5 => Some(keys.join(", ")),
        more => Some(format!("{} and {} more", keys[..5].join(", "), more - 5)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `KEY` is of the scope `run`, `KEY!` of `build`.
    pub(crate) fn set(pairs: &[(&str, &str)]) -> ConfigSet {
        let var = |(key, value): &(&str, &str)| {
            let scope = if key.ends_with('!') {
                ConfigScope::Build
            } else {
                ConfigScope::Run
            };
            let value = ConfigValue::new((*value).to_owned()).unwrap();
            let key = key.trim_end_matches('!').parse().unwrap();
            (key, ConfigVar { value, scope })
        };
        pairs.iter().map(var).collect()
    }

    #[test]
    fn a_change_is_described_by_its_keys_never_by_values() {
        let before = set(&[("A", "1"), ("B", "2"), ("P!", "3")]);
        let same = ("P!", "3");
        let table = [
            (
                set(&[("A", "1"), ("B", "3"), ("C", "4"), same]),
                "Set B, C config vars",
                None,
            ),
            (set(&[("A", "1"), same]), "Remove B config vars", None),
            (set(&[("A", "9"), same]), "Set A, remove B config vars", None),
            (
                set(&[("A!", "1"), ("B", "2"), same]),
                "Show A to builds",
                Some("A"),
            ),
            (
                set(&[("A!", "1"), ("B!", "3"), ("P", "3")]),
                "Set B config vars, show A to builds, hide P from builds",
                Some("A, B"),
            ),
            (
                set(&[("A", "1"), ("B", "2"), ("P!", "4")]),
                "Set P config vars",
                Some("P"),
            ),
        ];
        for (after, text, next) in table {
            assert_eq!(describe(&before, &after), text);
            assert_eq!(next_build(&before, &after).as_deref(), next, "{text}");
        }
        let many: Vec<_> = (0..8).map(|n| format!("K{n}")).collect();
        let many: Vec<_> = many.iter().map(|key| (key.as_str(), "x")).collect();
        assert_eq!(
            describe(&ConfigSet::new(), &set(&many)),
            "Set K0, K1, K2, K3, K4 and 3 more config vars"
        );
    }

    #[test]
    fn a_key_keeps_its_scope_unless_it_is_given_another() {
        let before = set(&[("A", "1"), ("B!", "2")]);
        let change = parse(
            ["A", "B", "C"]
                .map(|key| (key.to_owned(), Some("9".to_owned())))
                .into(),
        )
        .unwrap();
        let nines = |keys: [&str; 3]| set(&keys.map(|key| (key, "9")));
        let table = [
            (None, nines(["A", "B!", "C"])),
            (Some(ConfigScope::Build), nines(["A!", "B!", "C!"])),
            (Some(ConfigScope::Run), nines(["A", "B", "C"])),
        ];
        for (scope, after) in table {
            assert_eq!(merge(&before, &change, scope), after);
        }
        let app = "demo".parse().unwrap();
        let scopes = |key: &str| parse_scopes(vec![(key.to_owned(), "build".to_owned())]).unwrap();
        assert_eq!(
            scoped(&app, &before, &scopes("A")).unwrap(),
            set(&[("A!", "1"), ("B!", "2")])
        );
        let error = scoped(&app, &before, &scopes("C")).unwrap_err();
        assert_eq!(error.to_string(), "demo has no config var \"C\"");
    }
}

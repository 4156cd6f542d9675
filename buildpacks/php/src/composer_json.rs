//! `composer.json`, as far as a build needs it.

use buildpack_support::{Failure, Result, files};
use serde_json::Value;
use std::path::Path;

/// What the file says.
#[derive(Debug, Clone)]
pub(crate) struct ComposerJson {
    value: Value,
}

impl ComposerJson {
    /// The app's file, if it has one. An empty one is one without requirements, as on Heroku.
    pub(crate) fn of(app: &Path) -> Result<Option<Self>> {
        let Some(text) = files::read(app, "composer.json")? else {
            return Ok(None);
        };
        if text.trim().is_empty() {
            return Ok(Some(Self { value: Value::Null }));
        }
        match serde_json::from_str(&text) {
            Ok(value) => Ok(Some(Self { value })),
            Err(error) => Err(Failure::new(
                "composer.json can't be read",
                format!("{error}."),
                "`composer validate` shows the same on your machine. Correct it, commit and push again.",
            )),
        }
    }

    /// What `require` asks of a package.
    pub(crate) fn required(&self, name: &str) -> Option<&str> {
        self.value.get("require")?.get(name)?.as_str()
    }

    /// Whether the app requires a package.
    pub(crate) fn requires(&self, name: &str) -> bool {
        self.required(name).is_some()
    }

    /// Whether anything but PHP and extensions is required, for development too.
    pub(crate) fn has_packages(&self) -> bool {
        ["require", "require-dev"].iter().any(|key| {
            self.value
                .get(key)
                .and_then(Value::as_object)
                .is_some_and(|map| map.keys().any(|name| name.contains('/')))
        })
    }

    /// The extensions that `require` names, without `ext-`.
    pub(crate) fn extensions(&self) -> Vec<String> {
        names_of_extensions(self.value.get("require"))
    }

    /// Whether there is a script of that name.
    pub(crate) fn has_script(&self, name: &str) -> bool {
        self.value
            .get("scripts")
            .and_then(|scripts| scripts.get(name))
            .is_some()
    }

    /// `extra.heroku.document-root`.
    pub(crate) fn document_root(&self) -> Option<&str> {
        self.value
            .get("extra")?
            .get("heroku")?
            .get("document-root")?
            .as_str()
    }
}

/// The extensions that all packages of `composer.lock` require together.
pub(crate) fn locked_extensions(app: &Path) -> Result<Vec<String>> {
    let text = files::read(app, "composer.lock")?.unwrap_or_default();
    // What is wrong with it is told by Composer.
    let lock: Value = serde_json::from_str(&text).unwrap_or_default();
    let packages = lock
        .get("packages")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut found = names_of_extensions(lock.get("platform"));
    for package in &packages {
        found.extend(names_of_extensions(package.get("require")));
    }
    Ok(found)
}

fn names_of_extensions(require: Option<&Value>) -> Vec<String> {
    let names = require.and_then(Value::as_object).into_iter().flatten();
    names
        .filter_map(|(name, _)| Some(name.to_ascii_lowercase().strip_prefix("ext-")?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<ComposerJson>> {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("composer.json"), text).unwrap();
        ComposerJson::of(dir.path())
    }

    #[test]
    fn what_a_build_needs_is_read() {
        let json = of(
            r#"{"require":{"php":"^8.1","ext-GD":"*","slim/slim":"^4"},"extra":{"heroku":{"document-root":"web"}}}"#,
        )
        .unwrap()
        .unwrap();
        assert_eq!(json.required("php"), Some("^8.1"));
        assert_eq!(json.extensions(), ["gd"]);
        assert_eq!(json.document_root(), Some("web"));
        assert!(json.has_packages() && json.requires("slim/slim") && !json.has_script("compile"));
        assert!(!of("").unwrap().unwrap().has_packages());
        assert!(!of(r#"{"require":{"php":"*"}}"#).unwrap().unwrap().has_packages());
    }

    #[test]
    fn a_broken_file() {
        insta::assert_snapshot!(of("{").unwrap_err().text(), @r"
        composer.json can't be read

        EOF while parsing an object at line 1 column 1.

        `composer validate` shows the same on your machine. Correct it, commit and push again.
        ");
    }

    #[test]
    fn locked_packages_name_their_extensions() {
        let dir = tempfile::tempdir().unwrap();
        files::write(
            &dir.path().join("composer.lock"),
            r#"{"packages":[{"name":"a/b","require":{"ext-intl":"*","php":"*"}}],"platform":{"ext-zip":"*"}}"#,
        )
        .unwrap();
        assert_eq!(locked_extensions(dir.path()).unwrap(), ["zip", "intl"]);
    }
}

//! `package.json`, as far as a build needs it. What has another type than it should is as if it were not there:
//! package managers read the same file and say what is wrong with it better.

use buildpack_support::{Failure, Result, files};
use serde_json::{Map, Value};
use std::path::Path;

/// Scripts that an install runs for the app itself.
pub(crate) const LIFECYCLE: [&str; 6] = [
    "preinstall",
    "install",
    "postinstall",
    "preprepare",
    "prepare",
    "postprepare",
];

/// The file's content.
#[derive(Debug, Clone, Default)]
pub(crate) struct PackageJson {
    root: Map<String, Value>,
}

impl PackageJson {
    /// The one in `dir`, if there is one.
    pub(crate) fn of(dir: &Path) -> Result<Option<Self>> {
        files::read(dir, "package.json")?
            .map(|text| Self::parse(&text))
            .transpose()
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        match serde_json::from_str(text) {
            Ok(root) => Ok(Self { root }),
            Err(error) => Err(Failure::new(
                "package.json can't be read",
                format!("It is not valid JSON: {error}."),
                "Correct it there (`npm pkg get name` shows whether npm can read it), commit and push again.",
            )),
        }
    }

    /// `name`.
    pub(crate) fn name(&self) -> Option<&str> {
        self.text(&["name"])
    }

    /// `scripts.NAME`.
    pub(crate) fn script(&self, name: &str) -> Option<&str> {
        self.text(&["scripts", name])
            .filter(|script| !script.trim().is_empty())
    }

    /// `engines.NAME`.
    pub(crate) fn engine(&self, name: &str) -> Option<&str> {
        self.text(&["engines", name])
    }

    /// `volta.NAME`.
    pub(crate) fn volta(&self, name: &str) -> Option<&str> {
        self.text(&["volta", name])
    }

    /// `packageManager`: name and version, without the digest that may follow.
    pub(crate) fn package_manager(&self) -> Option<(&str, &str)> {
        let (name, version) = self.text(&["packageManager"])?.rsplit_once('@')?;
        Some((name, version.split('+').next().unwrap_or(version)))
    }

    /// `main`.
    pub(crate) fn main(&self) -> Option<&str> {
        self.text(&["main"])
    }

    /// Whether any of these has an entry: `dependencies`, `devDependencies`, ...
    pub(crate) fn has_any(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| match self.root.get(*field) {
            Some(Value::Object(map)) => !map.is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            _ => false,
        })
    }

    /// Whether a dependency of any kind has this name.
    pub(crate) fn depends_on(&self, name: &str) -> bool {
        ["dependencies", "devDependencies", "optionalDependencies"]
            .iter()
            .any(|field| self.root.get(*field).is_some_and(|map| map.get(name).is_some()))
    }

    /// Dependencies that are paths in the app (`file:lib`).
    pub(crate) fn local_paths(&self) -> Vec<&str> {
        ["dependencies", "devDependencies", "optionalDependencies"]
            .iter()
            .filter_map(|field| self.root.get(*field)?.as_object())
            .flat_map(Map::values)
            .filter_map(|version| version.as_str()?.strip_prefix("file:"))
            .collect()
    }

    /// Whether the app is made of several packages, as npm, Yarn and Bun write it.
    pub(crate) fn has_workspaces(&self) -> bool {
        match self.root.get("workspaces") {
            Some(Value::Object(map)) => map.contains_key("packages"),
            Some(Value::Array(list)) => !list.is_empty(),
            _ => false,
        }
    }

    /// The patterns of the packages' folders.
    pub(crate) fn workspaces(&self) -> Vec<String> {
        let list = match self.root.get("workspaces") {
            Some(Value::Object(map)) => map.get("packages").and_then(Value::as_array),
            Some(Value::Array(list)) => Some(list),
            _ => None,
        };
        list.into_iter()
            .flatten()
            .filter_map(|pattern| Some(pattern.as_str()?.to_owned()))
            .collect()
    }

    /// Scripts that an install runs for the app itself, in their order.
    pub(crate) fn lifecycle(&self) -> Vec<&'static str> {
        LIFECYCLE
            .into_iter()
            .filter(|name| self.script(name).is_some())
            .collect()
    }

    /// Folders to keep between builds: `cacheDirectories`.
    pub(crate) fn cache_directories(&self) -> Vec<String> {
        ["cacheDirectories", "cache_directories"]
            .iter()
            .filter_map(|field| self.root.get(*field)?.as_array())
            .flatten()
            .filter_map(|entry| Some(entry.as_str()?.to_owned()))
            .collect()
    }

    /// What an install depends on, in a stable form.
    pub(crate) fn install_relevant(&self) -> String {
        let mut relevant = Map::new();
        for (field, value) in &self.root {
            if !IRRELEVANT.contains(&field.as_str()) {
                relevant.insert(field.clone(), value.clone());
            }
        }
        for name in self.lifecycle() {
            relevant.insert(format!("scripts.{name}"), self.script(name).into());
        }
        Value::Object(relevant).to_string()
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.root.get(*first)?, |value, key| value.get(*key))?
            .as_str()
            .map(str::trim)
    }
}

// What people change often and no package manager looks at when it installs.
const IRRELEVANT: [&str; 16] = [
    "scripts",
    "description",
    "keywords",
    "homepage",
    "bugs",
    "repository",
    "author",
    "contributors",
    "license",
    "main",
    "browser",
    "type",
    "private",
    "eslintConfig",
    "prettier",
    "browserslist",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PackageJson {
        PackageJson::parse(text).unwrap()
    }

    #[test]
    fn fields_are_read_and_wrong_types_are_as_if_missing() {
        let json = parse(
            r#"{"scripts":{"start":"node .","build":""},"engines":{"node":">=20"},"volta":{"node":"20.1.0"},
                "packageManager":"pnpm@9.1.0+sha512.abc","workspaces":{"packages":["a"]},"dependencies":{"x":"file:lib"}}"#,
        );
        assert_eq!(json.script("start"), Some("node ."));
        assert_eq!(json.script("build"), None);
        assert_eq!(json.engine("node"), Some(">=20"));
        assert_eq!(json.package_manager(), Some(("pnpm", "9.1.0")));
        assert!(json.has_workspaces());
        assert_eq!(json.local_paths(), ["lib"]);
        assert_eq!(parse(r#"{"scripts":[1],"engines":"x"}"#).script("start"), None);
    }

    #[test]
    fn only_what_matters_to_an_install_changes_its_key() {
        let key = |text: &str| parse(text).install_relevant();
        let one = key(r#"{"name":"a","scripts":{"start":"x"},"dependencies":{"a":"1"}}"#);
        assert_eq!(
            one,
            key(r#"{"dependencies":{"a":"1"},"name":"a","scripts":{"start":"y","test":"z"}}"#)
        );
        assert_ne!(one, key(r#"{"name":"a","dependencies":{"a":"2"}}"#));
        assert_ne!(
            one,
            key(r#"{"name":"a","dependencies":{"a":"1"},"scripts":{"postinstall":"x"}}"#)
        );
    }

    #[test]
    fn broken_json_is_told_with_its_place() {
        let failure = PackageJson::parse("{\n  \"name\": \"a\",\n}").unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        package.json can't be read

        It is not valid JSON: trailing comma at line 3 column 1.

        Correct it there (`npm pkg get name` shows whether npm can read it), commit and push again.
        ");
    }
}

//! What `deno.json` or `deno.jsonc` says, and of `package.json` what Deno reads too.

use crate::jsonc;
use buildpack_support::{Failure, Result, files};
use serde_json::Value;
use std::path::Path;

/// The names of the file, in the order in which Deno looks.
pub(crate) const NAMES: [&str; 2] = ["deno.json", "deno.jsonc"];

/// The configuration.
#[derive(Debug, Default)]
pub(crate) struct Config {
    deno: Value,
    package: Value,
    /// Which file there is.
    pub(crate) file: Option<&'static str>,
}

impl Config {
    /// The app's.
    pub(crate) fn of(app: &Path) -> Result<Self> {
        let file = files::first(app, &NAMES);
        let read = |name: &str| -> Result<Value> {
            let text = files::read(app, name)?.unwrap_or_default();
            jsonc::parse(&text).map_err(|error| {
                Failure::new(
                    format!("{name} can't be read"),
                    format!("{error}."),
                    "Correct it (`deno fmt` finds the place), commit and push again.",
                )
            })
        };
        let deno = file.map_or(Ok(Value::Null), read)?;
        let package = if files::exists(app, "package.json") {
            read("package.json")?
        } else {
            Value::Null
        };
        Ok(Self { deno, package, file })
    }

    /// The command of a task.
    pub(crate) fn task(&self, name: &str) -> Option<&str> {
        let task = self.deno.get("tasks").and_then(|tasks| tasks.get(name));
        let command = match task {
            Some(Value::Object(task)) => task.get("command").and_then(Value::as_str),
            Some(task) => task.as_str(),
            None => self
                .package
                .get("scripts")
                .and_then(|scripts| scripts.get(name))
                .and_then(Value::as_str),
        };
        command.map(str::trim).filter(|command| !command.is_empty())
    }

    /// Whether a task needs others first: then only Deno can run it.
    pub(crate) fn has_dependencies(&self, name: &str) -> bool {
        let task = self.deno.get("tasks").and_then(|tasks| tasks.get(name));
        let needs = task
            .and_then(|task| task.get("dependencies"))
            .and_then(Value::as_array);
        needs.is_some_and(|needs| !needs.is_empty())
    }

    /// Whether the file says what a program may do by default.
    pub(crate) fn has_permissions(&self) -> bool {
        self.deno
            .get("permissions")
            .and_then(|sets| sets.get("default"))
            .is_some()
    }

    /// Whether there is anything that `deno install` would read.
    pub(crate) fn has_dependencies_to_install(&self) -> bool {
        self.file.is_some() || !self.package.is_null()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tree: &[(&str, &str)]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        Config::of(dir.path())
    }

    #[test]
    fn tasks_are_texts_or_tables_or_scripts() {
        let config = config(&[
            ("deno.jsonc", r#"{"tasks": {"start": "deno run main.ts", "build": {"command": "x", "dependencies": ["y"]},}, // all
                "permissions": {"default": {"net": true}}}"#),
            ("package.json", r#"{"scripts": {"start": "other", "dev": "vite"}}"#),
        ])
        .unwrap();
        assert_eq!(config.file, Some("deno.jsonc"));
        assert_eq!(config.task("start"), Some("deno run main.ts"));
        assert_eq!(config.task("build"), Some("x"));
        assert_eq!(config.task("dev"), Some("vite"));
        assert_eq!(config.task("none"), None);
        assert!(config.has_dependencies("build") && !config.has_dependencies("start"));
        assert!(config.has_permissions());
    }

    #[test]
    fn a_file_that_can_not_be_read_is_told() {
        let failure = config(&[("deno.json", "{\n  \"tasks\": {\n  oops")]).unwrap_err();
        insta::assert_snapshot!(failure.text(), @r"
        deno.json can't be read

        key must be a string at line 3 column 3.

        Correct it (`deno fmt` finds the place), commit and push again.
        ");
    }
}

//! What the running app needs of what pruning took away: many an app has it among its dev dependencies.

use crate::project::Project;
use buildpack_support::files;
use std::path::Path;

/// Files that a framework's server reads when it starts.
const READ_AT_START: [&str; 3] = ["next.config.js", "next.config.mjs", "next.config.cjs"];

/// A program or package, and what the app does with it; `full` has what was there before.
pub(crate) fn missing(project: &Project, full: &Path) -> Option<(String, String)> {
    program(project, full)
        .map(|program| (program, "the app is started with".to_owned()))
        .or_else(|| import(project, full).map(|(package, file)| (package, format!("{file} imports"))))
}

// A program of `node_modules/.bin` that a process of the image runs.
fn program(project: &Project, full: &Path) -> Option<String> {
    let start = super::web(project, false).map(|web| match web.command.as_slice() {
        // The package manager's `run start`.
        [_, run, _] if run == "run" => project
            .started()
            .package_json
            .script("start")
            .unwrap_or_default()
            .to_owned(),
        words => words.join(" "),
    });
    let commands = project.procfile.entries.iter().map(|entry| &entry.command);
    commands
        .chain(&start)
        .flat_map(|command| command.split_whitespace())
        .map(|word| word.trim_matches(['"', '\'', ';', '&']))
        .filter(|word| !word.is_empty() && !word.contains('/'))
        .find(|word| is_taken(project, full, &Path::new(".bin").join(word)))
        .map(str::to_owned)
}

// A package that a configuration imports, and the configuration.
fn import(project: &Project, full: &Path) -> Option<(String, &'static str)> {
    let folder = project.started().app;
    READ_AT_START.into_iter().find_map(|file| {
        let text = files::read(&folder, file).ok().flatten()?;
        imports(&text)
            .into_iter()
            .find(|package| is_taken(project, full, Path::new(package)))
            .map(|package| (package, file))
    })
}

// Whether something in `node_modules`, the root's or that of what is started, was there and is not any more.
fn is_taken(project: &Project, full: &Path, path: &Path) -> bool {
    let member = project.member.as_ref().map(|member| member.path.as_path());
    let has = |root: &Path| {
        member
            .into_iter()
            .chain([Path::new("")])
            .any(|folder| root.join(folder).join("node_modules").join(path).exists())
    };
    has(full) && !has(&project.app)
}

// The packages that a module's `import` and `require` name.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let named = ["require(", "import(", " from ", "import "]
            .iter()
            .find_map(|word| line.split_once(word).map(|(_, rest)| rest.trim_start()))
            .and_then(|rest| {
                let quote = rest.chars().next().filter(|c| "'\"".contains(*c))?;
                rest[1..].split(quote).next()
            });
        let Some(named) = named.filter(|named| !named.starts_with(['.', '/'])) else {
            continue;
        };
        let parts = if named.starts_with('@') { 2 } else { 1 };
        found.push(named.split('/').take(parts).collect::<Vec<_>>().join("/"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Kind;

    #[test]
    fn the_packages_that_a_module_imports() {
        let text = "// require('no')\nconst a = require('a')(['ui']);\nimport b from \"@b/c/d\";\nimport 'e/f';\n\
                    const own = require('./own');\nmodule.exports = {};\n";
        assert_eq!(imports(text), ["a", "@b/c", "e"]);
    }

    #[test]
    fn what_a_configuration_imports_and_pruning_took_is_missing() {
        let (app, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |root: &Path, name: &str, text: &str| files::write(&root.join(name), text).unwrap();
        write(
            app.path(),
            "package.json",
            r#"{"scripts":{"start":"next start"}}"#,
        );
        write(
            app.path(),
            "next.config.js",
            "require('kept'); \nrequire('path')\nrequire('taken/x')",
        );
        for package in ["kept", "taken"] {
            write(full.path(), &format!("node_modules/{package}/package.json"), "{}");
        }
        write(app.path(), "node_modules/kept/package.json", "{}");
        let project = Project::of(app.path(), Kind::Npm);
        assert_eq!(
            missing(&project, full.path()),
            Some(("taken".to_owned(), "next.config.js imports".to_owned()))
        );
        write(app.path(), "node_modules/taken/package.json", "{}");
        assert_eq!(missing(&project, full.path()), None);
    }

    #[test]
    fn a_program_counts_where_the_app_is_started_with_it() {
        let (app, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |root: &Path, name: &str, text: &str| files::write(&root.join(name), text).unwrap();
        let json = r#"{"scripts":{"start":"nest start"},"dependencies":{"@nestjs/core":"11"}}"#;
        write(app.path(), "package.json", json);
        write(full.path(), "node_modules/.bin/nest", "");
        let project = Project::of(app.path(), Kind::Npm);
        let expected = Some(("nest".to_owned(), "the app is started with".to_owned()));
        assert_eq!(missing(&project, full.path()), expected);
        write(app.path(), "dist/main.js", "");
        assert_eq!(missing(&project, full.path()), None);
    }
}

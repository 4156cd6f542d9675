//! Whether there is something for Node.js to do in an app, and in which part.
//!
//! A `package.json` alone is a Node.js app. Beside a Gemfile or a requirements.txt it is most often the front
//! end's: then Node.js joins in when it has something to build or to run, and stays away when the file is there
//! for a linter only.

use crate::package_json::PackageJson;
use buildpack_support::{Result, files, procfile::Procfile};
use std::path::Path;

/// The part that Node.js has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// The app is Node.js.
    Main,
    /// The app is in another language, which comes after.
    Helper,
}

/// Files that name an app's language.
const OTHERS: [(&str, &[&str]); 8] = [
    ("Ruby", &["Gemfile"]),
    ("PHP", &["composer.json", "index.php"]),
    ("Java", &["pom.xml", "build.gradle", "build.gradle.kts"]),
    ("Go", &["go.mod"]),
    ("Rust", &["Cargo.toml"]),
    (
        "Python",
        &[
            "requirements.txt",
            "pyproject.toml",
            "Pipfile",
            "manage.py",
            "uv.lock",
            "setup.py",
        ],
    ),
    (".NET", &["global.json"]),
    ("Elixir", &["mix.exs"]),
];

const LOCKFILES: [&str; 6] = [
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];

const TOOLS: [&str; 9] = [
    "node", "npm", "npx", "pnpm", "pnpx", "yarn", "bun", "bunx", "next",
];

/// The part, with the reason; nothing if Node.js is not needed.
pub(crate) fn role(app: &Path) -> Result<Option<(Role, String)>> {
    if !files::exists(app, "package.json") {
        // A page's script is often called index.js: that is no server.
        let server = files::first(app, &["server.js", "index.js"]);
        let is_page = files::exists(app, "index.html");
        let has_other = other(app).is_some() || is_deno(app);
        return Ok(server
            .filter(|_| !is_page && !has_other)
            .map(|server| (Role::Main, format!("{server} is there"))));
    }
    if is_deno(app) && files::first(app, &LOCKFILES).is_none() {
        return Ok(None);
    }
    let Some(language) = other(app) else {
        return Ok(Some((Role::Main, "package.json is there".to_owned())));
    };
    // What is wrong with either file is told in the build.
    let package_json = PackageJson::of(app).unwrap_or_default().unwrap_or_default();
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    let runs = |command: &str| command.split_whitespace().any(|word| TOOLS.contains(&word));
    if procfile.command("web").is_some_and(runs) {
        return Ok(Some((
            Role::Main,
            "the Procfile's web process runs it".to_owned(),
        )));
    }
    let helps = |why: &str| Ok(Some((Role::Helper, format!("{why} (beside {language})"))));
    if procfile.entries.iter().any(|entry| runs(&entry.command)) {
        return helps("the Procfile runs it");
    }
    let scripts = ["heroku-prebuild", "heroku-postbuild", "build"];
    if let Some(script) = scripts
        .iter()
        .find(|script| package_json.script(script).is_some())
    {
        return helps(&format!("package.json has the script `{script}`"));
    }
    // Rails runs the front end's tools itself when it makes its assets.
    if language == "Ruby" && package_json.has_any(&["dependencies", "devDependencies"]) {
        return helps("package.json has dependencies");
    }
    if procfile.command("web").is_none() && package_json.script("start").is_some() && language == "Python" {
        return helps("package.json has the script `start`");
    }
    Ok(None)
}

/// The other language that the app's files name.
pub(crate) fn other(app: &Path) -> Option<&'static str> {
    OTHERS
        .iter()
        .find(|(_, names)| files::first(app, names).is_some())
        .map(|(language, _)| *language)
}

fn is_deno(app: &Path) -> bool {
    files::first(app, &["deno.json", "deno.jsonc", "deno.lock"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        role(dir.path())
            .unwrap()
            .map(|(role, why)| format!("{role:?}: {why}"))
    }

    #[test]
    fn the_part_is_by_what_the_app_has() {
        let build = (
            "package.json",
            r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#,
        );
        let lint = (
            "package.json",
            r#"{"scripts":{"lint":"eslint"},"devDependencies":{"eslint":"9"}}"#,
        );
        let start = ("package.json", r#"{"scripts":{"start":"node ."}}"#);
        for (tree, expected) in [
            (vec![start], Some("Main: package.json is there")),
            (vec![("server.js", "")], Some("Main: server.js is there")),
            (vec![("index.js", ""), ("index.html", "")], None),
            (vec![("index.html", "")], None),
            (
                vec![build, ("composer.json", "{}")],
                Some("Helper: package.json has the script `build` (beside PHP)"),
            ),
            (vec![lint, ("manage.py", "")], None),
            (
                vec![lint, ("Gemfile", "")],
                Some("Helper: package.json has dependencies (beside Ruby)"),
            ),
            (
                vec![start, ("requirements.txt", "")],
                Some("Helper: package.json has the script `start` (beside Python)"),
            ),
            (
                vec![start, ("requirements.txt", ""), ("Procfile", "web: npm start")],
                Some("Main: the Procfile's web process runs it"),
            ),
            (
                vec![lint, ("Gemfile", ""), ("Procfile", "web: puma\nssr: node ssr.js")],
                Some("Helper: the Procfile runs it (beside Ruby)"),
            ),
            (vec![("package.json", "{}"), ("deno.json", "{}")], None),
            (
                vec![start, ("deno.json", "{}"), ("package-lock.json", "{}")],
                Some("Main: package.json is there"),
            ),
            (vec![("package.json", "{broken"), ("go.mod", "")], None),
        ] {
            assert_eq!(of(&tree).as_deref(), expected, "{tree:?}");
        }
    }
}

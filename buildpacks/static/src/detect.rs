//! What kind of site an app is, if it is one.
//!
//! By strength: a file that configures a site; a `package.json` that builds one and has nothing to serve it; a
//! page that is there already. An app that starts a server of its own is none.

use crate::{
    frontend::{self, Frontend},
    package_json::PackageJson,
};
use buildpack_support::{Result, files};
use std::path::Path;

/// A kind of site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This file says that there is one.
    Configured(&'static str),
    /// Built by a front end's framework.
    Built(Frontend),
    /// Pages as they are, in this folder.
    Plain(&'static str),
}

/// Folders in which people keep a finished site, the likeliest first. `.` is the app's.
pub(crate) const FOLDERS: [&str; 13] = [
    ".",
    "public",
    "public_html",
    "dist",
    "build",
    "www",
    "_site",
    "site",
    "out",
    "html",
    "htdocs",
    "web",
    "docs",
];

/// Names that mean sources in most apps: a site is there only where nothing else says what the app is.
const UNLIKELY: [&str; 3] = ["app/public", "app", "src"];

/// Servers that need no `start` script to be what the app is for.
const SERVERS: [&str; 12] = [
    "express",
    "fastify",
    "koa",
    "hono",
    "@hapi/hapi",
    "@nestjs/core",
    "polka",
    "restify",
    "socket.io",
    "ws",
    "elysia",
    "@feathersjs/feathers",
];

/// Files of languages that we have no buildpack for: a page deep in such an app is not the app.
const OTHERS: [&str; 9] = [
    "mix.exs",
    "global.json",
    "build.sbt",
    "project.clj",
    "stack.yaml",
    "Package.swift",
    "CMakeLists.txt",
    "pubspec.yaml",
    "gleam.toml",
];

/// The kind.
pub(crate) fn kind(app: &Path) -> Result<Option<Kind>> {
    if frontend::has_own_web(app) {
        return Ok(None);
    }
    if let Some(file) = files::first(app, &["static.json", "Staticfile"]) {
        return Ok(Some(Kind::Configured(if file == "Staticfile" {
            "Staticfile"
        } else {
            "static.json"
        })));
    }
    if let Some(frontend) = frontend::of(app)? {
        return Ok(Some(Kind::Built(frontend)));
    }
    if starts_a_server(app)? {
        return Ok(None);
    }
    let is_other = files::first(app, &OTHERS).is_some();
    let unlikely = if files::exists(app, "package.json") {
        &[]
    } else {
        UNLIKELY.as_slice()
    };
    let folder = FOLDERS
        .iter()
        .chain(unlikely)
        .take(if is_other { 1 } else { usize::MAX })
        .find(|folder| has_index(&app.join(folder)));
    Ok(folder.map(|folder| Kind::Plain(folder)))
}

fn starts_a_server(app: &Path) -> Result<bool> {
    if files::first(app, &["server.js", "server.ts", "server.mjs"]).is_some() {
        return Ok(true);
    }
    Ok(PackageJson::of(app)?.is_some_and(|package_json| {
        package_json.server_script().is_some() || SERVERS.iter().any(|package| package_json.has(package))
    }))
}

/// Whether a folder has a page to begin with.
pub(crate) fn has_index(folder: &Path) -> bool {
    files::first(folder, &["index.html", "index.htm"]).is_some()
}

/// Whether Node.js has to build something first.
pub(crate) fn needs_node(app: &Path, kind: &Kind) -> Result<bool> {
    Ok(match kind {
        Kind::Built(_) => true,
        Kind::Configured(_) => PackageJson::of(app)?.is_some_and(|json| json.build_script().is_some()),
        Kind::Plain(_) => false,
    })
}

/// The reason, for the log.
pub(crate) fn reason(kind: &Kind) -> String {
    match kind {
        Kind::Configured(file) => format!("{file} is there"),
        Kind::Built(frontend) => format!("package.json builds a site ({})", frontend.name),
        Kind::Plain(".") => "index.html is there".to_owned(),
        Kind::Plain(folder) => format!("{folder}/index.html is there"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tree: &[(&str, &str)]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in tree {
            files::write(&dir.path().join(name), text).unwrap();
        }
        kind(dir.path()).unwrap().map(|kind| reason(&kind))
    }

    #[test]
    fn a_site_is_known_by_its_files() {
        let vite = r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"7"}}"#;
        let lint = r#"{"devDependencies":{"prettier":"3"}}"#;
        for (tree, expected) in [
            (&[("index.html", "")][..], Some("index.html is there")),
            (&[("index.htm", "")], Some("index.html is there")),
            (
                &[("public/index.html", ""), ("docs/index.html", "")],
                Some("public/index.html is there"),
            ),
            (
                &[("static.json", "{}"), ("index.html", "")],
                Some("static.json is there"),
            ),
            (&[("Staticfile", "")], Some("Staticfile is there")),
            (
                &[("package.json", vite), ("index.html", "")],
                Some("package.json builds a site (Vite)"),
            ),
            (
                &[("package.json", lint), ("index.html", "")],
                Some("index.html is there"),
            ),
            (
                &[("static.json", "{}"), ("Procfile", "web: bin/boot")],
                Some("static.json is there"),
            ),
            (
                &[("index.html", ""), ("Procfile", "worker: ./work")],
                Some("index.html is there"),
            ),
            (
                &[("app/public/index.html", ""), ("app/other/index.html", "")],
                Some("app/public/index.html is there"),
            ),
            (&[("src/index.html", "")], Some("src/index.html is there")),
            (&[("src/index.html", ""), ("package.json", lint)], None),
            (&[("src/index.html", ""), ("mix.exs", "")], None),
            (&[("main.css", "")], None),
            (&[("assets/index.html", "")], None),
        ] {
            assert_eq!(of(tree).as_deref(), expected, "{tree:?}");
        }
    }

    #[test]
    fn an_app_that_serves_itself_is_no_site() {
        for tree in [
            &[("index.html", ""), ("Procfile", "web: ./serve")][..],
            &[("public/index.html", ""), ("server.js", "")],
            &[
                ("public/index.html", ""),
                ("package.json", r#"{"scripts":{"start":"node app.js"}}"#),
            ],
            &[
                ("public/index.html", ""),
                ("package.json", r#"{"dependencies":{"express":"5"}}"#),
            ],
            &[("docs/index.html", ""), ("mix.exs", "")],
        ] {
            assert_eq!(of(tree), None, "{tree:?}");
        }
    }

    #[test]
    fn node_is_needed_where_something_is_built() {
        let dir = tempfile::tempdir().unwrap();
        files::write(&dir.path().join("static.json"), "{}").unwrap();
        let needs = || needs_node(dir.path(), &Kind::Configured("static.json")).unwrap();
        assert!(!needs());
        files::write(
            &dir.path().join("package.json"),
            r#"{"scripts":{"build":"make"}}"#,
        )
        .unwrap();
        assert!(needs());
        assert!(!needs_node(dir.path(), &Kind::Plain(".")).unwrap());
    }
}

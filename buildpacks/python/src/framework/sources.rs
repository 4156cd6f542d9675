//! The sources that may hold the object to serve, likely ones first, and the names Python knows them by.

use super::{Interface, Served, object::object};
use buildpack_support::files;
use std::{collections::BTreeSet, fs, path::Path};

// In the order in which they are looked at.
const FOLDERS: [&str; 8] = ["", "src", "app", "api", "backend", "server", "web", "service"];

const FILES: [&str; 12] = [
    "main",
    "app",
    "wsgi",
    "asgi",
    "application",
    "server",
    "api",
    "index",
    "run",
    "web",
    "hello",
    "__init__",
];

const ASIDE: [&str; 12] = [
    "tests",
    "test",
    "docs",
    "examples",
    "example",
    "migrations",
    "node_modules",
    "venv",
    "env",
    "scripts",
    "static",
    "templates",
];

// An app's entry is not the four-hundredth file.
const MOST: usize = 400;

pub(super) fn below(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with(['.', '_']) && !ASIDE.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

pub(super) struct Source {
    pub(super) folder: String,
    pub(super) stem: String,
    pub(super) text: String,
}

// All Python files down to the second folder, likely ones first.
pub(super) fn sources(app_dir: &Path) -> Vec<Source> {
    let mut folders: Vec<String> = FOLDERS.iter().map(|name| (*name).to_owned()).collect();
    let first = below(app_dir);
    folders.extend(first.iter().cloned());
    for folder in &first {
        folders.extend(
            below(&app_dir.join(folder))
                .into_iter()
                .map(|name| format!("{folder}/{name}")),
        );
    }
    let mut seen = BTreeSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    let rank = |stem: &str| FILES.iter().position(|name| *name == stem).unwrap_or(FILES.len());
    let mut out = Vec::new();
    for folder in folders {
        let mut stems: Vec<String> = fs::read_dir(app_dir.join(&folder))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".py")?.to_owned()))
            .filter(|stem| !stem.starts_with("test_") && stem != "conftest" && stem != "setup")
            .collect();
        stems.sort_by(|a, b| rank(a).cmp(&rank(b)).then(a.cmp(b)));
        for stem in stems {
            if out.len() == MOST {
                return out;
            }
            let dir = app_dir.join(&folder);
            if let Ok(Some(text)) = files::read(&dir, &format!("{stem}.py")) {
                out.push(Source {
                    folder: folder.clone(),
                    stem,
                    text,
                });
            }
        }
    }
    out
}

impl Source {
    pub(super) fn file(&self) -> String {
        if self.folder.is_empty() {
            format!("{}.py", self.stem)
        } else {
            format!("{}/{}.py", self.folder, self.stem)
        }
    }

    pub(super) fn served(&self, app_dir: &Path, kind: Interface) -> Option<Served> {
        let found = object(&self.text, kind)?;
        let (base, module) = self.module(app_dir);
        Some(Served::Object {
            object: format!("{module}:{}", found.name),
            interface: found.interface,
            is_flask: found.is_flask,
            base,
        })
    }

    // The folder to look from, and the module's name there. A folder without `__init__.py` whose modules do not
    // name it is where its author starts the app.
    fn module(&self, app_dir: &Path) -> (String, String) {
        let mut parts: Vec<&str> = self.folder.split('/').filter(|part| !part.is_empty()).collect();
        let mut base = Vec::new();
        while let Some(&first) = parts.first() {
            let folder = [base.clone(), vec![first]].concat().join("/");
            let is_package = files::exists(app_dir, &format!("{folder}/__init__.py"));
            let is_named = self.text.contains(&format!("from {first}."))
                || self.text.contains(&format!("from {first} import"))
                || self.text.contains(&format!("import {first}."));
            let is_relative = self.text.contains("from .");
            if is_package || is_named || (is_relative && parts.len() == 1) {
                break;
            }
            base.push(parts.remove(0));
        }
        if self.stem != "__init__" {
            parts.push(&self.stem);
        }
        (base.join("/"), parts.join("."))
    }
}

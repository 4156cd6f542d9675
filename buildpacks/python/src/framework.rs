//! What there is to serve: Django's project, an application object (FastAPI, Flask and their kind), or a script.
//!
//! Sources are read, never run: an import may want a database. Only what stands at a line's beginning counts, as
//! `app = FastAPI(`.

use crate::{dependencies::Venv, django};
use buildpack_support::files;
use std::{collections::BTreeSet, fs, path::Path};
use toml::Table;

/// How an application object is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    Wsgi,
    Asgi,
}

/// What there is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Served {
    /// A Django project: its `manage.py`, its folder, the module of its settings' package.
    Django {
        manage: String,
        folder: String,
        wsgi: Option<String>,
        asgi: Option<String>,
    },
    /// An object: `main:app`; whether Flask made it; the folder its module is found from.
    Object {
        object: String,
        interface: Interface,
        is_flask: bool,
        base: String,
    },
    /// Streamlit's or Gradio's script.
    Streamlit {
        file: String,
    },
    Gradio {
        file: String,
    },
    /// Any other script.
    Script {
        file: String,
    },
    /// A program that the app installs.
    Program {
        name: String,
    },
    Nothing,
}

impl Served {
    /// The folders that Python has to look for modules in.
    pub(crate) fn path(&self) -> Vec<String> {
        let mut path = vec![String::new()];
        match self {
            Self::Object { base: folder, .. } | Self::Django { folder, .. } if !folder.is_empty() => {
                path.push(folder.clone());
            }
            _ => {}
        }
        path
    }
}

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
const SCRIPTS: [&str; 10] = [
    "main.py",
    "app.py",
    "server.py",
    "run.py",
    "start.py",
    "bot.py",
    "hello.py",
    "index.py",
    "src/main.py",
    "app/main.py",
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

/// Looks for it.
pub(crate) fn find(app_dir: &Path, venv: &Venv) -> Served {
    if let Some(manage) = django::manage(app_dir).filter(|_| venv.has("django")) {
        return django_project(app_dir, manage);
    }
    let sources = sources(app_dir);
    let importing = |module: &str| {
        let imports = |line: &str| {
            line.starts_with(&format!("import {module}")) || line.starts_with(&format!("from {module}"))
        };
        sources
            .iter()
            .find(|source| source.text.lines().any(imports))
            .map(Source::file)
    };
    if venv.has("streamlit")
        && let Some(file) = importing("streamlit")
    {
        return Served::Streamlit { file };
    }
    let kind = if venv.has("flask") {
        Interface::Wsgi
    } else {
        Interface::Asgi
    };
    if let Some(served) = sources.iter().find_map(|source| source.served(app_dir, kind)) {
        return served;
    }
    if venv.has("gradio")
        && let Some(file) = importing("gradio")
    {
        return Served::Gradio { file };
    }
    if let Some(file) = files::first(app_dir, &SCRIPTS) {
        return Served::Script {
            file: file.to_owned(),
        };
    }
    match program(app_dir) {
        Some(name) => Served::Program { name },
        None => only_script(&sources).map_or(Served::Nothing, |file| Served::Script { file }),
    }
}

fn django_project(app_dir: &Path, manage: String) -> Served {
    let folder = manage
        .strip_suffix("manage.py")
        .unwrap_or_default()
        .trim_end_matches('/')
        .to_owned();
    let base = app_dir.join(&folder);
    let text = files::read(app_dir, &manage).ok().flatten().unwrap_or_default();
    let package = settings_package(&text);
    let module = |name: &str| {
        let of_settings = package
            .iter()
            .map(|package| format!("{}/{name}.py", package.replace('.', "/")))
            .find(|path| files::exists(&base, path));
        of_settings
            .or_else(|| {
                below(&base)
                    .into_iter()
                    .map(|folder| format!("{folder}/{name}.py"))
                    .find(|path| files::exists(&base, path))
            })
            .or_else(|| files::exists(&base, &format!("{name}.py")).then(|| format!("{name}.py")))
            .map(|path| path.trim_end_matches(".py").replace('/', "."))
    };
    Served::Django {
        wsgi: module("wsgi"),
        asgi: module("asgi"),
        manage,
        folder,
    }
}

// `config` of `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.local")`.
fn settings_package(manage: &str) -> Option<String> {
    let line = manage
        .lines()
        .find(|line| line.contains("DJANGO_SETTINGS_MODULE"))?;
    let module = line
        .rsplit(['"', '\''])
        .find(|word| word.contains('.') || word.starts_with(|c: char| c.is_ascii_lowercase()))?;
    let end = module.find(".settings").or_else(|| module.rfind('.'))?;
    Some(module[..end].to_owned())
}

fn below(dir: &Path) -> Vec<String> {
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

struct Source {
    folder: String,
    stem: String,
    text: String,
}

// All Python files down to the second folder, likely ones first.
fn sources(app_dir: &Path) -> Vec<Source> {
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
    fn file(&self) -> String {
        if self.folder.is_empty() {
            format!("{}.py", self.stem)
        } else {
            format!("{}/{}.py", self.folder, self.stem)
        }
    }

    fn served(&self, app_dir: &Path, kind: Interface) -> Option<Served> {
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

struct Object {
    name: String,
    interface: Interface,
    is_flask: bool,
}

fn object(text: &str, kind: Interface) -> Option<Object> {
    let mut found: Vec<Object> = text.lines().filter_map(|line| assigned(line, kind)).collect();
    // Dash's object is no WSGI application, but has one.
    if found.iter().any(|object| object.name.starts_with("dash:")) {
        found.retain(|object| !object.name.starts_with("dash:"));
        let server = text.lines().find_map(|line| {
            line.strip_suffix(".server")?
                .split_once('=')
                .map(|(name, _)| name.trim())
        });
        found.extend(server.filter(|name| is_identifier(name)).map(|name| Object {
            name: name.to_owned(),
            interface: Interface::Wsgi,
            is_flask: false,
        }));
    }
    let named = ["app", "application", "api", "server"]
        .iter()
        .find_map(|name| found.iter().rposition(|object| object.name == *name));
    let at = named.or(if found.is_empty() { None } else { Some(0) });
    if let Some(at) = at {
        return Some(found.swap_remove(at));
    }
    let factory = ["create_app", "make_app"]
        .iter()
        .find(|name| text.lines().any(|line| line.starts_with(&format!("def {name}("))))?;
    let is_flask = text.contains("Flask(");
    let interface = if is_flask {
        Interface::Wsgi
    } else if text.contains("FastAPI(") {
        Interface::Asgi
    } else {
        return None;
    };
    Some(Object {
        name: format!("{factory}()"),
        interface,
        is_flask,
    })
}

// `app = FastAPI(`, `app: FastAPI = fastapi.FastAPI(`, `app, rt = fast_app(`.
fn assigned(line: &str, kind: Interface) -> Option<Object> {
    let (left, right) = line.split_once('=')?;
    let name = left.split([':', ',']).next()?.trim();
    if line.starts_with([' ', '\t']) || !is_identifier(name) {
        return None;
    }
    let call = right.split_once('(')?.0.trim();
    let maker = call.rsplit('.').next()?;
    let (interface, is_flask) = match maker {
        "FastAPI"
        | "Starlette"
        | "Litestar"
        | "Quart"
        | "Sanic"
        | "FastHTML"
        | "fast_app"
        | "ASGIApp"
        | "AsyncApp"
        | "get_asgi_application"
        | "BlackSheep"
        | "Esmerald" => (Interface::Asgi, false),
        "Flask" | "APIFlask" | "OpenAPI" => (Interface::Wsgi, true),
        "Bottle" | "default_app" | "get_wsgi_application" | "WSGIApp" | "FlaskApp" => {
            (Interface::Wsgi, false)
        }
        "App" if call == "falcon.App" => (Interface::Wsgi, false),
        "App" if call == "falcon.asgi.App" => (Interface::Asgi, false),
        "create_app" | "make_app" | "create_application" => (kind, kind == Interface::Wsgi),
        "Dash" => {
            return Some(Object {
                name: format!("dash:{name}"),
                interface: Interface::Wsgi,
                is_flask: false,
            });
        }
        _ => return None,
    };
    Some(Object {
        name: name.to_owned(),
        interface,
        is_flask,
    })
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

// `[project.scripts]`: the one called as the project, or the only one.
fn program(app_dir: &Path) -> Option<String> {
    let project: Table = files::read(app_dir, "pyproject.toml").ok()??.parse().ok()?;
    let of = |path: &[&str]| {
        let first = project.get(path[0])?;
        path[1..]
            .iter()
            .try_fold(first, |value, part| value.get(part))?
            .as_table()
    };
    let scripts = of(&["project", "scripts"]).or_else(|| of(&["tool", "poetry", "scripts"]))?;
    let name = project
        .get("project")
        .or_else(|| project.get("tool")?.get("poetry"))
        .and_then(|project| project.get("name")?.as_str());
    let own = ["web", "serve", "start"]
        .into_iter()
        .chain(name)
        .find(|name| scripts.contains_key(*name));
    let only = || {
        (scripts.len() == 1)
            .then(|| scripts.keys().next().map(String::as_str))
            .flatten()
    };
    own.or_else(only).map(str::to_owned)
}

// An app of one file.
fn only_script(sources: &[Source]) -> Option<String> {
    let mut root = sources.iter().filter(|source| source.folder.is_empty());
    match (root.next(), root.next()) {
        (Some(only), None) => Some(only.file()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(packages: &[&str], sources: &[(&str, &str)]) -> Served {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in sources {
            files::write(&dir.path().join(name), text).unwrap();
        }
        find(dir.path(), &Venv::of(packages))
    }

    fn object_of(sources: &[(&str, &str)]) -> Option<(String, Interface, String)> {
        match served(&["flask"], sources) {
            Served::Object {
                object,
                interface,
                base,
                ..
            } => Some((object, interface, base)),
            _ => None,
        }
    }

    #[test]
    fn objects_are_found_with_the_folder_they_are_started_from() {
        use Interface::{Asgi, Wsgi};
        for (sources, expected) in [
            (
                vec![(
                    "main.py",
                    "from fastapi import FastAPI\napp = FastAPI(title='x')\n",
                )],
                ("main:app", Asgi, ""),
            ),
            (
                vec![(
                    "app.py",
                    "import flask\nserver: flask.Flask = flask.Flask(__name__)\n",
                )],
                ("app:server", Wsgi, ""),
            ),
            (
                vec![("main.py", "from fasthtml.common import *\napp, rt = fast_app()\n")],
                ("main:app", Asgi, ""),
            ),
            (
                vec![("app/__init__.py", ""), ("app/main.py", "app = FastAPI()\n")],
                ("app.main:app", Asgi, ""),
            ),
            (
                vec![("app/main.py", "from app.db import x\napp = FastAPI()\n")],
                ("app.main:app", Asgi, ""),
            ),
            (
                vec![("backend/main.py", "from db import x\napp = FastAPI()\n")],
                ("main:app", Asgi, "backend"),
            ),
            (
                vec![
                    ("src/shop/__init__.py", ""),
                    ("src/shop/web.py", "app = Flask(__name__)\n"),
                ],
                ("shop.web:app", Wsgi, "src"),
            ),
            (
                vec![("shop/__init__.py", "app = Flask(__name__)\n")],
                ("shop:app", Wsgi, ""),
            ),
            (
                vec![(
                    "shop/__init__.py",
                    "def create_app():\n    app = Flask(__name__)\n    return app\n",
                )],
                ("shop:create_app()", Wsgi, ""),
            ),
            (
                vec![
                    ("wsgi.py", "from shop import create_app\napp = create_app()\n"),
                    ("shop/__init__.py", "def create_app():\n    Flask(1)\n"),
                ],
                ("wsgi:app", Wsgi, ""),
            ),
            (
                vec![("app.py", "app = Dash(__name__)\nserver = app.server\n")],
                ("app:server", Wsgi, ""),
            ),
            (
                vec![("main.py", "api = FastAPI()\napp = socketio.ASGIApp(sio, api)\n")],
                ("main:app", Asgi, ""),
            ),
        ] {
            let (object, interface, base) = expected;
            let expected = Some((object.to_owned(), interface, base.to_owned()));
            assert_eq!(object_of(&sources), expected, "{sources:?}");
        }
        assert_eq!(
            object_of(&[
                ("tests/app.py", "app = Flask(1)\n"),
                ("x.py", "  app = Flask(1)\n")
            ]),
            None
        );
    }

    #[test]
    fn a_django_project_is_known_by_its_settings() {
        let manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings.local')\n";
        assert_eq!(
            served(
                &["django"],
                &[
                    ("site/manage.py", manage),
                    ("site/config/wsgi.py", ""),
                    ("site/a/asgi.py", "")
                ]
            ),
            Served::Django {
                manage: "site/manage.py".into(),
                folder: "site".into(),
                wsgi: Some("config.wsgi".into()),
                asgi: Some("a.asgi".into()),
            }
        );
        assert_eq!(
            settings_package("    \"DJANGO_SETTINGS_MODULE\", \"mysite.settings\")").as_deref(),
            Some("mysite")
        );
    }

    #[test]
    fn scripts_and_programs_come_last() {
        let script = |file: &str| Served::Script { file: file.into() };
        assert_eq!(served(&[], &[("bot.py", "print(1)")]), script("bot.py"));
        assert_eq!(served(&[], &[("tool.py", "")]), script("tool.py"));
        assert_eq!(served(&[], &[("a.py", ""), ("b.py", "")]), Served::Nothing);
        assert_eq!(
            served(&["streamlit"], &[("dash.py", "import streamlit as st\n")]),
            Served::Streamlit {
                file: "dash.py".into()
            }
        );
        assert_eq!(
            served(&["gradio"], &[("app.py", "import gradio as gr\n")]),
            Served::Gradio {
                file: "app.py".into()
            }
        );
        assert_eq!(
            served(
                &[],
                &[(
                    "pyproject.toml",
                    "[project]\nname='shop'\n[project.scripts]\nother='a:b'\nshop='a:c'\n"
                )]
            ),
            Served::Program { name: "shop".into() }
        );
    }
}

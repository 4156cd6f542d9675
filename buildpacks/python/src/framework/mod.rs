//! What there is to serve: Django's project, an application object (FastAPI, Flask and their kind), or a script.
//!
//! Sources are read, never run: an import may want a database. Only what stands at a line's beginning counts, as
//! `app = FastAPI(`.

mod django;
mod object;
mod sources;

use crate::{dependencies::Venv, django as project};
use buildpack_support::files;
use sources::{Source, sources};
use std::path::Path;
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

/// Looks for it.
pub(crate) fn find(app_dir: &Path, venv: &Venv) -> Served {
    if let Some(manage) = project::manage(app_dir).filter(|_| venv.has("django")) {
        return django::served(app_dir, manage);
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

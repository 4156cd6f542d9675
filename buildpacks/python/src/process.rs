//! The default web process, and the environment of all processes.
//!
//! A server that is made for production, if the app installs one; else what the framework has for development,
//! with a warning. `WEB_CONCURRENCY`, which gunicorn and uvicorn read themselves, follows memory and CPUs.

use crate::{
    PythonBuildpack,
    dependencies::Venv,
    framework::{Interface, Served},
};
use buildpack_support::{
    Result,
    layer::{self, Layer},
    output,
    process::{self, direct, plain_words, shell},
    procfile,
};
use libcnb::{
    build::BuildContext,
    data::{
        launch::{Launch, LaunchBuilder, Process},
        layer_name, process_type,
    },
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::path::Path;

/// As Heroku sizes it: a worker needs 256 MB, and two for each CPU and one more keep it busy.
const SIZING: &str = r#"
workers=$((memory_mb / 256))
most=$((cpus * 2 + 1))
if [ "$workers" -gt "$most" ]; then workers=$most; fi
if [ "$workers" -lt 1 ]; then workers=1; fi
set_default WEB_CONCURRENCY "$workers"
"#;

/// The layer that sets the environment.
pub(crate) fn settings(context: &BuildContext<PythonBuildpack>, served: &Served) -> Result<Layer> {
    let path: Vec<String> = served
        .path()
        .iter()
        .map(|folder| context.app_dir.join(folder))
        .map(|folder| folder.display().to_string().trim_end_matches('/').to_owned())
        .collect();
    let path = path.join(":");
    let spec = layer::Spec {
        name: layer_name!("settings"),
        title: "Settings",
        build: true,
        launch: true,
        key: (
            path.clone(),
            SIZING.to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        ),
    };
    layer::keyed(context, &spec, |folder| {
        process::install_exec_d(folder, "python", SIZING)?;
        let mut env = LayerEnv::new();
        let defaults = [
            (Scope::All, "PYTHONUNBUFFERED", "1"),
            (Scope::All, "PYTHONPATH", path.as_str()),
            (Scope::All, "LANG", "C.UTF-8"),
            // The router is the only one that can reach the app: what it says of the client is right.
            (Scope::Launch, "FORWARDED_ALLOW_IPS", "*"),
            (Scope::Launch, "GUNICORN_CMD_ARGS", "--access-logfile -"),
        ];
        for (scope, name, value) in defaults {
            env.insert(scope, ModificationBehavior::Default, name, value);
        }
        Ok(env)
    })
}

/// The process types; the Procfile's come later, from its own buildpack, and win.
pub(crate) fn launch(app_dir: &Path, venv: &Venv, served: &Served) -> Result<Launch> {
    let mut launch = LaunchBuilder::new();
    if procfile::has_web(app_dir)? {
        return Ok(launch.build());
    }
    output::step("Process types").quiet();
    let Some(web) = web(served, &|name| venv.has(name)) else {
        output::warning(
            "Nothing to serve was found: no web process.\n\
             Say how the app is started by a Procfile, such as `web: gunicorn app:app`.",
        );
        return Ok(launch.build());
    };
    output::detail(format!("web: {}", web.command));
    if let Some(warning) = &web.warning {
        output::warning(warning);
    }
    let process = match plain_words(&web.command) {
        Some(words) => direct(process_type!("web"), words),
        None => shell(process_type!("web"), &web.command),
    };
    launch.process(Process {
        default: true,
        ..process
    });
    Ok(launch.build())
}

struct Web {
    command: String,
    warning: Option<String>,
}

fn web(served: &Served, has: &dyn Fn(&str) -> bool) -> Option<Web> {
    let fine = |command: String| {
        Some(Web {
            command,
            warning: None,
        })
    };
    match served {
        Served::Django {
            manage,
            folder,
            wsgi,
            asgi,
        } => {
            let asgi = asgi.as_ref().map(|module| format!("{module}:application"));
            let is_async = has("channels") || has("daphne");
            let by_asgi = || {
                asgi.as_deref()
                    .and_then(|object| server(object, Interface::Asgi, has))
            };
            let by_wsgi = || {
                wsgi.as_deref()
                    .and_then(|module| wsgi_of_django(module, folder, has))
            };
            let command = if is_async {
                by_asgi().or_else(by_wsgi)
            } else {
                by_wsgi().or_else(by_asgi)
            };
            match command {
                Some(command) => fine(command),
                None => Some(Web {
                    command: format!("python {manage} runserver --noreload 0.0.0.0:$PORT"),
                    warning: Some(development("Django", "gunicorn")),
                }),
            }
        }
        Served::Object {
            object,
            interface,
            is_flask,
            ..
        } => match server(object, *interface, has) {
            Some(command) => fine(command),
            None if *is_flask => Some(Web {
                command: format!("flask --app {} run --host 0.0.0.0 --port $PORT", quoted(object)),
                warning: Some(development("Flask", "gunicorn")),
            }),
            None => {
                let file = object.split(':').next().unwrap_or(object).replace('.', "/");
                let server = if *interface == Interface::Asgi {
                    "uvicorn"
                } else {
                    "gunicorn"
                };
                Some(Web {
                    command: format!("python {file}.py"),
                    warning: Some(format!(
                        "The app installs no server for {object}: its file is run as a script.\n\
                         Add {server} to what it installs."
                    )),
                })
            }
        },
        Served::Streamlit { file } => fine(format!(
            "streamlit run {file} --server.port $PORT --server.address 0.0.0.0 --server.headless true"
        )),
        Served::Gradio { file } => fine(format!(
            "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=$PORT exec python {file}"
        )),
        Served::Script { file } => fine(format!("python {file}")),
        Served::Program { name } => fine(name.clone()),
        Served::Nothing => None,
    }
}

fn development(framework: &str, server: &str) -> String {
    format!(
        "The app installs no server for production: {framework}'s own one for development is used.\n\
         Add {server} to what it installs."
    )
}

// gunicorn is told the folder, so that relative paths of the app are what they are by manage.py.
fn wsgi_of_django(module: &str, folder: &str, has: &dyn Fn(&str) -> bool) -> Option<String> {
    if has("gunicorn") {
        let chdir = if folder.is_empty() {
            String::new()
        } else {
            format!("--chdir {folder} ")
        };
        return Some(format!("gunicorn {chdir}{module}"));
    }
    server(&format!("{module}:application"), Interface::Wsgi, has)
}

fn server(object: &str, interface: Interface, has: &dyn Fn(&str) -> bool) -> Option<String> {
    let is_factory = object.ends_with("()");
    let bare = object.trim_end_matches("()");
    let factory = if is_factory { " --factory" } else { "" };
    let candidates: Vec<(&str, String)> = match interface {
        Interface::Asgi => vec![
            (
                "uvicorn",
                format!("uvicorn {bare}{factory} --host 0.0.0.0 --port $PORT"),
            ),
            (
                "hypercorn",
                format!("hypercorn --bind 0.0.0.0:$PORT {}", quoted(object)),
            ),
            (
                "granian",
                format!("granian --interface asgi --host 0.0.0.0 --port $PORT {bare}{factory}"),
            ),
            ("daphne", format!("daphne -b 0.0.0.0 -p $PORT {bare}")),
        ],
        Interface::Wsgi => vec![
            ("gunicorn", format!("gunicorn {}", quoted(object))),
            (
                "waitress",
                format!(
                    "waitress-serve{} --listen=0.0.0.0:$PORT {bare}",
                    if is_factory { " --call" } else { "" }
                ),
            ),
            (
                "granian",
                format!("granian --interface wsgi --host 0.0.0.0 --port $PORT {bare}{factory}"),
            ),
            (
                "uwsgi",
                format!(
                    "uwsgi --http-socket :$PORT --master --die-on-term --need-app --module {}",
                    quoted(object)
                ),
            ),
        ],
    };
    candidates
        .into_iter()
        .find(|(name, _)| has(name))
        .map(|(_, command)| command)
}

fn quoted(object: &str) -> String {
    if object.ends_with("()") {
        format!("'{object}'")
    } else {
        object.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(served: &Served, packages: &[&str]) -> (String, bool) {
        let web = web(served, &|name| packages.contains(&name)).unwrap();
        (web.command, web.warning.is_some())
    }

    fn django(folder: &str) -> Served {
        Served::Django {
            manage: "manage.py".into(),
            folder: folder.into(),
            wsgi: Some("shop.wsgi".into()),
            asgi: Some("shop.asgi".into()),
        }
    }

    fn object(object: &str, interface: Interface, is_flask: bool) -> Served {
        Served::Object {
            object: object.into(),
            interface,
            is_flask,
            base: String::new(),
        }
    }

    #[test]
    fn django_is_served_by_what_is_installed() {
        for (folder, packages, expected) in [
            ("", vec!["gunicorn", "uvicorn"], "gunicorn shop.wsgi"),
            ("site", vec!["gunicorn"], "gunicorn --chdir site shop.wsgi"),
            (
                "",
                vec!["uvicorn"],
                "uvicorn shop.asgi:application --host 0.0.0.0 --port $PORT",
            ),
            (
                "",
                vec!["waitress"],
                "waitress-serve --listen=0.0.0.0:$PORT shop.wsgi:application",
            ),
            (
                "",
                vec!["daphne", "gunicorn"],
                "daphne -b 0.0.0.0 -p $PORT shop.asgi:application",
            ),
        ] {
            assert_eq!(command(&django(folder), &packages), (expected.to_owned(), false));
        }
        assert_eq!(
            command(&django(""), &[]),
            (
                "python manage.py runserver --noreload 0.0.0.0:$PORT".to_owned(),
                true
            )
        );
    }

    #[test]
    fn objects_are_served_by_what_is_installed() {
        use Interface::{Asgi, Wsgi};
        for (served, packages, expected, warned) in [
            (
                object("main:app", Asgi, false),
                vec!["uvicorn"],
                "uvicorn main:app --host 0.0.0.0 --port $PORT",
                false,
            ),
            (
                object("app:app", Wsgi, true),
                vec!["gunicorn"],
                "gunicorn app:app",
                false,
            ),
            (
                object("shop:create_app()", Wsgi, true),
                vec!["gunicorn"],
                "gunicorn 'shop:create_app()'",
                false,
            ),
            (
                object("shop:create_app()", Asgi, false),
                vec!["uvicorn"],
                "uvicorn shop:create_app --factory --host 0.0.0.0 --port $PORT",
                false,
            ),
            (
                object("app:app", Wsgi, true),
                vec![],
                "flask --app app:app run --host 0.0.0.0 --port $PORT",
                true,
            ),
            (
                object("app.main:app", Asgi, false),
                vec![],
                "python app/main.py",
                true,
            ),
        ] {
            assert_eq!(command(&served, &packages), (expected.to_owned(), warned));
        }
    }

    #[test]
    fn scripts_are_run() {
        assert_eq!(
            command(
                &Served::Script {
                    file: "bot.py".into()
                },
                &[]
            )
            .0,
            "python bot.py"
        );
        assert!(
            command(
                &Served::Gradio {
                    file: "app.py".into()
                },
                &[]
            )
            .0
            .ends_with("exec python app.py")
        );
        assert!(web(&Served::Nothing, &|_| true).is_none());
    }
}

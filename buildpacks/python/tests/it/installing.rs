//! What is installed, what is kept. The packages are the app's own folders: no index is asked but for uv.

use crate::app_with_uv as app;
use buildpack_support::testing::App;
use std::{fs, os::unix::fs::MetadataExt};

// A package that needs nothing to be built: a wheel made by hand would need hashes, a folder a build backend, so
// it is the one that uv brings itself.
fn package(app: App, folder: &str, name: &str) -> App {
    app.file(
        &format!("{folder}/pyproject.toml"),
        &format!(
            "[project]\nname = \"{name}\"\nversion = \"1.0\"\n[build-system]\nrequires = [\"uv_build>=0.8\"]\n\
             build-backend = \"uv_build\"\n"
        ),
    )
    .file(&format!("{folder}/src/{name}/__init__.py"), &format!("NAME = \"{name}\"\n"))
}

fn python(app: &App, code: &str) -> String {
    let output = std::process::Command::new("python")
        .args(["-c", code])
        .env_clear()
        .envs(&app.launch_env())
        .current_dir(app.dir())
        .output()
        .expect("python is on the PATH of the image");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn requirements_are_installed_once() {
    let app = package(
        app()
            .file("requirements.txt", "./lib\n")
            .file("main.py", "print('served')\n"),
        "lib",
        "lib",
    );
    let first = app.build().passed();
    assert!(
        first.stdout.contains("$ uv pip install -r requirements.txt\n"),
        "{}",
        first.stdout
    );
    assert!(
        first.stdout.contains("       web: python main.py\n"),
        "{}",
        first.stdout
    );
    assert_eq!(
        python(&app, "import lib, sys; print(lib.NAME, sys.prefix)"),
        format!("lib {}\n", app.layer("venv").display())
    );
    assert_eq!(app.start("web").output().unwrap().stdout, b"served\n");
    assert_eq!(app.layer_types("venv"), [true, true, true]);
    assert_eq!(app.layer_types("uv-cache"), [false, true, false]);

    let stamp = || {
        ["python", "venv", "settings"].map(|name| {
            let metadata = fs::symlink_metadata(app.layer(name)).unwrap();
            (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
        })
    };
    let before = stamp();
    app.write("main.py", "print('served anew')\n");
    let second = app.build().passed();
    for title in ["Packages: unchanged, kept", "Settings: unchanged, kept"] {
        assert!(second.stdout.contains(title), "{}", second.stdout);
    }
    assert_eq!(stamp(), before);
    app.write("lib/src/lib/__init__.py", "NAME = \"changed\"\n");
    assert!(app.build().passed().stdout.contains("Packages: ready"));
    assert_eq!(python(&app, "import lib; print(lib.NAME)"), "changed\n");
}

#[test]
fn bytecode_is_valid_whatever_the_times_are() {
    let app = package(app().file("requirements.txt", "./lib\n"), "lib", "lib");
    assert_eq!(app.build().passed().code, 0);
    let flags = "import importlib.util, json, lib\n\
                 for module in (json, lib):\n\
                 \x20   print(int.from_bytes(open(module.__cached__, 'rb').read()[4:8], 'little'))\n";
    assert_eq!(python(&app, flags), "1\n1\n");
}

#[test]
fn the_environment_is_productions() {
    let app = app().file(
        "main.py",
        "import os\nfor name in sorted(os.environ): print(name, os.environ[name])\n",
    );
    assert_eq!(app.build().passed().code, 0);
    let text = String::from_utf8(app.start("web").output().unwrap().stdout).unwrap();
    for line in [
        "FORWARDED_ALLOW_IPS *\n",
        "GUNICORN_CMD_ARGS --access-logfile -\n",
        "LANG C.UTF-8\n",
        "PYTHONUNBUFFERED 1\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(
        text.contains(&format!("PYTHONPATH {}\n", app.dir().display())),
        "{text}"
    );
    let workers = text
        .split_once("WEB_CONCURRENCY ")
        .unwrap()
        .1
        .lines()
        .next()
        .unwrap();
    assert!(workers.parse::<u32>().unwrap() >= 1);
}

#[test]
fn a_project_is_installed_in_place() {
    let app = package(app(), ".", "shop").file("src/shop/__main__.py", "print('shop')\n");
    let built = app.build().passed();
    assert!(
        built.stdout.contains("$ uv pip install -e .\n"),
        "{}",
        built.stdout
    );
    app.write("src/shop/__init__.py", "NAME = \"changed\"\n");
    assert!(app.build().passed().stdout.contains("Packages: unchanged, kept"));
    assert_eq!(python(&app, "import shop; print(shop.NAME)"), "changed\n");
}

#[test]
fn a_lock_of_uv_is_followed() {
    let app = package(app(), "lib", "lib")
        .file(
            "pyproject.toml",
            "[project]\nname = \"shop\"\nversion = \"1.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"lib\"]\n\
             [tool.uv.sources]\nlib = { path = \"lib\" }\n",
        )
        .file(
            "uv.lock",
            "version = 1\nrevision = 3\nrequires-python = \">=3.9\"\n\n[[package]]\nname = \"lib\"\nversion = \"1.0\"\n\
             source = { directory = \"lib\" }\n\n[[package]]\nname = \"shop\"\nversion = \"1.0\"\nsource = { virtual = \".\" }\n\
             dependencies = [\n    { name = \"lib\" },\n]\n\n[package.metadata]\nrequires-dist = [{ name = \"lib\", directory = \"lib\" }]\n",
        );
    let built = app.build().passed();
    assert!(
        built.stdout.contains("$ uv sync --locked --no-default-groups\n"),
        "{}",
        built.stdout
    );
    assert_eq!(python(&app, "import lib; print(lib.NAME)"), "lib\n");

    app.write(
        "pyproject.toml",
        "[project]\nname = \"shop\"\nversion = \"1.0\"\nrequires-python = \">=3.9\"\ndependencies = []\n",
    );
    let built = app.build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains("uv.lock does not fit pyproject.toml."),
        "{}",
        built.stderr
    );
}

#[test]
fn a_lock_of_pipenv_is_followed() {
    let app = package(app(), "lib", "lib")
        .file("Pipfile", "[packages]\nlib = {path = \"./lib\"}\n")
        .file("Pipfile.lock", r#"{"_meta": {}, "default": {"lib": {"path": "./lib"}}, "develop": {"missing": {"version": "==0"}}}"#);
    assert!(
        app.build()
            .passed()
            .stdout
            .contains("Installing packages with Pipenv (Pipfile.lock)")
    );
    assert_eq!(python(&app, "import lib; print(lib.NAME)"), "lib\n");
}

#[test]
fn several_lists_are_warned_of() {
    let app = app()
        .file("requirements.txt", "")
        .file("Pipfile.lock", r#"{"default": {}}"#);
    let built = app.build().passed();
    assert!(built.stdout.contains(
        " !     Several files name the app's packages: Pipfile.lock is used, requirements.txt is not.\n"
    ));
}

#[test]
fn an_image_without_uv_gets_it_from_the_index() {
    let app = crate::app().file("bot.py", "import ssl, sqlite3\nprint('hello')\n");
    let built = app.build().passed();
    assert!(
        built.stdout.contains("No file names packages to install"),
        "{}",
        built.stdout
    );
    assert_eq!(app.start("web").output().unwrap().stdout, b"hello\n");
    assert_eq!(app.layer_types("uv"), [true, true, false]);
}

//! What is installed besides, because packages of the index do not say that they need it. These tests ask the index.

use crate::app_with_uv as app;

#[test]
fn an_asgi_app_without_a_server_gets_one() {
    let app = app().file("requirements.txt", "starlette\n").file(
        "main.py",
        "from starlette.applications import Starlette\napp = Starlette()\n",
    );
    let built = app.build().passed();
    assert!(
        built.stdout.contains(
            " !     starlette is called by a server, and the app installs none: uvicorn is installed besides."
        ),
        "{}",
        built.stdout
    );
    assert!(app.layer("venv").join("bin/uvicorn").is_file());
    assert!(app.process("web").unwrap()[2].starts_with("uvicorn main:app --host 0.0.0.0 "));
}

#[test]
fn a_server_of_former_times_starts() {
    let app = app()
        .file("requirements.txt", "gunicorn==20.1.0\n")
        .file("app.py", "");
    let built = app.build().passed();
    assert!(
        built.stdout.contains("gunicorn/util.py imports pkg_resources"),
        "{}",
        built.stdout
    );
    let version = std::process::Command::new(app.layer("venv").join("bin/gunicorn"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(
        version.status.success(),
        "{}",
        String::from_utf8_lossy(&version.stderr)
    );
}

#[test]
fn a_package_whose_own_build_is_of_former_times_is_built() {
    let app = app()
        .file("main.py", "")
        .file("requirements.txt", "./old\n")
        .file(
            "old/setup.py",
            "import pkg_resources\nfrom setuptools import setup\nsetup(name='old', version='1.0', py_modules=['old'])\n",
        )
        .file("old/old.py", "");
    let built = app.build().passed();
    assert!(
        built
            .stdout
            .contains("A package's own build imports pkg_resources: once more with setuptools<81"),
        "{}",
        built.stdout
    );
}

//! Which apps are Python's.

use crate::app;

#[test]
fn a_package_managers_file_is_enough() {
    for name in [
        "requirements.txt",
        "uv.lock",
        "poetry.lock",
        "Pipfile",
        "pyproject.toml",
        "setup.py",
        "manage.py",
    ] {
        let detected = app().file(name, "").file("package.json", "{}").detect().passed();
        assert_eq!(detected.stdout, format!("the app has a {name}\n"));
    }
    assert_eq!(app().file("README.md", "").detect().code, 100);
}

#[test]
fn a_script_is_only_where_nothing_else_is_an_app() {
    assert_eq!(
        app().file("main.py", "").detect().passed().stdout,
        "the app has a main.py\n"
    );
    assert_eq!(
        app().file("main.py", "").file("package.json", "{}").detect().code,
        100
    );
}

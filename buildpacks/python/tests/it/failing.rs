//! Builds that end, and what is said.

use crate::app_with_uv as app;
use std::fs;

#[test]
fn a_python_that_is_not_there_is_told_with_the_nearest() {
    let built = app()
        .file("main.py", "")
        .file(".python-version", "2.7.18\n")
        .build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains(" !     Python 2.7.18 is not available\n"),
        "{}",
        built.stderr
    );
    assert!(
        built.stderr.contains("It is asked for by .python-version."),
        "{}",
        built.stderr
    );
}

#[test]
fn another_python_of_the_same_series_is_taken_unless_the_setting_forbids_it() {
    let app = app()
        .file("main.py", "print('hello')\n")
        .file("requirements.txt", "")
        .file("runtime.txt", "python-3.0.99\n")
        // No download of another version.
        .env("UV_PYTHON_INSTALL_MIRROR", "file:///nowhere");
    let built = app.build();
    assert!(
        built
            .stdout
            .contains(" !     Python 3.0.99 (runtime.txt) is not available here"),
        "{}{}",
        built.stdout,
        built.stderr
    );
    let built = app.env("PVDIFY_RUNTIME_FALLBACK", "off").build();
    assert_eq!(built.code, 1);
}

#[test]
fn a_requirement_that_can_not_be_read_is_told() {
    let built = app().file("requirements.txt", "flask==\n").build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains("A line of the app's file can't be read."),
        "{}",
        built.stderr
    );
    assert!(built.stderr.contains("requirements.txt"), "{}", built.stderr);
}

#[test]
fn a_hook_that_fails_ends_the_build() {
    let app = app()
        .file("main.py", "")
        .file("bin/post_compile", "#!/bin/sh\npython --version\nexit 3\n");
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(app.dir().join("bin/post_compile"), mode).unwrap();
    let built = app.build();
    assert_eq!(built.code, 1);
    assert!(
        built
            .stdout
            .contains("-----> Running bin/post_compile\n       Python 3."),
        "{}",
        built.stdout
    );
    insta::assert_snapshot!(built.stderr.trim(), @r"
    !     bin/post_compile failed
     !
     !     `post_compile` ended with status 3.
     !
     !     Its output is above. Correct it, commit and push again.
    ");
}

#[test]
fn a_pyproject_that_is_no_toml_ends_the_build() {
    let built = app().file("pyproject.toml", "[project\n").build();
    assert!(
        built.stderr.contains(" !     pyproject.toml can't be read\n"),
        "{}",
        built.stderr
    );
}

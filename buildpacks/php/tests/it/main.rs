//! The PHP buildpack through `bin/detect` and `bin/build`, with the packages of the machine's Debian. Downloads are
//! shared by all tests and kept with the build's other files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's helper fails the test")]

use buildpack_php::{DESCRIPTOR, PhpBuildpack};
use buildpack_support::testing::{App, entry};
use std::process::Command;

entry!(PhpBuildpack, DESCRIPTOR);

fn with_downloads(app: App) -> App {
    app.env(
        "PVDIFY_DOWNLOADS",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/downloads"),
    )
    // Tests may run as root, builds never do.
    .env("COMPOSER_ALLOW_SUPERUSER", "1")
}

// What a program says in the image.
fn said(app: &App, program: &str, arguments: &[&str]) -> String {
    let output = Command::new("env")
        .arg(program)
        .args(arguments)
        .env_clear()
        .envs(&app.launch_env())
        .current_dir(app.dir())
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn it_is_known_by_composer_json_or_an_index() {
    assert_eq!(app().file("index.php", "").detect().passed().code, 0);
    assert_eq!(app().file("htdocs/index.php", "").detect().passed().code, 0);
    assert_eq!(app().file("composer.json", "{}").detect().passed().code, 0);
    assert_eq!(app().file("lib.php", "").detect().code, 100);
}

#[test]
fn plain_scripts_are_served_and_what_is_unchanged_is_kept() {
    let app = with_downloads(app())
        .file("public/index.php", "<?php echo 1;")
        .file("composer.json", r#"{"require":{"ext-intl":"*"}}"#)
        .file("Procfile", "nginx: vendor/bin/heroku-php-nginx public/\n");
    let built = app.build().passed();
    assert_eq!(
        app.process("web").unwrap(),
        ["heroku-php-apache2", "public/"],
        "{}",
        built.stdout
    );
    assert_eq!(app.layer_types("php"), [true, true, true]);

    let modules = said(&app, "php", &["-m"]);
    for extension in ["intl", "mbstring", "pdo_mysql", "Zend OPcache"] {
        assert!(
            modules.lines().any(|line| line == extension),
            "{extension}: {modules}"
        );
    }
    assert!(said(&app, "heroku-php-apache2", &["-t", "public/"]).contains("Syntax OK"));
    assert!(said(&app, "vendor/bin/heroku-php-nginx", &["-t", "public/"]).contains("test is successful"));
    assert!(
        app.launch_env()
            .get_string_lossy("WEB_CONCURRENCY")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            >= 1
    );

    let rebuilt = app.build().passed();
    assert!(
        rebuilt.stdout.contains("extensions: unchanged, kept"),
        "{}",
        rebuilt.stdout
    );

    // The loader, by Composer; nothing is to be fetched.
    app.write("composer.json", r#"{"require":{"ext-intl":"*"},"autoload":{"psr-4":{"App\\":"src/"}},"scripts":{"compile":"@php -r \"echo 'compiled';\""}}"#);
    let built = app.build().passed();
    assert!(
        built.stdout.contains("$ composer install --no-dev") && built.stdout.contains("compiled"),
        "{}",
        built.stdout
    );
    assert!(app.dir().join("vendor/autoload.php").is_file());
}

#[test]
fn an_extension_that_is_not_there_ends_the_build() {
    let app = with_downloads(app()).file("composer.json", r#"{"require":{"ext-oci8":"*"}}"#);
    let failed = app.build();
    assert!(
        failed.stderr.contains("has no extension ext-oci8 here"),
        "{}",
        failed.stderr
    );
}

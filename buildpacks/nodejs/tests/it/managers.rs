//! Each package manager: install from its lockfile, build with dev dependencies, prune, run.

use crate::{BUILD_AND_START, running::Running, sample, with_downloads};
use std::fs;

// What holds for all of them.
fn builds_and_runs(fixture: &str, env: &[(&str, &str)]) -> String {
    let app = env
        .iter()
        .fold(sample(fixture, BUILD_AND_START), |app, (name, value)| {
            app.env(name, value)
        });
    let built = app.build().passed();
    let modules = app.dir().join("node_modules");
    assert!(modules.is_symlink() && modules.join("ms").is_dir());
    assert!(!modules.join("semver").exists(), "{}", built.stdout);
    assert_eq!(app.process("web").unwrap(), ["node", "server.js"]);
    let web = Running::web(&app);
    assert_eq!(web.get(), "1m, 1.2.3, production");
    assert_eq!(web.terminate(), "bye\n");

    // The next push, with the same files: nothing is installed, and all runs the same.
    let again = sample(fixture, BUILD_AND_START);
    app.next_push();
    let app = app.fixture(&again.dir());
    let rebuilt = app.build().passed();
    assert!(
        rebuilt.stdout.contains("All dependencies: unchanged, kept"),
        "{}",
        rebuilt.stdout
    );
    assert_eq!(Running::web(&app).get(), "1m, 1.2.3, production");
    built.log()
}

#[test]
fn npm() {
    let log = builds_and_runs("npm", &[]);
    assert!(
        log.contains("$ npm ci --include=dev") && log.contains("$ npm prune --omit=dev"),
        "{log}"
    );
}

#[test]
fn pnpm() {
    let log = builds_and_runs("pnpm", &[]);
    assert!(
        log.contains("$ pnpm install --frozen-lockfile --prod=false"),
        "{log}"
    );
}

#[test]
fn yarn_1() {
    let log = builds_and_runs("yarn1", &[]);
    assert!(
        log.contains("$ yarn install --frozen-lockfile --production=false"),
        "{log}"
    );
}

#[test]
fn yarn_4_with_node_modules() {
    let log = builds_and_runs("berry", &[("YARN_NODE_LINKER", "node-modules")]);
    assert!(log.contains("$ yarn install --immutable"), "{log}");
}

#[test]
fn yarn_4_with_plug_and_play() {
    let app = sample("berry", BUILD_AND_START);
    app.build().passed();
    assert_eq!(
        app.process("web").unwrap(),
        ["node", "--require", "./.pnp.cjs", "server.js"]
    );
    assert!(!app.dir().join("node_modules").exists());
    assert_eq!(Running::web(&app).get(), "1m, 1.2.3, production");
    app.next_push();
    let app = app.fixture(&sample("berry", BUILD_AND_START).dir());
    app.build().passed();
    assert_eq!(Running::web(&app).get(), "1m, 1.2.3, production");
}

#[test]
fn bun() {
    let log = builds_and_runs("bun", &[]);
    assert!(log.contains("$ bun install --frozen-lockfile"), "{log}");
}

#[test]
fn pruning_leaves_the_versions_that_the_lockfile_has() {
    let package_json = r#"{"name":"x","version":"1.0.0","engines":{"node":"24.x"},"scripts":{"build":"true"},
        "dependencies":{"ms":"^2.0.0"},"devDependencies":{"semver":"7.6.3"}}"#;
    let lockfile = r#"{"name":"x","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{
        "":{"name":"x","version":"1.0.0","dependencies":{"ms":"^2.0.0"},"devDependencies":{"semver":"7.6.3"}},
        "node_modules/ms":{"version":"2.1.1"},
        "node_modules/semver":{"version":"7.6.3","dev":true,"bin":{"semver":"bin/semver.js"}}}}"#;
    let app = with_downloads(crate::app())
        .file("package.json", package_json)
        .file("package-lock.json", lockfile)
        .file("server.js", "");
    let log = app.build().passed().log();
    let modules = app.dir().join("node_modules");
    let ms = fs::read_to_string(modules.join("ms/package.json")).unwrap();
    assert!(ms.contains(r#""version": "2.1.1""#), "{log}\n{ms}");
    assert!(!modules.join("semver").exists(), "{log}");
    assert_eq!(
        fs::read_to_string(app.dir().join("package-lock.json")).unwrap(),
        lockfile
    );
}

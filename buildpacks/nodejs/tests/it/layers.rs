//! What is kept between builds, and what the image has.

use crate::{BUILD_AND_START, running::Running, sample, with_downloads};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

// What the platform looks at to know a layer again.
fn stamps(folder: &Path) -> Vec<(String, u64, i64, i64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = fs::symlink_metadata(entry.path()).unwrap();
        let path = entry.path().display().to_string();
        found.push((path, metadata.ino(), metadata.ctime(), metadata.ctime_nsec()));
        if metadata.is_dir() {
            found.extend(stamps(&entry.path()));
        }
    }
    found.sort();
    found
}

#[test]
fn without_scripts_only_production_dependencies_are_installed_and_a_rebuild_touches_nothing() {
    let app = sample("npm", r#""start":"node server.js""#);
    let first = app.build().passed();
    assert!(first.stdout.contains("$ npm ci --omit=dev"), "{}", first.stdout);
    assert!(!app.layer("modules-all").exists());
    assert_eq!(app.layer_types("modules"), [true, true, true]);
    let before = ["node", "modules"].map(|name| stamps(&app.layer(name)));

    app.next_push();
    let app = app.fixture(&sample("npm", r#""start":"node server.js""#).dir());
    let second = app.build().passed();
    assert!(second.stdout.contains("Production dependencies: unchanged, kept"));
    assert!(before == ["node", "modules"].map(|name| stamps(&app.layer(name))));
    assert_eq!(Running::web(&app).get(), "1m, not built, production");
}

#[test]
fn a_server_without_a_package_json_is_started_and_nothing_is_installed() {
    let server = "require('http').createServer((_, answer) => answer.end('alone')).listen(process.env.PORT, \
                  function () { console.log(`port ${this.address().port}`); });";
    let app = with_downloads(crate::app()).file("server.js", server);
    let built = app.build().passed();
    assert!(
        built.stdout.contains("No package.json: nothing to install"),
        "{}",
        built.stdout
    );
    assert!(!app.layer("modules").exists());
    assert_eq!(Running::web(&app).get(), "alone");
}

#[test]
fn with_scripts_a_rebuild_leaves_the_images_layers_and_brings_what_the_build_makes() {
    let scripts = r#""build":"mkdir -p node_modules/.client && cp schema node_modules/.client/index.js","start":"node server.js""#;
    let app = sample("npm", scripts).file("schema", "one");
    app.build().passed();
    let client = app.layer("modules").join("tree/node_modules/.client/index.js");
    assert_eq!(fs::read_to_string(&client).unwrap(), "one");
    let before = stamps(&app.layer("modules"));

    let push = |schema: &str| {
        app.next_push();
        let next = sample("npm", scripts).file("schema", schema);
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(next.dir().join("."))
            .arg(app.dir())
            .status();
        assert!(status.unwrap().success());
        app.build().passed();
    };
    push("one");
    assert!(before == stamps(&app.layer("modules")));
    push("two");
    assert_eq!(fs::read_to_string(&client).unwrap(), "two");
}

#[test]
fn a_workspaces_packages_are_found_at_run_time() {
    let app = with_downloads(crate::app())
        .file(
            "package.json",
            r#"{"name":"root","private":true,"workspaces":["packages/*"],"engines":{"node":"24.x"},
                "scripts":{"build":"npm run build --workspaces --if-present","start":"node packages/web/server.js"}}"#,
        )
        .file("packages/web/package.json", r#"{"name":"web","version":"1.0.0","dependencies":{"lib":"*"}}"#)
        .file(
            "packages/web/server.js",
            "require('http').createServer((_, r) => r.end(require('lib'))).listen(process.env.PORT, function () { console.log('port ' + this.address().port) })",
        )
        .file(
            "packages/lib/package.json",
            r#"{"name":"lib","version":"1.0.0","main":"out.js","scripts":{"build":"echo module.exports=\\'built\\' > out.js"}}"#,
        );
    let built = app.build().passed();
    assert!(
        built.stdout.contains("The app has no lockfile"),
        "{}",
        built.stdout
    );
    assert_eq!(Running::web(&app).get(), "built");
    let link = fs::read_link(app.layer("modules").join("tree/node_modules/lib")).unwrap();
    assert_eq!(link, app.dir().join("packages/lib"));
}

#[test]
fn a_workspace_whose_root_starts_nothing_is_started_by_its_one_server() {
    let app = with_downloads(crate::app())
        .file(
            "package.json",
            r#"{"name":"root","private":true,"workspaces":["apps/*","packages/*"],"engines":{"node":"24.x"}}"#,
        )
        .file(
            "apps/site/package.json",
            r#"{"name":"site","version":"1.0.0","dependencies":{"lib":"*"},
                "scripts":{"build":"echo built > built.txt","start":"MODE=real node server.js"}}"#,
        )
        .file(
            "apps/site/server.js",
            "const { MODE } = process.env, text = require('fs').readFileSync('built.txt', 'utf8').trim()
             const server = require('http').createServer((_, r) => r.end(text + ' ' + require('lib') + ' ' + MODE))
             server.listen(process.env.PORT, () => console.log('port ' + server.address().port))
             process.on('SIGTERM', () => { console.log('bye'); process.exit(0) })",
        )
        .file("packages/lib/package.json", r#"{"name":"lib","version":"1.0.0","main":"index.js"}"#)
        .file("packages/lib/index.js", "module.exports = 'lib'");
    let log = app.build().passed().stdout;
    assert!(log.contains("(the script `start`, in apps/site)"), "{log}");
    let running = Running::web(&app);
    assert_eq!(running.get(), "built lib real");
    // The signal reached the app, not a shell before it.
    assert_eq!(running.terminate(), "bye\n");
}

#[test]
fn a_dev_dependency_that_starts_the_app_stays() {
    let app = sample("npm", r#""build":"true","start":"semver 1.0.0""#);
    let built = app.build().passed();
    assert!(
        built
            .stdout
            .contains("`semver`, which the app is started with, is a dev dependency"),
        "{}",
        built.stdout
    );
    let output = app.start("web").output().unwrap();
    assert_eq!(output.stdout, b"1.0.0\n");
}

#[test]
fn the_whole_log_of_a_first_build() {
    let app = sample("npm", BUILD_AND_START);
    let log = app.build().passed().log();
    // Versions of the lines change; npm's own words too.
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.starts_with("----->") || line.contains(": ready") || line.contains("Done"))
        .map(|line| line.split(" 24.").next().unwrap())
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    -----> Choosing versions
    -----> Installing tools
           Node.js
           Done ([time])
    -----> Installing dependencies with npm
           All dependencies: ready ([time])
           Done ([time])
    -----> Running the script `build`
           Done ([time])
    -----> Preparing the image's dependencies
           Dependencies: ready ([time])
           Done ([time])
    -----> Web process: node server.js (the script `start`)
    ");
}

#[test]
fn the_image_has_no_headers_and_sizes_itself() {
    let app = sample("npm", r#""start":"node server.js""#);
    app.build().passed();
    assert!(!app.layer("node").join("include").exists());
    assert!(app.layer("node").join("bin/npm").exists());
    let env = app.launch_env();
    assert!(
        env.get_string_lossy("WEB_CONCURRENCY")
            .unwrap()
            .parse::<u32>()
            .unwrap()
            >= 1
    );
    assert_eq!(env.get_string_lossy("NODE_ENV").unwrap(), "production");
}

#[test]
fn of_a_front_end_that_another_serves_nothing_is_in_the_image() {
    let app =
        sample("npm", r#""build":"semver 1.2.3 > built.txt","start":"vite""#).required("pvdify/front-end");
    assert_eq!(app.detect().passed().stdout, "package.json is there\n");
    insta::assert_snapshot!(app.plan(), @r#"
    [[or]]

    [[provides]]
    name = "pvdify/front-end"
    "#);
    app.build().passed();
    assert_eq!(app.layer_types("node"), [true, true, false]);
    assert!(!app.layer("modules").exists() && !app.dir().join("node_modules").exists());
    assert!(app.dir().join("built.txt").exists());
    assert_eq!(app.process("web"), None);
}

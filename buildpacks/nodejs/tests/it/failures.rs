//! What a person reads when a build can't be done.

use crate::sample;
use buildpack_support::testing::App;

fn failed(app: &App) -> String {
    let built = app.build();
    assert_eq!(built.code, 1, "{}", built.stdout);
    // Without the marks of the log, which a snapshot would not show well.
    let lines = built
        .stderr
        .lines()
        .map(|line| line.trim_start_matches(" !").trim_start_matches("     "));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[test]
fn a_lockfile_that_does_not_agree() {
    let app = sample("npm", "").file(
        "package.json",
        r#"{"engines":{"node":"24.x"},"dependencies":{"ms":"2.0.0"}}"#,
    );
    insta::assert_snapshot!(failed(&app), @r#"
    package-lock.json does not agree with package.json

    A dependency was changed in one of them and not in the other.

    Run `npm install` on your machine, commit package-lock.json and push again.
    "#);
}

#[test]
fn a_package_that_is_not_in_the_registry() {
    let name = "\"pvdify-has-no-such-package-here\":\"1.0.0\"";
    let app = sample("npm", "").file(
        "package.json",
        &format!(r#"{{"engines":{{"node":"24.x"}},"dependencies":{{{name}}}}}"#),
    );
    std::fs::remove_file(app.dir().join("package-lock.json")).unwrap();
    insta::assert_snapshot!(failed(&app), @r#"
    A package or version is not in the registry

    It was removed, its name is misspelt, or it is in a private registry; the output above names it.

    Correct package.json, run `npm install`, commit and push again.
    "#);
}

#[test]
fn a_build_that_fails() {
    let app = sample(
        "npm",
        r#""build":"node -e \"process.exit(3)\"","start":"node server.js""#,
    );
    insta::assert_snapshot!(failed(&app), @r#"
    The script `build` failed

    `node -e "process.exit(3)"`: `npm run build` ended with status 3.

    The reason is above. `NODE_ENV=production npm run build` should show the same on your machine.
    "#);
}

#[test]
fn a_start_whose_file_nothing_makes() {
    let app = sample("npm", r#""start":"node dist/server.js""#);
    insta::assert_snapshot!(failed(&app), @r#"
    dist/server.js, which starts the app, is not there

    `start` in package.json is `node dist/server.js`.
    It is not in the source, and package.json has no script `build` that would make it.

    Add a `build` script (as in "build": "tsc") if the file is compiled, or commit the file, and push again.
    "#);
}

#[test]
fn a_start_whose_file_the_build_does_not_make() {
    let app = sample("npm", r#""build":"true","start":"node dist/server.js""#);
    insta::assert_snapshot!(failed(&app), @r#"
    dist/server.js, which starts the app, is not there

    `start` in package.json is `node dist/server.js`.
    The scripts that ran did not make it.

    Does `build` write to another folder, or to a path that .gitignore or tsconfig.json (outDir) decides? Make
    `build` and `start` agree, commit and push again.
    "#);
}

#[test]
fn a_version_that_is_not_there() {
    let app = sample("npm", "").file("package.json", r#"{"engines":{"node":"99.x"}}"#);
    let text = failed(&app);
    assert!(text.contains("Node.js 99.x is not available\n"), "{text}");
    assert!(
        text.contains("The nearest that are: ") && text.contains("PVDIFY_RUNTIME_FALLBACK=nearest"),
        "{text}"
    );
}

#[test]
fn a_broken_package_json() {
    let app = sample("npm", "").file("package.json", "{ broken");
    assert_eq!(app.detect().code, 0);
    assert!(failed(&app).contains("package.json can't be read"));
}

//! Builds with the Go that the machine has, or the newest of the Python index.

use buildpack_support::testing::App;
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const MAIN: &str = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello from\", name) }\n";

// The standard library is compiled once for all tests.
fn app() -> App {
    crate::app().env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache"))
}

fn program(app: App, folder: &str, name: &str) -> App {
    app.file(&format!("{folder}main.go"), MAIN).file(
        &format!("{folder}name.go"),
        &format!("package main\n\nconst name = \"{name}\"\n"),
    )
}

fn output(app: &App, process: &str) -> String {
    let output = app.start(process).output().expect("the program can be started");
    String::from_utf8(output.stdout).expect("it writes text")
}

#[test]
fn one_program_is_web_and_an_unchanged_one_is_kept() {
    let app = program(
        app().file("go.mod", "module example.com/shop\n\ngo 1.21\n"),
        "",
        "shop",
    );
    let first = app.build().passed();
    assert!(first.stdout.contains("       web: shop\n"), "{}", first.stdout);
    assert_eq!(output(&app, "web"), "hello from shop\n");
    assert_eq!(app.process("shop"), app.process("web"));
    assert_eq!(app.layer_types("bin"), [false, true, true]);
    assert_eq!(app.layer_types("compiled"), [false, true, false]);
    assert_eq!(
        fs::read_link(app.dir().join("bin/shop")).unwrap(),
        app.layer("bin").join("bin/shop")
    );

    let stamp = || {
        let metadata = fs::symlink_metadata(app.layer("bin").join("bin/shop")).unwrap();
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    let before = stamp();
    app.next_push();
    app.write("go.mod", "module example.com/shop\n\ngo 1.21\n");
    app.write("main.go", MAIN);
    app.write("name.go", "package main\n\nconst name = \"shop\"\n");
    assert!(app.build().passed().stdout.contains("Programs: unchanged, kept"));
    assert_eq!(stamp(), before);

    app.write("name.go", "package main\n\nconst name = \"a new shop\"\n");
    assert!(app.build().passed().stdout.contains("Programs: ready"));
    assert_eq!(output(&app, "web"), "hello from a new shop\n");
}

#[test]
fn several_programs_are_processes_and_the_procfile_says_which_is_web() {
    let app = app().file("go.mod", "module example.com/shop\n\ngo 1.21\n");
    let app = program(app, "cmd/api/", "api");
    let app = program(app, "cmd/worker/", "worker");
    let app = program(app, "examples/demo/", "demo");
    let built = app.build().passed();
    assert!(
        built
            .stdout
            .contains("$ go build -tags=heroku example.com/shop/cmd/api example.com/shop/cmd/worker\n")
    );
    assert_eq!(output(&app, "web"), "hello from api\n");
    assert_eq!(output(&app, "worker"), "hello from worker\n");
    assert_eq!(app.process("demo"), None);

    app.write("Procfile", "web: bin/worker -p $PORT\nextra: ./worker\n");
    let built = app.build().passed();
    assert!(!built.stdout.contains("web:"), "{}", built.stdout);
    assert_eq!(app.process("web"), None);
    assert!(app.dir().join("worker").exists() && app.dir().join("bin/worker").exists());
}

#[test]
fn packages_named_in_go_mod_are_all_that_is_built() {
    let app = app().file(
        "go.mod",
        "module example.com/shop\n\n// +heroku install ./cmd/b\ngo 1.21\n",
    );
    let app = program(app, "cmd/a/", "a");
    let app = program(app, "cmd/b/", "b");
    assert_eq!(app.build().passed().code, 0);
    assert_eq!(
        (app.process("a"), output(&app, "web").as_str()),
        (None, "hello from b\n")
    );
    let app = app.env("GO_INSTALL_PACKAGE_SPEC", "./cmd/a");
    assert_eq!(app.build().passed().code, 0);
    assert_eq!(output(&app, "web"), "hello from a\n");
    assert!(!app.layer("compiled").join("b").exists());
}

#[test]
fn a_workspace_has_the_programs_of_all_its_modules() {
    let app = app()
        .file("go.work", "go 1.21\n\nuse (\n\t./one\n\t./two\n)\n")
        .file("one/go.mod", "module example.com/one\n\ngo 1.21\n")
        .file("two/go.mod", "module example.com/two\n\ngo 1.21\n");
    let app = program(app, "one/cmd/web/", "one");
    let app = program(app, "two/", "two");
    assert_eq!(app.build().passed().code, 0);
    assert_eq!(output(&app, "web"), "hello from one\n");
    assert_eq!(output(&app, "two"), "hello from two\n");
}

#[test]
fn a_vendored_module_needs_no_network() {
    let app = program(
        app()
            .file(
                "go.mod",
                "module example.com/shop\n\ngo 1.21\n\nrequire example.com/lib v1.0.0\n",
            )
            .file(
                "vendor/modules.txt",
                "# example.com/lib v1.0.0\n## explicit\nexample.com/lib\n",
            )
            .file(
                "vendor/example.com/lib/lib.go",
                "package lib\n\nconst Name = \"vendored\"\n",
            ),
        "",
        "",
    )
    .file(
        "name.go",
        "package main\n\nimport \"example.com/lib\"\n\nconst name = lib.Name\n",
    )
    .env("GOPROXY", "off");
    assert_eq!(app.build().passed().code, 0);
    assert_eq!(output(&app, "web"), "hello from vendored\n");
}

#[test]
fn an_app_without_go_mod_gets_one_for_the_build() {
    let app = program(app(), "", "bare");
    let built = app.build().passed();
    assert!(
        built
            .stdout
            .contains(" !     There is no go.mod: one is made for this build.")
    );
    assert_eq!(output(&app, "web"), "hello from bare\n");
}

#[test]
fn hooks_run_before_and_after() {
    let app = program(app().file("go.mod", "module x\n\ngo 1.21\n"), "", "x")
        .file(
            "bin/go-pre-compile",
            "#!/bin/sh\necho 'package main\nconst made = 1' > made.go\n",
        )
        .file("bin/go-post-compile", "#!/bin/sh\nls bin\nexit 3\n");
    for name in ["bin/go-pre-compile", "bin/go-post-compile"] {
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(app.dir().join(name), mode).unwrap();
    }
    let built = app.build();
    assert_eq!(built.code, 1);
    assert!(
        built.stdout.contains("-----> Running bin/go-post-compile\n"),
        "{}",
        built.stdout
    );
    assert!(app.dir().join("made.go").exists());
    insta::assert_snapshot!(built.stderr.trim(), @r"
    !     bin/go-post-compile failed
     !
     !     `go-post-compile` ended with status 3.
     !
     !     Its output is above. Correct it, commit and push again.
    ");
}

#[test]
fn code_that_does_not_compile_is_told_with_its_line() {
    let app = app()
        .file("go.mod", "module x\n\ngo 1.21\n")
        .file("main.go", "package main\n\nfunc main() { missing() }\n");
    let built = app.build();
    assert_eq!(built.code, 1);
    insta::assert_snapshot!(built.stderr.trim(), @r"
    !     The app does not compile
     !
     !     `go build -tags=heroku x` ended with status 1.
     !       # x
     !       ./main.go:3:15: undefined: missing
     !
     !     The lines above name the file and line. Does `go build ./...` succeed where you work, with all files committed?
    ");
}

#[test]
fn a_library_alone_is_no_app() {
    let app = app()
        .file("go.mod", "module x\n\ngo 1.21\n")
        .file("x.go", "package x\n");
    let built = app.build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains("The app has no program to run"),
        "{}",
        built.stderr
    );
}

#[test]
fn a_go_that_does_not_exist_is_told() {
    let app = program(
        app().file("go.mod", "module x\n\n// +heroku goVersion 2.0.99\ngo 1.21\n"),
        "",
        "x",
    );
    let built = app.build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains(" !     Go 2.0.99 is not available\n"),
        "{}",
        built.stderr
    );
    assert!(!Path::new(&app.layer("go").join("bin")).exists());
}

//! `buildpacks`, `buildpacks:set`, `:add`, `:remove`, `:clear`.

use crate::{
    cli::Cli,
    server::{Answer, Server, json},
};
use insta::assert_snapshot;
use serde_json::json as value;

const PATH: &str = "GET /apps/demo/buildpacks";
const PUT: &str = "PUT /apps/demo/buildpacks";

fn of(names: &[&str]) -> Answer {
    json(200, &value!({ "buildpacks": names }))
}

#[tokio::test]
async fn buildpacks_are_listed() {
    let server = Server::start([(PATH, of(&["pvdify/apt", "https://example.com/x.git#v1"]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks", "demo"]).await, @r"
    exit 0
    --- stdout
    === demo Buildpacks
    1. pvdify/apt
    2. https://example.com/x.git#v1
    --- stderr
    ");
    let server = Server::start([(PATH, of(&["pvdify/apt"]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks", "demo"]).await, @r"
    exit 0
    --- stdout
    === demo Buildpack
    pvdify/apt
    --- stderr
    ");
    let server = Server::start([(PATH, of(&[]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo has no buildpacks of its own: each push is built as the source says, or as detected.
    ");
}

#[tokio::test]
async fn all_are_set_at_once_or_one_at_its_position() {
    let server = Server::start([(PUT, of(&["heroku/nodejs"]))]).await;
    let cli = Cli::new(&server).env("PVDIFY_APP", "demo");
    assert_snapshot!(cli.run(&["buildpacks:set", "heroku/nodejs"]).await, @r"
    exit 0
    --- stdout
    Buildpack set. Next release on demo will use heroku/nodejs.
    --- stderr
    Run git push pvdify main to create a new release using this buildpack.
    ");
    assert_eq!(
        server.requests(),
        [r#"PUT /apps/demo/buildpacks {"buildpacks":["heroku/nodejs"]}"#]
    );
    let server = Server::start([(PATH, of(&["a/a", "b/b"])), (PUT, of(&["a/a", "c/c"]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks:set", "demo", "c/c", "-i", "2"]).await, @r"
    exit 0
    --- stdout
    Buildpack set. Next release on demo will use:
      1. a/a
      2. c/c
    --- stderr
    Run git push pvdify main to create a new release using these buildpacks.
    ");
    assert_eq!(
        server.requests()[1],
        r#"PUT /apps/demo/buildpacks {"buildpacks":["a/a","c/c"]}"#
    );
}

#[tokio::test]
async fn one_is_added_and_removed_and_all_are_cleared() {
    let server = Server::start([(PATH, of(&["b/b"])), (PUT, of(&["a/a", "b/b"]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks:add", "demo", "--index", "1", "a/a"]).await, @r"
    exit 0
    --- stdout
    Buildpack added. Next release on demo will use:
      1. a/a
      2. b/b
    --- stderr
    Run git push pvdify main to create a new release using these buildpacks.
    ");
    assert_eq!(
        server.requests()[1],
        r#"PUT /apps/demo/buildpacks {"buildpacks":["a/a","b/b"]}"#
    );
    for args in [
        ["buildpacks:remove", "demo", "b/b"].as_slice(),
        &["buildpacks:remove", "demo", "-i", "2"],
    ] {
        let server = Server::start([(PATH, of(&["a/a", "b/b"])), (PUT, of(&["a/a"]))]).await;
        let shown = Cli::new(&server).run(args).await;
        assert!(
            shown.contains("Buildpack removed. Next release on demo will use a/a."),
            "{shown}"
        );
        assert_eq!(
            server.requests()[1],
            r#"PUT /apps/demo/buildpacks {"buildpacks":["a/a"]}"#
        );
    }
    let server = Server::start([(PUT, of(&[]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["buildpacks:clear", "demo"]).await, @r"
    exit 0
    --- stdout
    Buildpacks cleared. Next release on demo will detect buildpacks normally.
    --- stderr
    ");
}

#[tokio::test]
async fn what_can_not_be_done_changes_nothing() {
    let server = Server::start([(PATH, of(&["a/a"]))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["buildpacks:add", "demo", "a/a"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: a/a is one of demo's buildpacks already
    ");
    assert_snapshot!(cli.run(&["buildpacks:remove", "demo", "b/b"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: b/b is none of demo's buildpacks: nothing was removed
    hint: list them with pvdify buildpacks demo
    ");
    assert_snapshot!(cli.run(&["buildpacks:set", "demo", "b/b", "-i", "0"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no position 0: it is 1 to 1
    ");
    assert_snapshot!(cli.run(&["buildpacks:remove", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: give either a buildpack or --index
    ");
    assert_snapshot!(cli.run(&["buildpacks:set", "demo", "https://me:pw@h/x"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "https://me:pw@h/x": a buildpack's address must not hold a user or password: it is shown in logs
    "#);
    assert_snapshot!(cli.run(&["buildpacks:set", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: no buildpack is named
    hint: write it after the app's name
    ");
    let changes: Vec<String> = server
        .requests()
        .into_iter()
        .filter(|line| line.starts_with("PUT"))
        .collect();
    assert!(changes.is_empty(), "{changes:?}");
}

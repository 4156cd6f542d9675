//! `git:remote`, with the real git.

use crate::{
    cli::Cli,
    samples::app,
    server::{Server, json},
};
use insta::assert_snapshot;
use pvdify_api::apps::App;

async fn git(cli: &Cli, args: &[&str]) -> String {
    let output = cli.program("git").args(args).output().await.unwrap();
    assert!(
        output.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_remote_is_added_and_later_moved() {
    let server = Server::start([
        ("GET /apps/demo", json(200, &app("demo"))),
        ("GET /apps/shop", json(200, &app("shop"))),
    ])
    .await;
    let cli = Cli::new(&server);
    git(&cli, &["init", "-q"]).await;
    assert_snapshot!(cli.run(&["git:remote", "demo"]).await, @r"
    exit 0
    --- stdout
    Set git remote pvdify to ssh://git@127.0.0.1:2222/demo.git
    --- stderr
    ");
    assert_snapshot!(cli.run(&["git:remote", "-a", "shop"]).await, @r"
    exit 0
    --- stdout
    Set git remote pvdify to ssh://git@127.0.0.1:2222/shop.git
    --- stderr
    ");
    assert_snapshot!(git(&cli, &["remote", "-v"]).await, @r"
    pvdify	ssh://git@127.0.0.1:2222/shop.git (fetch)
    pvdify	ssh://git@127.0.0.1:2222/shop.git (push)
    ");
}

#[tokio::test]
async fn outside_a_repository_nothing_is_asked() {
    let server = Server::start([]).await;
    assert_snapshot!(Cli::new(&server).run(&["git:remote", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the working directory is in no git repository
    hint: make one with `git init`
    ");
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn a_url_that_git_would_run_is_refused() {
    let evil = App {
        git_url: "ext::touch pwned".into(),
        ..app("demo")
    };
    let server = Server::start([("GET /apps/demo", json(200, &evil))]).await;
    let cli = Cli::new(&server);
    git(&cli, &["init", "-q"]).await;
    assert_snapshot!(cli.run(&["git:remote", "demo"]).await, @r#"
    exit 1
    --- stdout
    --- stderr
    error: the server gives "ext::touch pwned", which is no URL to push to
    "#);
    assert_eq!(git(&cli, &["remote"]).await, "");
}

//! Where an app's name comes from when it is left out, through the real git and the real environment.

use crate::{
    cli::Cli,
    samples::processes,
    server::{Server, json},
};
use insta::assert_snapshot;

async fn in_repository(server: &Server, remote: &str) -> Cli {
    let cli = Cli::new(server);
    for args in [&["init", "-q"][..], &["remote", "add", "pvdify", remote]] {
        assert!(cli.program("git").args(args).status().await.unwrap().success());
    }
    cli
}

#[tokio::test]
async fn the_name_goes_before_the_flag_the_environment_and_the_remote() {
    let all = || json(200, &processes());
    let server = Server::start([
        ("GET /apps/named/ps", all()),
        ("GET /apps/flagged/ps", all()),
        ("GET /apps/env/ps", all()),
        ("GET /apps/remote/ps", all()),
    ])
    .await;
    let cli = in_repository(&server, "ssh://git@127.0.0.1:2222/remote.git").await;
    assert!(cli.output(&["ps"]).await.status.success());
    let cli = cli.env("PVDIFY_APP", "env");
    for args in [
        &["ps"][..],
        &["ps", "-a", "flagged"],
        &["--app", "flagged", "ps"],
        &["ps", "named"],
    ] {
        assert!(cli.output(args).await.status.success(), "{args:?}");
    }
    let asked = ["remote", "env", "flagged", "flagged", "named"].map(|app| format!("GET /apps/{app}/ps"));
    assert_eq!(server.requests(), asked);
}

#[tokio::test]
async fn no_app_two_apps_and_a_foreign_remote_are_refused_before_any_request() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server).env("PVDIFY_APP", "");
    assert_snapshot!(cli.run(&["ps"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: no app is named
    hint: write its name after the command, or set --app, PVDIFY_APP, or (in a repository) `pvdify git:remote NAME`
    ");
    assert_snapshot!(cli.run(&["ps", "demo", "-a", "other"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: two apps are named: one by NAME, another by --app other
    hint: leave one of them out
    ");
    let cli = in_repository(&server, "https://github.com/ada/demo.git").await;
    assert_snapshot!(cli.run(&["ps"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the git remote pvdify names no app of Pvdify
    hint: set it with `pvdify git:remote NAME`, or write the app's name after the command
    ");
    assert_snapshot!(cli.run(&["ps", "../keys"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: an app name holds only a-z, 0-9 and hyphens, not '.'
    ");
    assert_eq!(server.requests(), [] as [String; 0]);
}

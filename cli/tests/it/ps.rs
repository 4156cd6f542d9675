//! `ps`, `ps:scale`, `ps:restart`.

use crate::{
    cli::Cli,
    samples::processes,
    server::{Server, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::ps::Process;

#[tokio::test]
async fn processes_are_listed_by_type() {
    let server = Server::start([("GET /apps/demo/ps", json(200, &processes()))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["ps", "demo"]).await, @r"
    exit 0
    --- stdout
    === web: node app.js (2) running
    web.1: up v3 since 2026-01-01T00:00:00Z
    web.2: crashed v3, restarted 4 times
    === worker: (the image's own command) (0) stopped
    --- stderr
    ");
    let output = cli.output(&["ps", "demo", "--json"]).await;
    let listed: Vec<Process> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed[0].instances[1].state, "crashed");
}

#[tokio::test]
async fn an_app_without_processes_says_why() {
    let server = Server::start([("GET /apps/demo/ps", json(200, &[] as &[Process; 0]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["ps", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo has no processes: nothing was released yet.
    ");
}

#[tokio::test]
async fn scaling_sends_the_counts_and_shows_what_is() {
    let server = Server::start([
        ("POST /apps/demo/ps/scale", json(200, &processes())),
        ("GET /apps/demo/ps", json(200, &processes())),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["ps:scale", "demo", "web=2", "worker=0"]).await, @r"
    exit 0
    --- stdout
    web=2 worker=0
    --- stderr
    Scaled demo:
    ");
    assert_snapshot!(cli.run(&["ps:scale", "demo"]).await, @r"
    exit 0
    --- stdout
    web=2 worker=0
    --- stderr
    ");
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/ps/scale {"processes":{"web":2,"worker":0}}"#,
            "GET /apps/demo/ps"
        ]
    );
}

#[tokio::test]
async fn a_bad_count_is_one_clear_line_before_any_request() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server);
    let mut shown = String::new();
    for pairs in [
        &["web=x"][..],
        &["web=-1"],
        &["web=1000"],
        &["web=1", "worker"],
        &["=1"],
        &["web=1", "web=2"],
    ] {
        shown.push_str(&cli.run(&[&["ps:scale", "demo"], pairs].concat()).await);
    }
    assert_snapshot!(shown, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "web=x": a count is a number from 0 to 100
    hint: write TYPE=COUNT, as web=2
    exit 2
    --- stdout
    --- stderr
    error: "web=-1": a count is a number from 0 to 100
    hint: write TYPE=COUNT, as web=2
    exit 2
    --- stdout
    --- stderr
    error: "web=1000": a count is a number from 0 to 100
    hint: write TYPE=COUNT, as web=2
    exit 2
    --- stdout
    --- stderr
    error: "worker": it has no "="
    hint: write TYPE=COUNT, as web=2
    exit 2
    --- stdout
    --- stderr
    error: "=1": a process type can't be empty
    hint: write TYPE=COUNT, as web=2
    exit 2
    --- stdout
    --- stderr
    error: "web=2": web is given twice
    hint: write TYPE=COUNT, as web=2
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn an_unknown_process_type_is_the_servers_refusal() {
    let answer = refuse(422, "demo has no process type clock", "it has web, worker");
    let server = Server::start([("POST /apps/demo/ps/scale", answer)]).await;
    assert_snapshot!(Cli::new(&server).run(&["ps:scale", "demo", "clock=1"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: demo has no process type clock
    hint: it has web, worker
    ");
}

#[tokio::test]
async fn all_processes_are_restarted() {
    let server = Server::start([("POST /apps/demo/ps/restart", json(202, &processes()))]).await;
    assert_snapshot!(Cli::new(&server).run(&["ps:restart", "demo"]).await, @r"
    exit 0
    --- stdout
    Restarting demo
    --- stderr
    ");
    assert_eq!(server.requests(), ["POST /apps/demo/ps/restart {}"]);
}

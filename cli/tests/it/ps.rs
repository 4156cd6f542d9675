//! `ps`, `ps:scale`, `ps:resize`, `ps:restart`, `ps:stop`, `run:detached`.

use crate::{
    cli::Cli,
    samples::{TIME, app, events, processes, release},
    server::{Server, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::{
    one_offs::OneOff,
    ps::{Instance, Process},
};
use pvdify_types::ReleaseStatus::{Current, Pending};

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

#[tokio::test]
async fn one_of_a_type_is_restarted_or_stopped_and_what_is_no_process_is_refused() {
    let server = Server::start([
        ("POST /apps/demo/ps/restart", json(200, &processes())),
        ("POST /apps/demo/ps/stop", json(200, &processes())),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["ps:restart", "demo", "web.1"]).await, @"
    exit 0
    --- stdout
    Restarting web.1 of demo
    --- stderr
    ");
    assert_snapshot!(cli.run(&["ps:restart", "-a", "demo", "web"]).await, @"
    exit 0
    --- stdout
    Restarting web of demo
    --- stderr
    ");
    assert_snapshot!(cli.run(&["ps:stop", "demo", "web.1"]).await, @"
    exit 0
    --- stdout
    Stopping web.1 of demo
    --- stderr
    It is started again; to keep it down: pvdify ps:scale demo web=0
    ");
    assert_snapshot!(cli.run(&["ps:stop", "demo", "run.1001"]).await, @"
    exit 0
    --- stdout
    Stopping run.1001 of demo
    --- stderr
    ");
    assert_snapshot!(cli.run(&["ps:stop", "demo", "web.x"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: a process is named as web.1, not as "web.x"
    hint: write it as web or web.1
    "#);
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/ps/restart {"process":"web.1"}"#,
            r#"POST /apps/demo/ps/restart {"process":"web"}"#,
            r#"POST /apps/demo/ps/stop {"process":"web.1"}"#,
            r#"POST /apps/demo/ps/stop {"process":"run.1001"}"#,
        ]
    );
}

#[tokio::test]
async fn a_command_is_sent_as_the_shell_will_read_it_and_shown_by_ps() {
    let started = OneOff {
        name: "run.1001".into(),
        command: "rake 'db:seed all'".into(),
        status: "pending".into(),
        release: 3,
        exit_status: None,
        failure: None,
        user: "ada".into(),
        created_at: TIME,
        started_at: None,
        ended_at: None,
        output: None,
    };
    let running = Process {
        process_type: "run".parse().unwrap(),
        count: 1,
        command: String::new(),
        status: "running".into(),
        instances: vec![Instance {
            name: "run.1001".into(),
            state: "up".into(),
            release: 3,
            restarts: 0,
            started_at: Some(TIME),
            command: Some(started.command.clone()),
        }],
    };
    let server = Server::start([
        ("POST /apps/demo/one-offs", json(201, &started)),
        ("GET /apps/demo/ps", json(200, &[running])),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["run:detached", "demo", "--", "rake", "db:seed all"]).await, @"
    exit 0
    --- stdout
    run.1001
    --- stderr
    Running rake 'db:seed all' as run.1001; see what it writes with pvdify logs demo --process run.1001 -f
    ");
    assert_eq!(
        server.requests(),
        [r#"POST /apps/demo/one-offs {"command":"rake 'db:seed all'"}"#]
    );
    assert_snapshot!(cli.run(&["ps", "demo"]).await, @"
    exit 0
    --- stdout
    === run: one-off processes (1) running
    run.1001: up v3 since 2026-01-01T00:00:00Z: rake 'db:seed all'
    --- stderr
    ");
}

#[tokio::test]
async fn limits_are_changed_one_by_one_and_their_release_is_waited_for() {
    let server = Server::start([
        ("GET /apps/demo", json(200, &app("demo"))),
        ("PATCH /apps/demo", json(200, &app("demo"))),
        (
            "GET /apps/demo/releases",
            json(200, &[release(4, Pending), release(3, Current)]),
        ),
        (
            "GET /apps/demo/releases/4/events",
            events(["Starting web.1"], Current),
        ),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["ps:resize", "demo"]).await, @"
    exit 0
    --- stdout
    memory=512M cpu=none pids=512
    --- stderr
    ");
    assert_snapshot!(cli.run(&["ps:resize", "demo", "memory=1G", "cpu=0.5"]).await, @"
    exit 0
    --- stdout
    Resized demo: memory=1024M cpu=0.5 pids=512
    --- stderr
    Starting web.1
    ");
    assert!(
        server.requests().contains(
            &r#"PATCH /apps/demo {"resources":{"memory_bytes":1073741824,"cpu_millis":500,"pids":512}}"#
                .to_owned()
        )
    );
    assert_snapshot!(cli.run(&["ps:resize", "demo", "memory=12 bananas"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "memory=12 bananas": memory is a whole number of K, M or G
    hint: write it as memory=512M, cpu=0.5 or pids=512
    "#);
}

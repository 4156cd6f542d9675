//! `releases`, `rollback`.

use crate::{
    cli::Cli,
    samples::{TIME, created, events, release},
    server::{Server, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::{one_offs::OneOff, releases::Release};
use pvdify_types::{
    ReleaseCause,
    ReleaseStatus::{Current, Failed, Pending, Superseded},
    ReleaseVersion,
};

fn list() -> [Release; 3] {
    [release(3, Failed), release(2, Current), release(1, Superseded)]
}

#[tokio::test]
async fn releases_are_listed_with_the_current_one_named() {
    let server = Server::start([("GET /apps/demo/releases", json(200, &list()))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["releases", "demo"]).await, @r"
    exit 0
    --- stdout
    === demo releases, current: v2
    VERSION  STATUS      DESCRIPTION                                                   USER  CREATED
    v3       failed      Deploy 1a2b3c43 (web did not listen on its port within 60 s)  ada   2026-01-01T00:03:00Z
    v2       current     Deploy 1a2b3c42                                               ada   2026-01-01T00:02:00Z
    v1       superseded  Deploy 1a2b3c41                                               ada   2026-01-01T00:01:00Z
    --- stderr
    ");
    assert_snapshot!(cli.run(&["releases", "demo", "-n", "1"]).await, @r"
    exit 0
    --- stdout
    === demo releases, current: v2
    VERSION  STATUS  DESCRIPTION                                                   USER  CREATED
    v3       failed  Deploy 1a2b3c43 (web did not listen on its port within 60 s)  ada   2026-01-01T00:03:00Z
    --- stderr
    ");
    let output = cli.output(&["releases", "demo", "--json", "-n", "2"]).await;
    assert_eq!(
        serde_json::from_slice::<Vec<Release>>(&output.stdout)
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn an_app_without_releases_says_so() {
    let server = Server::start([("GET /apps/demo/releases", json(200, &[] as &[Release; 0]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["releases", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo has no releases yet.
    ");
}

#[tokio::test]
async fn a_rollback_is_a_new_release_that_is_waited_for() {
    let rollback = Release {
        cause: ReleaseCause::Rollback {
            to: ReleaseVersion(2),
        },
        ..release(4, Pending)
    };
    let server = Server::start([
        ("POST /apps/demo/rollback", json(201, &rollback)),
        (
            "GET /apps/demo/releases/4/events",
            events(["web.1 is up"], Current),
        ),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["rollback", "demo", "v2"]).await, @r"
    exit 0
    --- stdout
    Rolled back to v2, released v4
    --- stderr
    Rolling demo back to v2 as v4
    web.1 is up
    ");
    for args in [
        &["rollback", "demo", "2"][..],
        &["rollback", "-a", "demo", "v2"],
        &["rollback", "demo", "--no-wait"],
    ] {
        assert!(cli.output(args).await.status.success(), "{args:?}");
    }
    let asked = server
        .requests()
        .into_iter()
        .filter(|asked| asked.starts_with("POST"));
    assert_snapshot!(asked.collect::<Vec<_>>().join("\n"), @r#"
    POST /apps/demo/rollback {"version":2}
    POST /apps/demo/rollback {"version":2}
    POST /apps/demo/rollback {"version":2}
    POST /apps/demo/rollback {"version":null}
    "#);
}

#[tokio::test]
async fn a_version_that_is_none_is_refused_before_any_request() {
    let server = Server::start([]).await;
    assert_snapshot!(Cli::new(&server).run(&["rollback", "demo", "latest"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "latest" is no release version
    hint: write it as v3 or 3
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn nothing_to_return_to_is_the_servers_refusal() {
    let answer = refuse(
        422,
        "demo has no earlier release that served",
        "`pvdify releases demo` lists them",
    );
    let server = Server::start([("POST /apps/demo/rollback", answer), ("POST /unused", created(1))]).await;
    assert_snapshot!(Cli::new(&server).run(&["rollback", "demo"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: demo has no earlier release that served
    hint: `pvdify releases demo` lists them
    ");
}

fn written(status: &str, exit_status: Option<i64>, failure: Option<&str>) -> OneOff {
    OneOff {
        name: "release.1001".into(),
        command: "rake db:migrate".into(),
        status: status.into(),
        release: 3,
        user: "ada".into(),
        created_at: TIME,
        started_at: Some(TIME),
        ended_at: Some(TIME),
        exit_status,
        failure: failure.map(str::to_owned),
        output: Some("== migrating\nboom\u{1b}[2J\n".into()),
    }
}

#[tokio::test]
async fn a_release_is_shown_with_all_that_is_known_of_it() {
    let server = Server::start([("GET /apps/demo/releases/3", json(200, &release(3, Failed)))]).await;
    assert_snapshot!(Cli::new(&server).run(&["releases:info", "demo", "v3"]).await, @"
    exit 0
    --- stdout
    === demo v3
    Status:   failed
    Failure:  web did not listen on its port within 60 s
    Change:   Deploy 1a2b3c43
    By:       ada
    When:     2026-01-01T00:03:00Z
    Image:    registry.example.com/demo@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    Config:   version 3
    Process:  web: node app.js
    --- stderr
    ");
}

#[tokio::test]
async fn what_a_release_command_wrote_is_printed_and_how_it_ended_told() {
    let server = Server::start([
        ("GET /apps/demo/releases", json(200, &list())),
        ("GET /apps/demo/releases/3", json(200, &release(3, Failed))),
        (
            "GET /apps/demo/releases/3/output",
            json(200, &written("failed", Some(1), Some("exited with status 1"))),
        ),
    ])
    .await;
    let cli = Cli::new(&server);
    let told = cli.run(&["releases:output", "demo"]).await;
    assert_snapshot!(told, @"
    exit 0
    --- stdout
    == migrating
    boom�[2J
    --- stderr
    release.1001 exited with status 1
    ");
    assert_eq!(cli.run(&["releases:output", "demo", "3"]).await, told);
}

#[tokio::test]
async fn a_release_under_way_is_cancelled_or_why_not_is_told() {
    let server = Server::start([
        ("GET /apps/demo/releases/3", json(200, &release(3, Pending))),
        (
            "POST /apps/demo/releases/3/cancel",
            json(200, &release(3, Failed)),
        ),
        ("GET /apps/demo/releases/2", json(200, &release(2, Current))),
        (
            "POST /apps/demo/releases/2/cancel",
            refuse(
                409,
                "demo v2 has ended: it is current",
                "to return to another: pvdify rollback demo VERSION",
            ),
        ),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["releases:cancel", "demo", "v3"]).await, @"
    exit 0
    --- stdout
    Cancelled v3 of demo
    --- stderr
    ");
    assert_snapshot!(cli.run(&["releases:cancel", "demo", "v2"]).await, @"
    exit 1
    --- stdout
    --- stderr
    error: demo v2 has ended: it is current
    hint: to return to another: pvdify rollback demo VERSION
    ");
}

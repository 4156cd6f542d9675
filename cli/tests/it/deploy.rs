//! `deploy`, and waiting for a release whatever happens to the connection.

use crate::{
    cli::Cli,
    samples::{created, done, events, line, release},
    server::{Answer, Event, Server, json, refuse, text},
};
use insta::assert_snapshot;
use pvdify_api::releases::Release;
use pvdify_types::ReleaseStatus::{Current, Deploying, Failed, Pending, Superseded};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};

const DEPLOY: [&str; 4] = ["deploy", "demo", "-i", "registry.example.com/demo:1"];
const CREATE: &str = "POST /apps/demo/releases";
const EVENTS: &str = "GET /apps/demo/releases/3/events";
const RELEASE: &str = "GET /apps/demo/releases/3";

#[tokio::test]
async fn a_deploy_shows_the_releases_lines_and_waits_for_its_end() {
    let lines = events(["Starting web", "web.1 is up"], Current);
    let server = Server::start([(CREATE, created(3)), (EVENTS, lines)]).await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 0
    --- stdout
    Released v3
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    Starting web
    web.1 is up
    ");
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/releases {"image":"registry.example.com/demo:1"}"#,
            "GET /apps/demo/releases/3/events"
        ]
    );
}

#[tokio::test]
async fn a_failed_release_is_exit_code_1_with_its_reason() {
    let server = Server::start([(CREATE, created(3)), (EVENTS, events(["Starting web"], Failed))]).await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 1
    --- stdout
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    Starting web
    error: release v3 of demo failed: web did not listen on its port within 60 s
    hint: what served before is unchanged; `pvdify logs demo` shows what the processes wrote
    ");
}

#[tokio::test]
async fn a_release_that_a_later_one_has_replaced_was_a_success() {
    let server = Server::start([(CREATE, created(3)), (EVENTS, events([], Superseded))]).await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 0
    --- stdout
    Released v3
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    ");
}

#[tokio::test]
async fn no_wait_returns_at_once() {
    let server = Server::start([(CREATE, created(3))]).await;
    assert_snapshot!(Cli::new(&server).run(&["deploy", "demo", "--image", "x:1", "--no-wait"]).await, @r"
    exit 0
    --- stdout
    v3 is pending
    --- stderr
    Deploying x:1 to demo as v3
    ");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn json_is_the_release_as_it_ended() {
    let server = Server::start([
        (CREATE, created(3)),
        (EVENTS, events([], Current)),
        (RELEASE, json(200, &release(3, Current))),
    ])
    .await;
    let cli = Cli::new(&server);
    let waited = cli.output(&[&DEPLOY[..], &["--json"]].concat()).await;
    let at_once = cli
        .output(&[&DEPLOY[..], &["--json", "--no-wait"]].concat())
        .await;
    let status = |stdout: &[u8]| serde_json::from_slice::<Release>(stdout).unwrap().status;
    assert_eq!(
        (status(&waited.stdout), status(&at_once.stdout)),
        (Current, Pending)
    );
}

#[tokio::test]
async fn a_broken_stream_is_taken_up_again_and_no_line_shown_twice() {
    let broken = Answer::Events(vec![line("Starting web"), Event::KeepAlive, Event::Cut]);
    let ended = Answer::Events(vec![line("Starting web"), line("Starting worker")]);
    let whole = Answer::Events(vec![
        line("Starting web"),
        line("Starting worker"),
        line("web.1 is up"),
        done(Current),
    ]);
    let server = Server::start([
        (CREATE, created(3)),
        (EVENTS, broken),
        (EVENTS, ended),
        (EVENTS, whole),
        (RELEASE, json(200, &release(3, Deploying))),
    ])
    .await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 0
    --- stdout
    Released v3
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    Starting web
    Starting worker
    web.1 is up
    ");
}

#[tokio::test]
async fn without_a_stream_the_status_tells_the_end() {
    for (end, code) in [(Current, 0), (Failed, 1)] {
        let server = Server::start([
            (CREATE, created(3)),
            (EVENTS, refuse(404, "no such path", "")),
            (RELEASE, json(200, &release(3, Deploying))),
            (RELEASE, json(200, &release(3, end))),
        ])
        .await;
        let output = Cli::new(&server).output(&DEPLOY).await;
        assert_eq!(output.status.code(), Some(code), "{end}");
    }
}

#[tokio::test]
async fn a_server_that_restarts_meanwhile_is_waited_for() {
    let server = Server::start([
        (CREATE, created(3)),
        (EVENTS, Answer::Events(vec![line("Starting web"), Event::Cut])),
        (EVENTS, text(502, "<html>")),
        (EVENTS, events(["web.1 is up"], Current)),
        (RELEASE, text(502, "<html>")),
    ])
    .await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 0
    --- stdout
    Released v3
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    Starting web
    web.1 is up
    ");
}

#[tokio::test]
async fn an_app_that_is_deleted_meanwhile_ends_the_wait() {
    let gone = || refuse(404, "there is no app demo", "");
    let server = Server::start([(CREATE, created(3)), (EVENTS, gone()), (RELEASE, gone())]).await;
    assert_snapshot!(Cli::new(&server).run(&DEPLOY).await, @r"
    exit 1
    --- stdout
    --- stderr
    Deploying registry.example.com/demo:1 to demo as v3
    error: there is no app demo
    ");
}

#[tokio::test]
async fn a_line_can_not_steer_the_terminal() {
    let server = Server::start([
        (CREATE, created(3)),
        (EVENTS, events(["\u{1b}[2J\rerror: x"], Current)),
    ])
    .await;
    let output = Cli::new(&server).output(&DEPLOY).await;
    assert!(!output.stderr.contains(&0x1b) && !output.stderr.contains(&b'\r'));
}

#[tokio::test]
async fn an_image_is_needed() {
    let server = Server::start([]).await;
    assert_snapshot!(Cli::new(&server).run(&["deploy", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --image <IMAGE>

    Usage: pvdify deploy [OPTIONS] --image IMAGE [NAME]

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn ctrl_c_ends_the_wait_and_says_that_the_release_goes_on() {
    let server = Server::start([
        (CREATE, created(3)),
        (EVENTS, Answer::Events(vec![line("Starting web"), Event::Hang])),
    ])
    .await;
    let mut child = Cli::new(&server).command(&DEPLOY).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    // The release's line shows that the program waits, and so that it listens for Ctrl-C.
    while stderr.next_line().await.unwrap().unwrap() != "Starting web" {}
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    let mut said = String::new();
    while let Some(line) = stderr.next_line().await.unwrap() {
        said.push_str(&line);
        said.push('\n');
    }
    assert_snapshot!(said, @r"
    error: stopped waiting; release v3 of demo goes on
    hint: see how it ends with `pvdify releases demo`
    ");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

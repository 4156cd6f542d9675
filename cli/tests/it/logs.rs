//! `logs`: Heroku's line, following through a lost connection, and ending quietly.

use crate::{
    cli::Cli,
    samples::log_line,
    server::{Answer, Event, Server, event, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::logs::LogLine;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

const LOGS: &str = "GET /apps/demo/logs";

#[tokio::test]
async fn lines_have_herokus_form() {
    let lines = [
        log_line(0, "pvdify", "web.1", "State changed from starting to up"),
        log_line(1, "app", "web.1", "a\ttab and \u{1b}[31mred"),
    ];
    let server = Server::start([(LOGS, json(200, &lines))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["logs", "demo"]).await, @r"
    exit 0
    --- stdout
    2026-01-01T00:00:00.000000+00:00 pvdify[web.1]: State changed from starting to up
    2026-01-01T00:00:01.000000+00:00 app[web.1]: a	tab and �[31mred
    --- stderr
    ");
    assert_snapshot!(cli.run(&["logs", "demo", "--json"]).await, @r#"
    exit 0
    --- stdout
    {"time":"2026-01-01T00:00:00Z","source":"pvdify","process":"web.1","message":"State changed from starting to up"}
    {"time":"2026-01-01T00:00:01Z","source":"app","process":"web.1","message":"a\ttab and \u001b[31mred"}
    --- stderr
    "#);
}

#[tokio::test]
async fn what_to_show_is_asked_of_the_server() {
    let server = Server::start([(LOGS, json(200, &[] as &[LogLine; 0]))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["logs", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    ");
    let since = "2026-01-01T00:00:00Z";
    let args = [
        "logs", "demo", "-n", "500", "-p", "web.1", "--source", "app", "--since", since,
    ];
    assert!(cli.output(&args).await.status.success());
    assert_snapshot!(server.requests().join("\n"), @r"
    GET /apps/demo/logs?lines=100&follow=false
    GET /apps/demo/logs?lines=500&follow=false&process=web.1&source=app&since=2026-01-01T00%3A00%3A00Z
    ");
}

#[tokio::test]
async fn bad_options_are_refused_before_any_request() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["logs", "demo", "-n", "0"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value '0' for '--lines <COUNT>': 0 is not in 1..=10000

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run(&["logs", "demo", "--source", "heroku"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'heroku' for '--source <SOURCE>'
      [possible values: app, pvdify]

    For more information, try '--help'.
    ");
    assert_snapshot!(cli.run(&["logs", "demo", "--since", "yesterday"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: --since: "yesterday" is no time
    hint: write it as 2026-01-01T00:00:00Z, or how long ago: 30s, 10m, 2h, 1d
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn following_goes_on_after_a_lost_connection_without_repeating_a_line() {
    let line = |second, message| event(&log_line(second, "app", "web.1", message));
    let server = Server::start([
        (
            LOGS,
            Answer::Events(vec![line(1, "a"), line(2, "b"), Event::KeepAlive, Event::Cut]),
        ),
        (LOGS, refuse(503, "starting", "")),
        (LOGS, Answer::Events(vec![line(2, "b"), line(2, "c")])),
        (LOGS, refuse(404, "there is no app demo", "")),
    ])
    .await;
    assert_snapshot!(Cli::new(&server).run(&["logs", "demo", "-f", "-n", "2"]).await, @r"
    exit 1
    --- stdout
    2026-01-01T00:00:01.000000+00:00 app[web.1]: a
    2026-01-01T00:00:02.000000+00:00 app[web.1]: b
    2026-01-01T00:00:02.000000+00:00 app[web.1]: c
    --- stderr
    error: there is no app demo
    ");
    assert_snapshot!(server.requests().join("\n"), @r"
    GET /apps/demo/logs?lines=2&follow=true
    GET /apps/demo/logs?lines=10000&follow=true&since=2026-01-01T00%3A00%3A02Z
    GET /apps/demo/logs?lines=10000&follow=true&since=2026-01-01T00%3A00%3A02Z
    GET /apps/demo/logs?lines=10000&follow=true&since=2026-01-01T00%3A00%3A02Z
    ");
}

#[tokio::test]
async fn ctrl_c_ends_following_as_a_success() {
    let line = event(&log_line(1, "app", "web.1", "a"));
    let server = Server::start([(LOGS, Answer::Events(vec![line, Event::Hang]))]).await;
    let mut child = Cli::new(&server)
        .command(&["logs", "demo", "--follow"])
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    // The line shows that the program follows, and so that it listens for Ctrl-C.
    assert!(
        stdout
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .ends_with("app[web.1]: a")
    );
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    assert!(child.wait().await.unwrap().success());
    let mut stderr = String::new();
    child.stderr.unwrap().read_to_string(&mut stderr).await.unwrap();
    assert_eq!(stderr, "");
}

#[tokio::test]
async fn a_reader_that_went_away_is_no_failure() {
    let lines: Vec<_> = (0..100).map(|n| log_line(n, "app", "web.1", "x")).collect();
    let following = Answer::Events(lines.iter().map(event).chain([Event::Hang]).collect());
    let server = Server::start([
        (LOGS, json(200, &lines)),
        (LOGS, json(200, &lines)),
        (LOGS, following),
    ])
    .await;
    for args in [
        &["logs", "demo"][..],
        &["logs", "demo", "--json"],
        &["logs", "demo", "-f"],
    ] {
        let mut child = Cli::new(&server).command(args).spawn().unwrap();
        // Closed before the server can have answered: this test's runtime has one thread.
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(0), &b""[..]),
            "{args:?}"
        );
    }
}

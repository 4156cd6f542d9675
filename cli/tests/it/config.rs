//! `config:set`, `config:unset`, `config:scope`: one change each.

use crate::{
    cli::Cli,
    samples::events,
    server::{Server, json, refuse, with_headers, with_release},
};
use insta::assert_snapshot;
use pvdify_api::config::{Config, Scopes};
use pvdify_types::{
    ConfigScope,
    ReleaseStatus::{Current, Failed},
};

const PUT: &str = "PUT /apps/demo/config";
const EVENTS: &str = "GET /apps/demo/releases/4/events";

pub(crate) fn config() -> Config {
    [
        ("DATABASE_URL", "postgres://ada:s3cret@db/shop"),
        ("KEY", "-----BEGIN\n\"x\"\n"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

pub(crate) fn scopes() -> Scopes {
    [("DATABASE_URL", ConfigScope::Run), ("KEY", ConfigScope::Build)]
        .map(|(key, scope)| (key.parse().unwrap(), scope))
        .into()
}

#[tokio::test]
async fn what_builds_see_is_said_and_changed_by_itself() {
    let scope = "PUT /apps/demo/config/scopes";
    let server = Server::start([
        (PUT, with_headers(Some("4"), Some("A, B"), &config())),
        (PUT, with_headers(None, None, &config())),
        (scope, with_release("5", &scopes())),
        (scope, json(200, &scopes())),
        (EVENTS, events([], Current)),
        ("GET /apps/demo/releases/5/events", events([], Current)),
    ])
    .await;
    let cli = Cli::new(&server).stdin("C=3\n");
    assert_snapshot!(cli.run(&["config:set", "demo", "--build", "A=1", "B=2"]).await, @r"
    exit 0
    --- stdout
    Set A, B; released v4
    --- stderr
    Releasing demo with the change as v4
    The next build sees A, B.
    ");
    assert_snapshot!(cli.run(&["config:set", "demo", "--from", "-", "--build"]).await, @r"
    exit 0
    --- stdout
    Set C; that needed no new release
    --- stderr
    ");
    assert_snapshot!(cli.run(&["config:scope", "demo", "B", "A", "--build"]).await, @r"
    exit 0
    --- stdout
    Shown to builds too: A, B; released v5
    --- stderr
    Releasing demo with the change as v5
    ");
    assert_snapshot!(cli.run(&["config:scope", "--run", "-a", "demo", "A"]).await, @r"
    exit 0
    --- stdout
    Shown to the app's processes alone: A; that needed no new release
    --- stderr
    ");
    assert_snapshot!(cli.run(&["config:scope", "demo", "A"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <--build|--run>

    Usage: pvdify config:scope [OPTIONS] <--build|--run> [NAME] KEY...

    For more information, try '--help'.
    ");
    let changes = server.requests().into_iter().filter(|one| one.starts_with("PUT"));
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [
            r#"PUT /apps/demo/config?scope=build {"A":"1","B":"2"}"#,
            r#"PUT /apps/demo/config?scope=build {"C":"3"}"#,
            r#"PUT /apps/demo/config/scopes {"A":"build","B":"build"}"#,
            r#"PUT /apps/demo/config/scopes {"A":"run"}"#,
        ]
    );
}

#[tokio::test]
async fn setting_is_one_change_and_waits_for_its_release() {
    let server = Server::start([
        (PUT, with_release("v4", &config())),
        (EVENTS, events(["web.1 is up"], Current)),
    ])
    .await;
    assert_snapshot!(Cli::new(&server).run(&["config:set", "demo", "B=x=y", "A=s3cret", "C="]).await, @r"
    exit 0
    --- stdout
    Set A, B, C; released v4
    --- stderr
    Releasing demo with the change as v4
    web.1 is up
    ");
    assert_eq!(
        server.requests()[0],
        r#"PUT /apps/demo/config {"A":"s3cret","B":"x=y","C":""}"#
    );
}

#[tokio::test]
async fn a_change_without_release_or_without_waiting_returns_at_once() {
    let server = Server::start([(PUT, json(200, &config())), (PUT, with_release("4", &config()))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["config:set", "demo", "A=1"]).await, @r"
    exit 0
    --- stdout
    Set A; that needed no new release
    --- stderr
    ");
    assert_snapshot!(cli.run(&["config:set", "demo", "A=1", "--no-wait"]).await, @r"
    exit 0
    --- stdout
    Set A; release v4 is under way
    --- stderr
    ");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_change_whose_release_fails_is_a_failure() {
    let server = Server::start([(PUT, with_release("v4", &config())), (EVENTS, events([], Failed))]).await;
    assert_snapshot!(Cli::new(&server).run(&["config:set", "demo", "A=s3cret"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    Releasing demo with the change as v4
    error: release v4 of demo failed: web did not listen on its port within 60 s
    hint: what served before is unchanged; `pvdify logs demo` shows what the processes wrote
    ");
}

#[tokio::test]
async fn secrets_are_read_from_stdin_or_a_file() {
    let server = Server::start([(PUT, json(200, &config()))]).await;
    let secrets = "# secrets\nA=s3cret\nexport B=\"two\\nlines\"\n";
    let cli = Cli::new(&server).stdin(secrets).file("secrets.env", secrets);
    for args in [
        &["config:set", "demo", "-"][..],
        &["config:set", "-a", "demo", "-"],
        &["config:set", "demo", "--env-file", "-"],
        &["config:set", "demo", "--from", "secrets.env"],
        &["config:set", "--env-file", "secrets.env", "demo"],
    ] {
        let output = cli.output(args).await;
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(
        cli.output(&["config:set", "demo", "C=3", "-"])
            .await
            .status
            .success()
    );
    let requests = server.requests();
    assert_eq!(
        requests[..5],
        [r#"PUT /apps/demo/config {"A":"s3cret","B":"two\nlines"}"#; 5]
    );
    assert_eq!(
        requests[5],
        r#"PUT /apps/demo/config {"A":"s3cret","B":"two\nlines","C":"3"}"#
    );
}

#[tokio::test]
async fn what_can_not_be_read_is_refused_without_showing_it() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server)
        .stdin("A=1\ns3cret\n")
        .file("big.env", &"#s3cret\n".repeat(140_000));
    let mut shown = String::new();
    for args in [
        &["config:set", "demo", "KEY", "s3cret"][..],
        &["config:set", "S3cret"],
        &["config:set", "-a", "demo", "s3cret"],
        &["config:set", "demo", "A=1", "1A=s3cret"],
        &["config:set", "demo", "PORT=s3cret"],
        &["config:set", "demo", "A=s3cret", "A=s3cret"],
        &["config:set", "demo"],
        &["config:set", "demo", "-"],
        &["config:set", "demo", "-", "-"],
        &["config:set", "demo", "--env-file", "none.env"],
        &["config:set", "demo", "--env-file", "big.env"],
    ] {
        shown.push_str(&format!(
            "$ {}\n{}",
            args[1..]
                .join(" ")
                .replace("s3cret", "SECRET")
                .replace("S3cret", "SECRET"),
            cli.run(args).await
        ));
    }
    assert!(!shown.contains("3cret"), "{shown}");
    assert_snapshot!(shown, @r#"
    $ demo KEY SECRET
    exit 2
    --- stdout
    --- stderr
    error: argument 2: it has no "="
    hint: write [NAME] KEY=VALUE...; the argument is not shown, it may be a secret
    $ SECRET
    exit 2
    --- stdout
    --- stderr
    error: argument 1: it has no "="
    hint: write [NAME] KEY=VALUE...; the argument is not shown, it may be a secret
    $ -a demo SECRET
    exit 2
    --- stdout
    --- stderr
    error: two apps are named: one by NAME, another by --app demo
    hint: leave one of them out
    $ demo A=1 1A=SECRET
    exit 2
    --- stdout
    --- stderr
    error: argument 3: a config key starts with a letter or _, not with '1'
    hint: write [NAME] KEY=VALUE...; the argument is not shown, it may be a secret
    $ demo PORT=SECRET
    exit 2
    --- stdout
    --- stderr
    error: argument 2: PORT is set by Pvdify itself and can't be a config var
    hint: write [NAME] KEY=VALUE...; the argument is not shown, it may be a secret
    $ demo A=SECRET A=SECRET
    exit 2
    --- stdout
    --- stderr
    error: A is given twice
    $ demo
    exit 2
    --- stdout
    --- stderr
    error: nothing to set
    hint: write KEY=VALUE, or give a file with --env-file
    $ demo -
    exit 2
    --- stdout
    --- stderr
    error: stdin, line 2: no "="; a line reads KEY=VALUE
    $ demo - -
    exit 2
    --- stdout
    --- stderr
    error: config vars come from one file or from stdin, not from several
    $ demo --env-file none.env
    exit 2
    --- stdout
    --- stderr
    error: can't read none.env: No such file or directory (os error 2)
    $ demo --env-file big.env
    exit 2
    --- stdout
    --- stderr
    error: big.env has more than 1 MiB: no app has so much config
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn unsetting_removes_all_keys_in_one_change() {
    let server = Server::start([
        (PUT, with_release("v4", &Config::new())),
        (EVENTS, events([], Current)),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["config:unset", "demo", "KEY", "A"]).await, @r"
    exit 0
    --- stdout
    Removed A, KEY; released v4
    --- stderr
    Releasing demo with the change as v4
    ");
    assert!(
        cli.output(&["config:unset", "-a", "demo", "foo", "bar"])
            .await
            .status
            .success()
    );
    let put: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|asked| asked.starts_with("PUT"))
        .collect();
    assert_eq!(
        put,
        [
            r#"PUT /apps/demo/config {"A":null,"KEY":null}"#,
            r#"PUT /apps/demo/config {"bar":null,"foo":null}"#
        ]
    );
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_any_request() {
    let server = Server::start([]).await;
    assert_snapshot!(Cli::new(&server).run(&["config:unset", "demo", "A-B"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "A-B": a config key holds only letters, digits and _, not '-'
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn the_servers_refusal_is_passed_on() {
    let answer = refuse(422, "all config vars together have at most 256 KiB", "");
    let server = Server::start([(PUT, answer)]).await;
    assert_snapshot!(Cli::new(&server).run(&["config:set", "demo", "A=s3cret"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: all config vars together have at most 256 KiB
    ");
}

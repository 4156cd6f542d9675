//! `config`, `config:get`, `config:versions`, `config:diff`: values only where they are asked for.

use crate::{
    cli::Cli,
    config::{config, scopes},
    samples::TIME,
    server::{Server, json},
};
use insta::assert_snapshot;
use pvdify_api::config::{Config, ConfigDiff, ConfigVersion, Difference, Scopes, Side};
use pvdify_types::{ConfigScope, ReleaseVersion};

const GET: &str = "GET /apps/demo/config";
const SCOPES: &str = "GET /apps/demo/config/scopes";
const PUT: &str = "PUT /apps/demo/config";

fn sent(config: &Config) -> String {
    format!("PUT /apps/demo/config {}", serde_json::to_string(config).unwrap())
}

#[tokio::test]
async fn values_are_hidden_unless_revealed() {
    let server = Server::start([(GET, json(200, &config())), (SCOPES, json(200, &scopes()))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["config", "demo"]).await, @r"
    exit 0
    --- stdout
    KEY           VALUE     SCOPE
    DATABASE_URL  [hidden]  run
    KEY           [hidden]  build
    --- stderr
    The values are shown with --reveal.
    ");
    assert_snapshot!(cli.run(&["config", "demo", "--json"]).await, @r#"
    exit 0
    --- stdout
    {
      "DATABASE_URL": null,
      "KEY": null
    }
    --- stderr
    "#);
    // Who does not ask for values does not even fetch them.
    assert_eq!(server.requests(), ["GET /apps/demo/config/scopes"; 2]);
    assert_snapshot!(cli.run(&["config", "demo", "--reveal"]).await, @r#"
    exit 0
    --- stdout
    DATABASE_URL=postgres://ada:s3cret@db/shop
    KEY="-----BEGIN\n\"x\"\n"
    --- stderr
    "#);
    assert_snapshot!(cli.run(&["config", "demo", "--shell"]).await, @r#"
    exit 0
    --- stdout
    DATABASE_URL=postgres://ada:s3cret@db/shop
    KEY='-----BEGIN
    "x"
    '
    --- stderr
    "#);
    let output = cli.output(&["config", "demo", "--reveal", "--json"]).await;
    assert_eq!(
        serde_json::from_slice::<Config>(&output.stdout).unwrap(),
        config()
    );
}

#[tokio::test]
async fn an_app_without_config_says_so() {
    let server = Server::start([
        (GET, json(200, &Config::new())),
        (SCOPES, json(200, &Scopes::new())),
    ])
    .await;
    let cli = Cli::new(&server);
    for args in [
        &["config", "demo"][..],
        &["config", "demo", "--reveal"],
        &["config", "demo", "--shell"],
    ] {
        assert_eq!(
            cli.run(args).await,
            "exit 0\n--- stdout\n--- stderr\ndemo has no config vars.\n"
        );
    }
    for args in [
        &["config", "demo", "--json"][..],
        &["config", "demo", "--json", "--reveal"],
    ] {
        assert_eq!(cli.run(args).await, "exit 0\n--- stdout\n{}\n--- stderr\n");
    }
}

#[tokio::test]
async fn one_value_is_printed_alone() {
    let server = Server::start([(GET, json(200, &config()))]).await;
    let cli = Cli::new(&server);
    let key = "-----BEGIN\n\"x\"\n";
    for args in [
        &["config:get", "demo", "KEY"][..],
        &["config:get", "-a", "demo", "KEY"],
    ] {
        let output = cli.output(args).await;
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{key}\n"));
    }
    let output = cli.output(&["config:get", "demo", "KEY", "--json"]).await;
    assert_eq!(serde_json::from_slice::<String>(&output.stdout).unwrap(), key);
    assert_snapshot!(cli.run(&["config:get", "demo", "NONE"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: demo has no config var NONE
    hint: list them with `pvdify config demo`
    ");
    assert_snapshot!(cli.run(&["config:get", "demo", "A-B"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "A-B": a config key holds only letters, digits and _, not '-'
    "#);
}

#[tokio::test]
async fn what_shell_prints_a_shell_reads_and_set_too() {
    let server = Server::start([(GET, json(200, &config())), (PUT, json(200, &config()))]).await;
    let printed = Cli::new(&server)
        .output(&["config", "demo", "--shell"])
        .await
        .stdout;
    let script = format!(
        "{}printf '%s|%s' \"$DATABASE_URL\" \"$KEY\"",
        str::from_utf8(&printed).unwrap()
    );
    let shell = std::process::Command::new("sh").args(["-euc", &script]).output();
    let all: Vec<String> = config().into_values().collect();
    assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), all.join("|"));
    let cli = Cli::new(&server).stdin(str::from_utf8(&printed).unwrap());
    assert!(cli.output(&["config:set", "demo", "-"]).await.status.success());
    assert_eq!(server.requests().pop().unwrap(), sent(&config()));
}

#[tokio::test]
async fn versions_are_listed_with_what_they_changed_and_who_took_them() {
    let version = |version, description: &str, releases: &[u64]| ConfigVersion {
        version,
        current: version == 2,
        user: "ada".into(),
        description: description.into(),
        releases: releases.iter().copied().map(ReleaseVersion).collect(),
        created_at: TIME,
    };
    let all = [
        version(3, "Remove B config vars", &[]),
        version(2, "Set A config vars", &[2, 4, 9]),
        version(1, "Set A, B config vars", &[1]),
    ];
    let path = "GET /apps/demo/config/versions";
    let server = Server::start([(path, json(200, &all)), (path, json(200, &[(); 0]))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["config:versions", "demo"]).await, @r"
    exit 0
    --- stdout
    === demo config versions, current: 2
    VERSION  DESCRIPTION           RELEASES      USER  CREATED
    3        Remove B config vars  none          ada   2026-01-01T00:00:00Z
    2        Set A config vars     v2 to v9 (3)  ada   2026-01-01T00:00:00Z
    1        Set A, B config vars  v1            ada   2026-01-01T00:00:00Z
    --- stderr
    ");
    assert_snapshot!(cli.run(&["config:versions", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo has no config vars, and had none.
    ");
}

#[tokio::test]
async fn a_diff_shows_values_only_on_request() {
    let side = |scope, value: Option<&str>| {
        Some(Side {
            scope,
            value: value.map(str::to_owned),
        })
    };
    let diff = |values: bool| {
        use ConfigScope::{Build, Run};
        let value = |text| Some(text).filter(|_| values);
        let row = |key: &str, from, to| Difference {
            key: key.parse().unwrap(),
            from,
            to,
        };
        ConfigDiff {
            from: 1,
            to: 2,
            changes: vec![
                row("ADDED", None, side(Build, value("a b\n"))),
                row("CHANGED", side(Run, value("s3cret")), side(Run, value("new"))),
                row("REMOVED", side(Run, value("s3cret")), None),
                row("SHOWN", side(Run, value("s3cret")), side(Build, value("s3cret"))),
            ],
        }
    };
    let none = ConfigDiff {
        changes: vec![],
        ..diff(false)
    };
    let path = "GET /apps/demo/config/diff";
    let server = Server::start([
        (path, json(200, &diff(false))),
        (path, json(200, &diff(true))),
        (path, json(200, &none)),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["config:diff", "demo"]).await, @r"
    exit 0
    --- stdout
    + ADDED (build)
    ~ CHANGED (run)
    - REMOVED (run)
    ~ SHOWN (run to build)
    --- stderr
    === demo config vars, version 1 to 2
    ");
    assert_snapshot!(cli.run(&["config:diff", "-a", "demo", "1", "v9", "--reveal"]).await, @r#"
    exit 0
    --- stdout
    + ADDED="a b\n" (build)
    - CHANGED=s3cret (run)
    + CHANGED=new (run)
    - REMOVED=s3cret (run)
    ~ SHOWN=s3cret (run to build)
    --- stderr
    === demo config vars, version 1 to 2
    "#);
    assert_snapshot!(cli.run(&["config:diff", "demo", "v3"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    === demo config vars, version 1 to 2
    Nothing differs.
    ");
    assert_eq!(
        server.requests(),
        [
            "GET /apps/demo/config/diff?values=false",
            "GET /apps/demo/config/diff?from=1&to=v9&values=true",
            "GET /apps/demo/config/diff?from=v3&values=false",
        ]
    );
}

#[tokio::test]
async fn what_reveal_prints_is_what_set_reads() {
    let server = Server::start([(GET, json(200, &config())), (PUT, json(200, &config()))]).await;
    let cli = Cli::new(&server);
    let revealed = cli.output(&["config", "demo", "--reveal"]).await;
    let cli = Cli::new(&server).stdin(str::from_utf8(&revealed.stdout).unwrap());
    assert!(cli.output(&["config:set", "demo", "-"]).await.status.success());
    assert_eq!(server.requests().pop().unwrap(), sent(&config()));
}

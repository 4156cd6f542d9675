//! `apps`, `apps:create`, `apps:info`, `apps:delete`.

use crate::{
    cli::Cli,
    samples::app,
    server::{Server, empty, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::apps::{App, Healthcheck};
use pvdify_types::{AppStatus, Environment, Resources};

fn shop() -> App {
    App {
        environment: Environment::Staging,
        status: AppStatus::Created,
        release: None,
        image: None,
        ..app("a-much-longer-shop")
    }
}

#[tokio::test]
async fn apps_are_listed_in_columns() {
    let server = Server::start([("GET /apps", json(200, &[app("demo"), shop()]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps"]).await, @r"
    exit 0
    --- stdout
    NAME                ENVIRONMENT  STATUS   RELEASE  URL
    demo                production   running  v3       http://demo.localhost:8080
    a-much-longer-shop  staging      created  -        http://a-much-longer-shop.localhost:8080
    --- stderr
    ");
}

#[tokio::test]
async fn no_apps_leave_stdout_empty_and_json_an_empty_list() {
    let server = Server::start([("GET /apps", json(200, &[] as &[App; 0]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    There are no apps yet; make one with `pvdify apps:create NAME`.
    ");
    assert_snapshot!(Cli::new(&server).run(&["apps", "--json"]).await, @r"
    exit 0
    --- stdout
    []
    --- stderr
    ");
}

#[tokio::test]
async fn json_is_the_apis_own() {
    let server = Server::start([("GET /apps", json(200, &[app("demo")]))]).await;
    let output = Cli::new(&server).output(&["apps", "--json"]).await;
    let apps: Vec<App> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(apps[0].name.as_str(), "demo");
    assert!(output.stderr.is_empty());
}

#[tokio::test]
async fn creating_an_app_prints_where_it_answers_and_where_to_push() {
    let server = Server::start([("POST /apps", json(201, &app("demo")))]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps:create", "demo", "-e", "staging"]).await, @r"
    exit 0
    --- stdout
    http://demo.localhost:8080 | ssh://git@127.0.0.1:2222/demo.git
    --- stderr
    Created demo.
    Deploy it with `pvdify git:remote demo` and `git push pvdify main`, or `pvdify deploy demo -i IMAGE`.
    ");
    assert_eq!(
        server.requests(),
        [r#"POST /apps {"name":"demo","environment":"staging"}"#]
    );
}

#[tokio::test]
async fn a_bad_name_or_environment_is_refused_before_any_request() {
    let server = Server::start([]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps:create", "My-App"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: an app name is lower case: try "my-app"
    "#);
    assert_snapshot!(Cli::new(&server).run(&["apps:create", "demo", "-e", "test"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'test' for '--environment <ENVIRONMENT>'
      [possible values: production, staging]

    For more information, try '--help'.
    ");
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn a_name_that_is_taken_is_the_servers_refusal() {
    let answer = refuse(409, "the name demo is taken", "choose another name");
    let server = Server::start([("POST /apps", answer)]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps:create", "demo"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: the name demo is taken
    hint: choose another name
    ");
}

#[tokio::test]
async fn an_app_is_shown_with_all_that_is_set_for_it() {
    let set = App {
        bind_port: Some(3000),
        resources: Resources {
            memory_bytes: 1024 * 1024 * 1024,
            cpu_millis: Some(1500),
            pids: 100,
        },
        healthcheck: Healthcheck {
            path: Some("/up".into()),
            timeout_seconds: 30,
        },
        ..app("demo")
    };
    let server = Server::start([
        ("GET /apps/demo", json(200, &set)),
        ("GET /apps/a-much-longer-shop", json(200, &shop())),
    ])
    .await;
    assert_snapshot!(Cli::new(&server).run(&["apps:info", "demo"]).await, @r"
    exit 0
    --- stdout
    === demo
    Environment:   production
    Status:        running
    Release:       v3
    Web URL:       http://demo.localhost:8080
    Git URL:       ssh://git@127.0.0.1:2222/demo.git
    Image:         registry.example.com/demo@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    Port:          3000
    Memory:        1024 MiB
    CPU:           150%
    Processes:     at most 100
    Health check:  GET /up within 30 s
    Created:       2026-01-01T00:00:00Z
    Updated:       2026-01-01T01:00:00Z
    --- stderr
    ");
    assert_snapshot!(Cli::new(&server).run(&["apps:info", "a-much-longer-shop"]).await, @r"
    exit 0
    --- stdout
    === a-much-longer-shop
    Environment:   staging
    Status:        created
    Release:       -
    Web URL:       http://a-much-longer-shop.localhost:8080
    Git URL:       ssh://git@127.0.0.1:2222/a-much-longer-shop.git
    Image:         -
    Port:          the image's, else 8080
    Memory:        512 MiB
    CPU:           shared
    Processes:     at most 512
    Health check:  a TCP connection within 60 s
    Created:       2026-01-01T00:00:00Z
    Updated:       2026-01-01T01:00:00Z
    --- stderr
    ");
}

#[tokio::test]
async fn an_unknown_app_is_a_failure_with_the_servers_hint() {
    let answer = refuse(404, "there is no app demo", "`pvdify apps` lists yours");
    let server = Server::start([("GET /apps/demo", answer)]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps:info", "demo"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no app demo
    hint: `pvdify apps` lists yours
    ");
}

#[tokio::test]
async fn deleting_without_a_terminal_needs_the_name_twice() {
    let server = Server::start([("DELETE /apps/demo", empty())]).await;
    let cli = Cli::new(&server).stdin("demo\n");
    assert_snapshot!(cli.run(&["apps:delete", "demo"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: deleting demo can't be undone and nobody can be asked here
    hint: add --confirm demo
    ");
    assert_snapshot!(cli.run(&["apps:delete", "demo", "--confirm", "other"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: --confirm other is not demo: nothing was deleted
    ");
    assert_eq!(
        server.requests(),
        [] as [String; 0],
        "nothing was asked of the server"
    );
    assert_snapshot!(cli.run(&["apps:delete", "demo", "--confirm", "demo"]).await, @r"
    exit 0
    --- stdout
    Deleted demo
    --- stderr
    ");
    assert_eq!(server.requests(), ["DELETE /apps/demo"]);
}

//! `domains`, `domains:add`, `domains:remove`.

use crate::{
    cli::Cli,
    samples::domain,
    server::{Server, empty, json, refuse},
};
use insta::assert_snapshot;
use pvdify_api::domains::Domain;
use pvdify_types::DomainStatus::{Active, Pending};

#[tokio::test]
async fn domains_are_listed() {
    let list = [domain("www.example.com", Active), domain("example.com", Pending)];
    let server = Server::start([("GET /apps/demo/domains", json(200, &list))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["domains", "demo"]).await, @r"
    exit 0
    --- stdout
    DOMAIN           STATUS   CERTIFICATE  CREATED
    www.example.com  active   valid        2026-01-01T00:00:00Z
    example.com      pending  -            2026-01-01T00:00:00Z
    --- stderr
    ");
    let output = cli.output(&["domains", "demo", "--json"]).await;
    assert_eq!(
        serde_json::from_slice::<Vec<Domain>>(&output.stdout)
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn an_app_without_domains_says_where_else_it_answers() {
    let server = Server::start([("GET /apps/demo/domains", json(200, &[] as &[Domain; 0]))]).await;
    assert_snapshot!(Cli::new(&server).run(&["domains", "demo"]).await, @r"
    exit 0
    --- stdout
    --- stderr
    demo has no domains of its own; `pvdify apps:info demo` shows its URL.
    ");
}

#[tokio::test]
async fn a_domain_is_added_in_lower_case_and_removed() {
    let added = json(201, &domain("www.example.com", Pending));
    let server = Server::start([
        ("POST /apps/demo/domains", added),
        ("DELETE /apps/demo/domains/www.example.com", empty()),
    ])
    .await;
    let cli = Cli::new(&server).env("PVDIFY_APP", "demo");
    assert_snapshot!(cli.run(&["domains:add", "demo", "WWW.Example.com"]).await, @r"
    exit 0
    --- stdout
    Added www.example.com to demo
    --- stderr
    Point its DNS record at this Pvdify's address; `pvdify domains demo` shows its status.
    ");
    assert_snapshot!(cli.run(&["domains:remove", "www.example.com"]).await, @r"
    exit 0
    --- stdout
    Removed www.example.com from demo
    --- stderr
    ");
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/domains {"domain":"www.example.com"}"#,
            "DELETE /apps/demo/domains/www.example.com"
        ]
    );
}

#[tokio::test]
async fn what_is_no_domain_is_refused_before_any_request() {
    let server = Server::start([]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["domains:add", "demo", "https://www.example.com/"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "https://www.example.com/": a domain is a host name alone: leave out the "https://" part
    "#);
    assert_snapshot!(cli.run(&["domains:remove", "demo", "../.."]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "../..": a domain is a host name alone: leave out the path after it
    "#);
    assert_snapshot!(cli.run(&["domains:add"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      <ARGS>...

    Usage: pvdify domains:add [OPTIONS] [NAME] DOMAIN

    For more information, try '--help'.
    ");
    assert_eq!(server.requests(), [] as [String; 0]);
}

#[tokio::test]
async fn a_domain_of_another_app_is_the_servers_refusal() {
    let answer = refuse(422, "www.example.com is another app's", "remove it there first");
    let server = Server::start([("POST /apps/demo/domains", answer)]).await;
    assert_snapshot!(Cli::new(&server).run(&["domains:add", "demo", "www.example.com"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: www.example.com is another app's
    hint: remove it there first
    ");
}

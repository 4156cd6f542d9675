//! The way to the server: no server, a wrong one, the token and where it may go.

use crate::{
    cli::Cli,
    samples::{app, processes},
    server::{Server, json, refuse, text},
};
use insta::assert_snapshot;
use std::net::SocketAddr;
use tokio::net::TcpSocket;

const TOKEN: &str = "pvd_s3cret";

#[tokio::test]
async fn no_server_says_how_to_start_or_find_one() {
    // Bound and never listening: nothing answers there, and nobody else can.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    assert_snapshot!(Cli::at(&url).run(&["apps"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: can't reach Pvdify at http://API: Connection refused (os error 111)
    hint: start the server (`pvdifyd --dev` on your own machine), or set PVDIFY_API_URL to where it runs
    ");
}

#[tokio::test]
async fn another_server_is_told_from_a_pvdify() {
    let server = Server::start([
        ("GET /apps", text(200, "<html>")),
        ("GET /apps", text(503, "<html>")),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["apps"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: can't reach Pvdify at http://API: expected value at line 1 column 1
    hint: start the server (`pvdifyd --dev` on your own machine), or set PVDIFY_API_URL to where it runs
    ");
    assert_snapshot!(cli.run(&["apps"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: the server answered 503 Service Unavailable
    hint: is the address that of a Pvdify API?
    ");
}

#[tokio::test]
async fn a_failure_of_the_server_names_its_request() {
    let server = Server::start([("GET /apps", refuse(500, "something failed on the server", ""))]).await;
    assert_snapshot!(Cli::new(&server).run(&["apps"]).await, @r"
    exit 1
    --- stdout
    --- stderr
    error: something failed on the server
    hint: the server's log has more, under request r-1
    ");
}

#[tokio::test]
async fn the_token_is_taken_from_the_environment_and_the_flag_before_it() {
    let server = Server::start([("GET /apps", json(200, &[app("demo")]))]).await;
    let cli = Cli::new(&server).env("PVDIFY_TOKEN", TOKEN);
    assert!(cli.output(&["apps"]).await.status.success());
    assert!(cli.output(&["apps", "--token", "other"]).await.status.success());
    let cli = Cli::new(&server).env("PVDIFY_TOKEN", "");
    assert!(cli.output(&["apps"]).await.status.success());
    let sent = server.authorizations();
    assert_eq!(
        sent,
        [Some(format!("Bearer {TOKEN}")), Some("Bearer other".into()), None]
    );
}

#[tokio::test]
async fn a_refused_token_says_how_to_get_one_and_does_not_show_it() {
    let server = Server::start([("GET /apps", refuse(401, "a valid token is needed", ""))]).await;
    let cli = Cli::new(&server).env("PVDIFY_TOKEN", TOKEN);
    let shown = cli.run(&["apps"]).await;
    assert!(!shown.contains(TOKEN));
    assert_snapshot!(shown, @r"
    exit 1
    --- stdout
    --- stderr
    error: a valid token is needed
    hint: make a token with `pvdifyd token create` on the server, and set PVDIFY_TOKEN to it
    ");
}

#[tokio::test]
async fn nothing_ever_shows_the_token() {
    let server = Server::start([
        ("GET /apps", refuse(500, "no", "")),
        ("GET /apps/demo", json(200, &app("demo"))),
    ])
    .await;
    let cli = Cli::new(&server).env("PVDIFY_TOKEN", TOKEN);
    for args in [
        &["--help"][..],
        &["apps", "--help"],
        &["apps"],
        &["apps:info", "demo"],
        &["ps"],
        &["nonsense"],
        &["apps", "--api-url", "x"],
    ] {
        let shown = cli.run(args).await;
        assert!(!shown.contains(TOKEN), "{args:?}: {shown}");
    }
    let cli = Cli::new(&server).env("PVDIFY_TOKEN", "pvd s3cret\u{1b}");
    assert_snapshot!(cli.run(&["apps"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the token holds characters that no token has
    hint: set PVDIFY_TOKEN to what `pvdifyd token create` printed
    ");
}

#[tokio::test]
async fn a_token_does_not_cross_a_network_in_clear_unless_told_to() {
    // Addresses of TEST-NET-1 (RFC 5737): no request may be tried, and none could succeed.
    let cli = Cli::at("http://192.0.2.1:9443").env("PVDIFY_TOKEN", TOKEN);
    assert_snapshot!(cli.run(&["apps"]).await, @r"
    exit 2
    --- stdout
    --- stderr
    error: the token would be sent unencrypted to http://API
    hint: use https, or a tunnel (`ssh -L 9443:127.0.0.1:9443 HOST`); --insecure sends it all the same
    ");
    let cli = Cli::at("http://ada:s3cret@127.0.0.1:9443");
    let shown = cli.run(&["apps"]).await;
    assert!(!shown.contains("s3cret"));
    assert_snapshot!(shown, @r"
    exit 2
    --- stdout
    --- stderr
    error: the API's URL can't hold a user or a password
    hint: give the token in PVDIFY_TOKEN
    ");
}

#[tokio::test]
async fn what_is_no_url_is_a_usage_error() {
    for url in ["localhost:9443", "ftp://example.com"] {
        let output = Cli::at(url).output(&["apps"]).await;
        assert_eq!(output.status.code(), Some(2), "{url}");
    }
    assert_snapshot!(Cli::at("localhost:9443").run(&["apps"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "http://API" is no http:// or https:// URL
    hint: set PVDIFY_API_URL or --api-url, as http://127.0.0.1:9443
    "#);
}

#[tokio::test]
async fn insecure_sends_the_token_with_a_warning() {
    let server = Server::start([("GET /apps/demo/ps", json(200, &processes()))]).await;
    // Linux takes 0.0.0.0 for this host, and it is no loopback address.
    let cli = Cli::at(&server.url.replace("127.0.0.1", "0.0.0.0")).env("PVDIFY_TOKEN", TOKEN);
    assert_snapshot!(cli.run(&["ps:scale", "demo", "--insecure"]).await, @r"
    exit 0
    --- stdout
    web=2 worker=0
    --- stderr
    warning: the token is sent unencrypted to http://API
    ");
    let cli = cli.env("PVDIFY_INSECURE", "1");
    assert!(cli.output(&["ps", "demo"]).await.status.success());
    let cli = cli.env("PVDIFY_INSECURE", "0");
    assert_eq!(cli.output(&["ps", "demo"]).await.status.code(), Some(2));
    assert_eq!(server.requests().len(), 2);
}

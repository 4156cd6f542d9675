//! Bad input gets one clear line and changes nothing. The whole table of the API is in pvdifyd/tests/it;
//! here the same door is tried with the hands of a person at the command line and in a browser's place.

use pvdify_tests::Platform;

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_answers_bad_input_with_one_line() {
    let platform = Platform::start().await;
    platform.cli(&["apps:create", "demo"]).await.ok();
    let long = "x".repeat(31);
    let table: &[&[&str]] = &[
        &["apps:create", ""],
        &["apps:create", &long],
        &["apps:create", "Foo"],
        &["apps:create", "a;id"],
        &["apps:create", "../x"],
        &["apps:create", "xn--e1a"],
        &["apps:create", "api"],
        &["apps:create", "demo"],
        &["apps:create", "new", "-e", "moon"],
        &["apps:info", "nobody"],
        &["config:set", "demo", "1A=x"],
        &["config:set", "demo", "A-B=x"],
        &["config:set", "demo", "PORT=80"],
        &["config:set", "demo", "PVDIFY_TOKEN=x"],
        &["ps:scale", "demo", "web=-1"],
        &["ps:scale", "demo", "web=1000000000"],
        &["ps:scale", "demo", "nothing=1"],
        &["domains:add", "demo", "http://x.com"],
        &["domains:add", "demo", "x.com/path"],
        &["domains:add", "demo", "127.0.0.1"],
        &["domains:add", "demo", "*.com"],
        &["domains:add", "demo", "a_b.com"],
        &["domains:add", "demo", "other.localhost"],
        &["bindings:add", "demo", "db"],
        &["bindings:add", "demo", "db", "--type=x"],
        &["bindings:add", "demo", "Db", "/etc/hostname", "--type=x"],
        &["bindings:add", "demo", "db", "/no/such", "--type=x"],
        &["bindings:add", "demo", "db", "/etc/hostname", "--type=x y"],
        &["bindings:add", "demo", "db", "../x=/etc/hostname", "--type=x"],
        &[
            "bindings:add",
            "demo",
            "ca",
            "/etc/hostname",
            "--type=ca-certificates",
        ],
        &["bindings:remove", "demo", "db"],
        &["deploy", "demo", "--image", "UPPER case"],
        &["deploy", "demo", "--image", "Team/Tool"],
        &["deploy", "demo", "--image", "tool:1:2"],
        &["deploy", "demo", "--image", "tool@sha256:abc"],
        &["rollback", "demo"],
    ];
    for args in table {
        let out = platform.cli(args).await;
        assert_ne!(out.status, 0, "{args:?} was taken: {}", out.stdout);
        let errors = out
            .stderr
            .lines()
            .filter(|line| line.starts_with("error"))
            .count();
        assert_eq!(errors, 1, "{args:?}: {}", out.stderr);
        assert!(out.stderr.lines().count() <= 4, "{args:?}: {}", out.stderr);
    }
    let demo = "demo".parse().unwrap();
    assert!(platform.api().releases(&demo).await.unwrap().is_empty());
    let apps = platform.api().apps().await.unwrap();
    assert_eq!(
        apps.iter().map(|app| app.name.as_str()).collect::<Vec<_>>(),
        ["demo"]
    );
    assert!(platform.api().config(&demo).await.unwrap().is_empty());
    assert!(platform.api().bindings(&demo).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_or_host_can_not_use_the_api() {
    let platform = Platform::start().await;
    let url = format!("http://{}/api/v1/apps", platform.address("api"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = r#"{"name":"evil"}"#;
    let post = || {
        client
            .post(&url)
            .header("content-type", "application/json")
            .body(body)
    };
    let foreign = post()
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 403);
    let rebound = post().header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 421);
    let with_token = client.get(format!("{url}?token=pvd_x")).send().await.unwrap();
    assert!(with_token.status().is_client_error());
    assert!(platform.api().apps().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_gets_a_page_that_names_no_app() {
    let platform = Platform::start().await;
    platform.cli(&["apps:create", "secret-project"]).await.ok();
    let (status, body) = platform.get("nobody", "/").await;
    assert_eq!(status, 404);
    assert!(!body.contains("secret-project"), "{body}");
}

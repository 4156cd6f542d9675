//! The buildpacks that an app is given, and that its next build uses.

use crate::harness::{FINGERPRINT, Options, Server};
use pvdify_api::{
    buildpacks::SetBuildpacks,
    control::{BuildEvent, BuildQuery},
};
use pvdify_client::Client;
use pvdify_types::{AppName, buildpack::MAX_BUILDPACKS};
use pvdifyd::app::Scope;

fn body(names: &[&str]) -> SetBuildpacks {
    SetBuildpacks {
        buildpacks: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

async fn listed(client: &Client, app: &AppName) -> Vec<String> {
    let all = client.buildpacks(app).await.unwrap().buildpacks;
    all.iter().map(ToString::to_string).collect()
}

async fn build_lines(server: &Server, app: &AppName, commit: char) -> Vec<String> {
    let query = BuildQuery {
        commit: commit.to_string().repeat(40),
        fingerprint: FINGERPRINT.into(),
    };
    let mut events = server.control().build(app, &query, "src".into()).await.unwrap();
    let mut lines = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        if let BuildEvent::Line { text } = event {
            lines.push(text);
        }
    }
    lines
}

#[tokio::test]
async fn what_is_set_is_listed_in_order_and_the_next_build_uses_it() {
    let server = Server::start().await;
    server.add_key().await;
    let (app, client) = (server.create("demo").await, server.client());
    assert!(listed(&client, &app).await.is_empty());
    let names = ["https://example.com/b.git#v1", "pvdify/go", "heroku/nodejs"];
    let set = client.set_buildpacks(&app, &body(&names)).await.unwrap();
    assert_eq!(set.buildpacks.len(), 3);
    assert_eq!(listed(&client, &app).await, names);
    let lines = build_lines(&server, &app, 'a').await;
    let used = "       with https://example.com/b.git#v1 pvdify/go heroku/nodejs";
    assert_eq!(lines[..2], ["-----> Building src", used]);

    client.set_buildpacks(&app, &body(&["pvdify/go"])).await.unwrap();
    assert_eq!(listed(&client, &app).await, ["pvdify/go"]);
    client.set_buildpacks(&app, &body(&[])).await.unwrap();
    let lines = build_lines(&server, &app, 'b').await;
    assert!(!lines.iter().any(|line| line.contains("with")), "{lines:?}");

    client.set_buildpacks(&app, &body(&["pvdify/go"])).await.unwrap();
    client.delete_app(&app).await.unwrap();
    let again = server.create("demo").await;
    assert!(listed(&client, &again).await.is_empty());
}

#[tokio::test]
async fn what_names_no_buildpack_changes_nothing() {
    let server = Server::start().await;
    let (app, client) = (server.create("demo").await, server.client());
    client.set_buildpacks(&app, &body(&["pvdify/go"])).await.unwrap();
    let refused = async |names: &[&str]| {
        let error = client.set_buildpacks(&app, &body(names)).await.unwrap_err();
        assert_eq!(error.status(), Some(422));
        error.to_string()
    };
    insta::assert_snapshot!(refused(&["pvdify/go", "../x"]).await, @"a buildpack is an ID (pvdify/nodejs), an https:// address of a Git repository or a .tgz, docker://IMAGE, or an absolute folder on the server");
    insta::assert_snapshot!(refused(&["https://me:pw@h/x"]).await, @"a buildpack's address must not hold a user or password: it is shown in logs");
    insta::assert_snapshot!(refused(&["a/b", "a/b"]).await, @"the buildpack a/b is named twice");
    let many: Vec<String> = (0..=MAX_BUILDPACKS).map(|n| format!("a/b{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    insta::assert_snapshot!(refused(&many).await, @"an app has at most 20 buildpacks");
    assert_eq!(listed(&client, &app).await, ["pvdify/go"]);
}

#[tokio::test]
async fn a_folder_of_the_server_takes_an_admins_token() {
    let server = Server::with(Options {
        dev: false,
        ..Options::default()
    })
    .await;
    let client = |token| Client::over_tcp(&server.url, Some(token)).unwrap();
    let write = client(server.token(Scope::Write).await);
    let admin = client(server.token(Scope::Admin).await);
    let create = pvdify_api::apps::CreateApp {
        name: "demo".into(),
        environment: None,
    };
    let app = write.create_app(&create).await.unwrap().name;
    let folder = body(&["/opt/buildpack"]);
    let error = write.set_buildpacks(&app, &folder).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    assert!(listed(&write, &app).await.is_empty());
    admin.set_buildpacks(&app, &folder).await.unwrap();
    assert_eq!(listed(&write, &app).await, ["/opt/buildpack"]);
}

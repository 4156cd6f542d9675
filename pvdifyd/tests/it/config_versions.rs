//! Versions of config vars: a change that depends on one, what there was, who sees what.

use crate::{
    config::change,
    harness::{FINGERPRINT, Options, Server},
};
use pvdify_api::{
    ErrorBody,
    config::{ChangeQuery, DiffQuery, Scopes},
    control::{BuildEvent, BuildQuery},
};
use pvdify_client::Client;
use pvdify_types::{ConfigScope, ReleaseVersion};
use pvdifyd::app::Scope;
use reqwest::{Method, header};
use serde_json::{Value, json};

/// Asks below `/apps/demo/config`; gives the status, the ETag and the body.
async fn ask(
    server: &Server,
    method: Method,
    path: &str,
    if_match: Option<&str>,
    body: Option<Value>,
) -> (u16, Option<String>, Value) {
    let url = format!("{}/api/v1/apps/demo/config{path}", server.url);
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(tags) = if_match {
        request = request.header(header::IF_MATCH, tags);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let tag = response.headers().get(header::ETAG);
    let tag = tag.map(|tag| tag.to_str().unwrap().to_owned());
    (response.status().as_u16(), tag, response.json().await.unwrap())
}

#[tokio::test]
async fn who_writes_back_what_was_read_before_another_change_is_told_and_changes_nothing() {
    let server = Server::start().await;
    server.create("demo").await;
    let tagged = |tag: &str| Some(format!("\"{tag}\""));
    let put = |if_match, body| ask(&server, Method::PUT, "", if_match, Some(body));
    let read = ask(&server, Method::GET, "", None, None).await;
    assert_eq!(read, (200, tagged("0"), json!({})));
    let first = put(Some("\"0\""), json!({"A": "1"})).await;
    assert_eq!(first, (200, tagged("1"), json!({"A": "1"})));
    let before = server.dump();
    for stale in ["\"0\"", "\"2\", W/\"1\"", "x"] {
        let (status, _, body) = put(Some(stale), json!({"B": "2"})).await;
        let body: ErrorBody = serde_json::from_value(body).unwrap();
        assert_eq!((status, body.code.as_str()), (412, "config_changed"), "{stale}");
        assert_eq!(
            format!("{}; {}", body.error, body.hint),
            "the config vars of demo were changed meanwhile: they are of version 1; read them again, and apply the \
             change to those"
        );
    }
    let (status, ..) = ask(&server, Method::DELETE, "/A", Some("\"0\""), None).await;
    assert_eq!(status, 412);
    let scopes = Some(json!({"A": "build"}));
    let (status, ..) = ask(&server, Method::PUT, "/scopes", Some("\"0\""), scopes.clone()).await;
    assert_eq!(status, 412);
    assert_eq!(server.dump(), before);

    // One of several, whichever there is, and no condition at all.
    assert_eq!(put(Some("\"7\", \"1\""), json!({"B": "2"})).await.1, tagged("2"));
    let same = put(Some("\"2\""), json!({"B": "2"})).await;
    assert_eq!(
        same.1,
        tagged("2"),
        "a change that changes nothing makes no version"
    );
    let scoped = ask(&server, Method::PUT, "/scopes", Some("*"), scopes).await;
    assert_eq!(scoped, (200, tagged("3"), json!({"A": "build", "B": "run"})));
    let gone = ask(&server, Method::DELETE, "/B", Some("\"3\""), None).await;
    assert_eq!(gone, (200, tagged("4"), json!({"A": "1"})));
    let read = ask(&server, Method::GET, "/scopes", None, None).await;
    assert_eq!(read, (200, tagged("4"), json!({"A": "build"})));
}

#[tokio::test]
async fn of_those_who_write_back_what_they_read_at_once_one_is_told_to_read_again() {
    let server = Server::start().await;
    server.create("demo").await;
    let both = ["1", "2"].map(|value| {
        let body = Some(json!({ "COUNT": value }));
        ask(&server, Method::PUT, "", Some("\"0\""), body)
    });
    let [one, two] = both;
    let (one, two) = tokio::join!(one, two);
    let mut statuses = [one.0, two.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}

#[tokio::test]
async fn a_var_whose_name_is_that_of_a_resource_below_config_is_one_like_others() {
    let server = Server::start().await;
    server.create("demo").await;
    let names = ["diff", "scopes", "versions"];
    let all: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).into(), json!("x"))).collect();
    ask(&server, Method::PUT, "", None, Some(Value::Object(all))).await;
    for (index, name) in names.into_iter().enumerate() {
        let (status, tag, left) = ask(&server, Method::DELETE, &format!("/{name}"), None, None).await;
        assert_eq!((status, tag), (200, Some(format!("\"{}\"", index + 2))));
        assert_eq!(left.as_object().unwrap().len(), 2 - index);
    }
}

#[tokio::test]
async fn each_version_tells_when_by_whom_and_which_releases_took_it_and_how_two_differ() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    client
        .set_config(&app, &change(&[("A", Some("s3cret-1")), ("B", Some("2"))]))
        .await
        .unwrap();
    let v1 = server.deploy(&app, "one").await;
    server.ended(&app, v1).await;
    let build = ChangeQuery {
        scope: Some(ConfigScope::Build),
    };
    let changed = client
        .set_config_of(
            &app,
            &change(&[("A", Some("s3cret-2")), ("B", None), ("C", Some("3"))]),
            &build,
        )
        .await
        .unwrap();
    assert_eq!(changed.next_build.as_deref(), Some("A, C"));
    server.ended(&app, changed.release.unwrap()).await;
    let scopes = Scopes::from([("C".parse().unwrap(), ConfigScope::Run)]);
    let scoped = client.set_config_scopes(&app, &scopes).await.unwrap();
    server.ended(&app, scoped.release.unwrap()).await;
    let back = pvdify_api::releases::Rollback { version: Some(1) };
    let back = client.rollback(&app, &back).await.unwrap();
    server.ended(&app, back.version).await;

    let versions = client.config_versions(&app).await.unwrap();
    let shown: Vec<_> = versions
        .iter()
        .map(|one| {
            let releases: Vec<_> = one.releases.iter().map(ToString::to_string).collect();
            let current = if one.current { " current" } else { "" };
            let Some(user) = Some(&one.user).filter(|_| one.created_at.year() > 2020) else {
                panic!("{one:?}");
            };
            format!(
                "{} {user} [{}]{current}: {}",
                one.version,
                releases.join(" "),
                one.description
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "3 dev [v3]: Hide C from builds",
            "2 dev [v2]: Set A, C, remove B config vars",
            "1 dev [v1 v4] current: Set A, B config vars",
        ]
    );

    let diff = async |from: &str, to: &str, values| {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let query = DiffQuery {
            from: given(from),
            to: given(to),
            values,
        };
        let diff = client.config_diff(&app, &query).await.unwrap();
        assert_eq!(values, serde_json::to_string(&diff).unwrap().contains("s3cret"));
        let side = |side: &Option<pvdify_api::config::Side>| match side {
            Some(side) => format!("{} {}", side.scope, side.value.as_deref().unwrap_or("-")),
            None => "none".to_owned(),
        };
        let changes = diff.changes.iter();
        let changes: Vec<_> = changes
            .map(|one| format!("{} {} > {}", one.key, side(&one.from), side(&one.to)))
            .collect();
        format!("{} to {}: {}", diff.from, diff.to, changes.join(", "))
    };
    assert_eq!(
        diff("", "", false).await,
        "0 to 1: A none > run -, B none > run -"
    );
    assert_eq!(
        diff("1", "2", true).await,
        "1 to 2: A run s3cret-1 > build s3cret-2, B run 2 > none, C none > build 3"
    );
    assert_eq!(diff("v2", "v3", false).await, "2 to 3: C build - > run -");
    let query = |from: &str| DiffQuery {
        from: Some(from.to_owned()),
        ..DiffQuery::default()
    };
    for (given, text) in [
        ("4", "demo has no config version 4"),
        ("x", "demo has no config version x"),
        ("v9", "demo has no release v9"),
        (
            "99999999999999999999",
            "demo has no config version 99999999999999999999",
        ),
    ] {
        let error = client.config_diff(&app, &query(given)).await.unwrap_err();
        assert_eq!((error.status(), error.to_string()), (Some(404), text.to_owned()));
    }
}

#[tokio::test]
async fn who_may_only_read_sees_which_keys_there_are_and_no_value() {
    let server = Server::with(Options {
        dev: false,
        ..Options::default()
    })
    .await;
    let [reader, writer] = [Scope::Read, Scope::Write];
    let (reader, writer) = (server.token(reader).await, server.token(writer).await);
    let client = |token| Client::over_tcp(&server.url, Some(token)).unwrap();
    let (reader, writer) = (client(reader), client(writer));
    let body = pvdify_api::apps::CreateApp {
        name: "demo".into(),
        environment: None,
    };
    let app = writer.create_app(&body).await.unwrap().name;
    writer
        .set_config(&app, &change(&[("A", Some("s3cret"))]))
        .await
        .unwrap();
    let scopes = reader.config_scopes(&app).await.unwrap();
    assert_eq!(scopes, Scopes::from([("A".parse().unwrap(), ConfigScope::Run)]));
    let versions = reader.config_versions(&app).await.unwrap();
    assert_eq!(versions[0].description, "Set A config vars");
    let query = |values| DiffQuery {
        values,
        ..DiffQuery::default()
    };
    let diff = reader.config_diff(&app, &query(false)).await.unwrap();
    assert_eq!(diff.changes.len(), 1);
    assert_eq!(reader.config(&app).await.unwrap_err().status(), Some(403));
    let refused = reader.config_diff(&app, &query(true)).await.unwrap_err();
    assert_eq!(refused.status(), Some(403));
    let diff = writer.config_diff(&app, &query(true)).await.unwrap();
    let to = diff.changes[0].to.clone().unwrap();
    assert_eq!(to.value.as_deref(), Some("s3cret"));
}

#[tokio::test]
async fn a_scope_is_checked_and_a_var_that_is_not_set_has_none() {
    let server = Server::start().await;
    server.create("demo").await;
    ask(&server, Method::PUT, "", None, Some(json!({"A": "1"}))).await;
    let before = server.dump();
    for (path, body, status, text) in [
        (
            "/scopes",
            json!({"A": "both"}),
            422,
            "A: a config var's scope is run or build, not \"both\"",
        ),
        (
            "/scopes",
            json!({"B": "build"}),
            404,
            "demo has no config var \"B\"",
        ),
        (
            "/scopes",
            json!({"A-B": "build"}),
            422,
            "a config key holds only letters, digits and _, not '-'",
        ),
        (
            "?scope=both",
            json!({"A": "2"}),
            422,
            "the query does not fit: scope: unknown variant `both`, expected `run` or `build`",
        ),
    ] {
        let (got, _, body) = ask(&server, Method::PUT, path, None, Some(body)).await;
        assert_eq!((got, body["error"].as_str().unwrap()), (status, text));
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_build_sees_the_vars_of_its_scope_as_they_are_when_it_begins() {
    let server = Server::start().await;
    server.add_key().await;
    let app = server.create("demo").await;
    let client = server.client();
    let push = async |commit: char| {
        let query = BuildQuery {
            commit: commit.to_string().repeat(40),
            fingerprint: FINGERPRINT.into(),
        };
        let mut events = server.control().build(&app, &query, "src".into()).await.unwrap();
        let mut sees = None;
        while let Some(event) = events.next().await.unwrap() {
            match event {
                BuildEvent::Line { text } => {
                    sees = text.strip_prefix("       sees ").map(str::to_owned).or(sees);
                }
                last @ BuildEvent::Failed { .. } => panic!("{last:?}"),
                BuildEvent::KeepAlive | BuildEvent::Released { .. } => {}
            }
        }
        sees
    };
    let vars = change(&[("TOKEN", Some("12345678")), ("PLAIN", Some("x"))]);
    client.set_config(&app, &vars).await.unwrap();
    assert_eq!(push('a').await, None);
    let scopes = Scopes::from([("TOKEN".parse().unwrap(), ConfigScope::Build)]);
    let scoped = client.set_config_scopes(&app, &scopes).await.unwrap();
    assert_eq!(scoped.release, Some(ReleaseVersion(2)), "as any other change");
    assert_eq!(push('b').await.as_deref(), Some("TOKEN (8 bytes)"));
    let longer = client
        .set_config(&app, &change(&[("TOKEN", Some("123456789"))]))
        .await
        .unwrap();
    assert_eq!(longer.next_build.as_deref(), Some("TOKEN"));
    assert_eq!(push('c').await.as_deref(), Some("TOKEN (9 bytes)"));
    client
        .set_config(&app, &change(&[("TOKEN", None)]))
        .await
        .unwrap();
    assert_eq!(push('d').await, None);
}

//! Config vars: merged, sealed, released, never lost.

use crate::harness::{Options, Server};
use pvdify_api::{
    ErrorBody,
    apps::{Healthcheck, UpdateApp},
    config::{ChangeQuery, ConfigChange, DiffQuery, Scopes},
};
use pvdify_client::Client;
use pvdify_types::{ConfigScope, ReleaseStatus, ReleaseVersion};
use pvdifyd::app::Scope;
use pvdifyd::reconcile::desired::Readiness;
use reqwest::{Method, header};
use serde_json::{Value, json};

fn change(pairs: &[(&str, Option<&str>)]) -> ConfigChange {
    pairs
        .iter()
        .map(|(key, value)| ((*key).into(), value.map(Into::into)))
        .collect()
}

#[tokio::test]
async fn a_change_merges_makes_one_release_and_reaches_the_instances() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    let first = client
        .set_config(&app, &change(&[("A", Some("1")), ("B", Some("2"))]))
        .await
        .unwrap();
    assert_eq!(first.release, None, "nothing was deployed yet");
    let version = server.deploy(&app, "one").await;
    server.ended(&app, version).await;

    let second = client
        .set_config(&app, &change(&[("B", None), ("C", Some("3 = \"x\"\n"))]))
        .await
        .unwrap();
    assert_eq!(second.release, Some(ReleaseVersion(2)));
    assert_eq!(second.config.keys().collect::<Vec<_>>(), ["A", "C"]);
    assert_eq!(
        server.ended(&app, ReleaseVersion(2)).await,
        ReleaseStatus::Current
    );
    let release = client.release(&app, ReleaseVersion(2)).await.unwrap();
    assert_eq!(release.description, "Set C, remove B config vars");
    assert_eq!(release.cause, pvdify_types::ReleaseCause::Config);

    let mut desired = server.desired.clone();
    let seen = desired
        .wait_for(|apps| {
            apps[0]
                .current
                .as_ref()
                .is_some_and(|c| c.version == ReleaseVersion(2))
        })
        .await
        .unwrap();
    let config = &seen[0].current.as_ref().unwrap().config;
    let config: Vec<_> = config.iter().map(|(k, v)| (k.as_str(), v.reveal())).collect();
    assert_eq!(config, [("A", "1"), ("C", "3 = \"x\"\n")]);
    drop(seen);

    let unchanged = client
        .set_config(&app, &change(&[("A", Some("1")), ("Z", None)]))
        .await
        .unwrap();
    assert_eq!(unchanged.release, None);
    let gone = client.unset_config(&app, &"A".parse().unwrap()).await.unwrap();
    assert_eq!((gone.release, gone.config.len()), (Some(ReleaseVersion(3)), 1));
    let again = client.unset_config(&app, &"A".parse().unwrap()).await.unwrap();
    assert_eq!(again.release, None);
    assert_eq!(client.config(&app).await.unwrap(), gone.config);
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let changes = (0..20).map(|n| {
        let (client, app) = (server.client(), app.clone());
        tokio::spawn(async move {
            let one = ConfigChange::from([(format!("KEY_{n}"), Some(n.to_string()))]);
            client.set_config(&app, &one).await.unwrap().release.unwrap()
        })
    });
    let mut versions = Vec::new();
    for task in changes.collect::<Vec<_>>() {
        versions.push(task.await.unwrap());
    }
    versions.sort();
    assert_eq!(versions, (2..=21).map(ReleaseVersion).collect::<Vec<_>>());
    assert_eq!(server.client().config(&app).await.unwrap().len(), 20);
    assert_eq!(
        server.ended(&app, ReleaseVersion(21)).await,
        ReleaseStatus::Current
    );
}

#[tokio::test]
async fn fifty_keys_at_once_beside_fifty_others_are_two_releases_with_all_of_them() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let set = |side: &'static str| {
        let (client, app) = (server.client(), app.clone());
        tokio::spawn(async move {
            let keys = (0..50).map(|n| (format!("{side}_{n}"), Some(side.to_owned())));
            let all: ConfigChange = keys.chain([("BOTH".to_owned(), Some(side.to_owned()))]).collect();
            let changed = client.set_config(&app, &all).await.unwrap();
            (changed.release.unwrap(), changed.config.len())
        })
    };
    let (left, right) = (set("LEFT"), set("RIGHT"));
    let mut both = [left.await.unwrap(), right.await.unwrap()];
    both.sort();
    assert_eq!(both, [(ReleaseVersion(2), 51), (ReleaseVersion(3), 101)]);
    let config = server.client().config(&app).await.unwrap();
    let last = &config["BOTH"];
    let of = |side: &str| config.values().filter(|value| *value == side).count();
    assert_eq!((of("LEFT") + of("RIGHT"), of(last)), (101, 51));
    assert_eq!(
        server.ended(&app, ReleaseVersion(3)).await,
        ReleaseStatus::Current
    );

    // One key that breaks a rule, and none of the others is set.
    let before = server.dump();
    let keys = (0..50).map(|n| (format!("MORE_{n}"), Some("x".to_owned())));
    let bad: ConfigChange = keys.chain([("PORT".to_owned(), Some("1".to_owned()))]).collect();
    let error = server.client().set_config(&app, &bad).await.unwrap_err();
    assert_eq!(error.status(), Some(422));
    assert_eq!(server.dump(), before);
}

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
async fn no_value_is_in_the_files_or_in_debug_output() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let secret = "correct-horse-battery-staple";
    let changed = server
        .client()
        .set_config(&app, &change(&[("SECRET_NAME", Some(secret))]))
        .await
        .unwrap();
    server.ended(&app, changed.release.unwrap()).await;
    let mut found_key = false;
    for file in ["pvdify.db", "pvdify.db-wal"] {
        let bytes = std::fs::read(server.path(file)).unwrap();
        let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!holds(secret.as_bytes()), "{file} holds the value");
        found_key |= holds(b"SECRET_NAME");
    }
    assert!(found_key, "the test looks into the right files");
    let mut desired = server.desired.clone();
    let seen = desired
        .wait_for(|apps| {
            apps[0]
                .current
                .as_ref()
                .is_some_and(|current| current.config.len() == 1)
        })
        .await
        .unwrap();
    assert!(!format!("{:?}", *seen).contains(secret));
}

#[tokio::test]
async fn a_config_change_takes_the_code_that_serves_when_its_turn_comes() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    // v2 waits at the gate, the change v3 waits behind it.
    let v2 = server.deploy(&app, "gate-two").await;
    let v3 = client
        .set_config(&app, &change(&[("A", Some("1"))]))
        .await
        .unwrap()
        .release
        .unwrap();
    assert_eq!(
        client.release(&app, v3).await.unwrap().status,
        ReleaseStatus::Pending
    );
    server.open_gate();
    assert_ne!(server.ended(&app, v2).await, ReleaseStatus::Failed);
    assert_eq!(server.ended(&app, v3).await, ReleaseStatus::Current);
    let (two, three) = (
        client.release(&app, v2).await.unwrap(),
        client.release(&app, v3).await.unwrap(),
    );
    assert_eq!(two.image, three.image);

    // A deploy that fails is not what a change behind it runs.
    let v4 = server.deploy(&app, "gate-unhealthy").await;
    let v5 = client
        .set_config(&app, &change(&[("A", Some("2"))]))
        .await
        .unwrap()
        .release
        .unwrap();
    assert_eq!(server.ended(&app, v4).await, ReleaseStatus::Failed);
    assert_eq!(server.ended(&app, v5).await, ReleaseStatus::Current);
    assert_eq!(client.release(&app, v5).await.unwrap().image, three.image);
}

#[tokio::test]
async fn an_import_under_way_takes_the_config_set_meanwhile() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let v1 = server.deploy(&app, "gate").await;
    let changed = server
        .client()
        .set_config(&app, &change(&[("A", Some("1"))]))
        .await
        .unwrap();
    assert_eq!(changed.release, None);
    server.open_gate();
    assert_eq!(server.ended(&app, v1).await, ReleaseStatus::Current);
    let mut desired = server.desired.clone();
    let seen = desired.wait_for(|apps| apps[0].current.is_some()).await.unwrap();
    assert_eq!(seen[0].current.as_ref().unwrap().config.len(), 1);
}

#[tokio::test]
async fn a_setting_of_how_it_runs_makes_a_release_and_one_of_what_it_is_for_does_not() {
    let server = Server::start().await;
    let app = server.serving("demo", "port").await;
    let client = server.client();
    let shown = client.app(&app).await.unwrap();
    assert_eq!(
        (
            shown.healthcheck.path.as_deref(),
            shown.healthcheck.timeout_seconds
        ),
        (Some("/up"), 7)
    );
    let spec = |version: u64| {
        let mut desired = server.desired.clone();
        async move {
            let seen = desired
                .wait_for(|apps| apps[0].current.as_ref().is_some_and(|c| c.version.0 == version))
                .await
                .unwrap();
            let spec = seen[0].current.clone().unwrap();
            (spec.port, spec.readiness)
        }
    };
    assert_eq!(spec(1).await, (3000, Readiness::Http("/up".into())));

    let staging = UpdateApp {
        environment: Some("staging".into()),
        ..UpdateApp::default()
    };
    client.update_app(&app, &staging).await.unwrap();
    assert_eq!(server.history(&app).await, ["v1 current"]);

    let settings = UpdateApp {
        bind_port: Some(5000),
        healthcheck: Some(Healthcheck {
            path: None,
            timeout_seconds: 9,
        }),
        ..UpdateApp::default()
    };
    client.update_app(&app, &settings).await.unwrap();
    assert_eq!(
        server.ended(&app, ReleaseVersion(2)).await,
        ReleaseStatus::Current
    );
    assert_eq!(
        client.release(&app, ReleaseVersion(2)).await.unwrap().description,
        "Set bind_port, healthcheck"
    );
    assert_eq!(spec(2).await, (5000, Readiness::Tcp));
    client.update_app(&app, &settings).await.unwrap();
    assert_eq!(server.history(&app).await, ["v1 superseded", "v2 current"]);
}

//! What an app is bound to: told to its builds, listed without what is in it, written down sealed.

use crate::harness::{FINGERPRINT, Server};
use base64::{Engine, prelude::BASE64_STANDARD};
use pvdify_api::{
    bindings::{Binding, SetBinding},
    control::{BuildEvent, BuildQuery},
};
use pvdify_client::{Client, Error};
use pvdify_types::{AppName, binding::MAX_BINDINGS};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Its content is an empty sequence: enough of a certificate for what looks at PEM alone.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
const SECRET: &str = "hunter2-4711-correct-horse";

fn body(kind: &str, entries: &[(&str, &str)]) -> SetBinding {
    SetBinding {
        kind: kind.into(),
        provider: Some("acme".into()),
        entries: entries
            .iter()
            .map(|(name, text)| ((*name).to_owned(), BASE64_STANDARD.encode(text)))
            .collect(),
    }
}

async fn set(client: &Client, app: &AppName, name: &str, body: &SetBinding) -> Result<Binding, Error> {
    client.set_binding(app, &name.parse().unwrap(), body).await
}

async fn names(client: &Client, app: &AppName) -> Vec<String> {
    let all = client.bindings(app).await.unwrap();
    all.iter().map(|one| one.name.to_string()).collect()
}

/// The numbers of the sets that releases have, and of the one that the next release has.
fn numbers(server: &Server) -> (Vec<u64>, u64) {
    let db = rusqlite::Connection::open(server.path("pvdify.db")).unwrap();
    let mut query = db
        .prepare("SELECT bindings_version FROM releases ORDER BY version")
        .unwrap();
    let rows = query.query_map([], |row| row.get(0)).unwrap();
    let next = db.query_row("SELECT bindings_version FROM apps", [], |row| row.get(0));
    (rows.map(Result::unwrap).collect(), next.unwrap())
}

#[tokio::test]
async fn what_is_bound_is_listed_without_values_and_the_next_build_and_release_have_it() {
    let server = Server::start().await;
    server.add_key().await;
    let (app, client) = (server.serving("demo", "one").await, server.client());
    assert!(names(&client, &app).await.is_empty());
    let db = body("postgresql", &[("password", SECRET), ("host", "db")]);
    let shown = set(&client, &app, "db", &db).await.unwrap();
    let entries: Vec<_> = shown
        .entries
        .iter()
        .map(|one| (one.name.as_str(), one.size))
        .collect();
    assert_eq!(entries, [("host", 2), ("password", SECRET.len() as u64)]);
    assert_eq!(
        (shown.kind.as_str(), shown.provider.unwrap().as_str()),
        ("postgresql", "acme")
    );
    // The same again changes nothing.
    set(&client, &app, "db", &db).await.unwrap();
    set(&client, &app, "ca", &body("ca-certificates", &[("own.pem", PEM)]))
        .await
        .unwrap();
    assert_eq!(names(&client, &app).await, ["ca", "db"]);
    assert_eq!(numbers(&server), (vec![0], 2), "no release was made");

    let query = BuildQuery {
        commit: "a".repeat(40),
        fingerprint: FINGERPRINT.into(),
    };
    let mut events = server.control().build(&app, &query, "src".into()).await.unwrap();
    let mut lines = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        if let BuildEvent::Line { text } = event {
            lines.push(text);
        }
    }
    assert!(lines.contains(&"       bound to ca db".to_owned()), "{lines:?}");
    assert_eq!(numbers(&server).0, [0, 2]);

    client.remove_binding(&app, &"db".parse().unwrap()).await.unwrap();
    let gone = client
        .remove_binding(&app, &"db".parse().unwrap())
        .await
        .unwrap_err();
    assert!(gone.to_string().contains("demo has no binding \"db\""), "{gone}");
    assert_eq!(names(&client, &app).await, ["ca"]);
    // A rollback brings code and config back; what an app is bound to is its own of now.
    let release = client
        .rollback(&app, &pvdify_api::releases::Rollback { version: Some(1) })
        .await
        .unwrap();
    server.ended(&app, release.version).await;
    assert_eq!(numbers(&server), (vec![0, 2, 3], 3));

    let dump = server.dump();
    assert!(dump.contains("binding_entries"), "{dump}");
    for hidden in [SECRET, &BASE64_STANDARD.encode(SECRET), "MAA="] {
        assert!(!dump.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn what_is_no_binding_is_refused_by_name_and_changes_nothing() {
    let server = Server::start().await;
    let (app, client) = (server.create("demo").await, server.client());
    let put = async |name: &str, body: Value| {
        let url = format!("{}/api/v1/apps/demo/bindings/{name}", server.url);
        let answer = reqwest::Client::new().put(url).json(&body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let encoded = |text: &str| BASE64_STANDARD.encode(text);
    let table = [
        (
            "Db",
            json!({"type": "x", "entries": {"a": ""}}),
            "a binding's name has",
        ),
        (
            "db",
            json!({"type": "x y", "entries": {"a": ""}}),
            "a binding's type or provider has",
        ),
        (
            "db",
            json!({"type": "x", "provider": "", "entries": {"a": ""}}),
            "a binding's type or provider has",
        ),
        (
            "db",
            json!({"type": "x", "entries": {}}),
            "a binding has at least one entry",
        ),
        (
            "db",
            json!({"type": "x", "entries": {"..": ""}}),
            "an entry's name has",
        ),
        (
            "db",
            json!({"type": "x", "entries": {"type": ""}}),
            "an entry can't be called type",
        ),
        (
            "db",
            json!({"type": "x", "entries": {"a": SECRET}}),
            "the entry a is not in base64",
        ),
        (
            "db",
            json!({"type": "x", "entries": {"a": [SECRET]}}),
            "does not fit",
        ),
        (
            "db",
            json!({"type": "x", "entries": SECRET}),
            "entries does not fit",
        ),
        (
            "db",
            json!({"type": "x", "entries": {}, "more": 1}),
            "unknown field",
        ),
        (
            "db",
            json!({"type": "x", "entries": {"a": encoded(&"x".repeat(1 << 20)), "b": encoded("y")}}),
            "a binding has at most 1 MiB",
        ),
        (
            "db",
            json!({"type": "ca-certificates", "entries": {"fine": encoded(PEM), "odd": encoded(SECRET)}}),
            "the entry odd is no certificate",
        ),
    ];
    for (name, body, text) in table {
        let (status, said) = put(name, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert!(said.contains(text) && !said.contains(SECRET), "{text}: {said}");
    }
    assert!(names(&client, &app).await.is_empty());
    let large = body("x", &[("a", &"x".repeat(1 << 20))]);
    for number in 0..MAX_BINDINGS {
        let small = body("x", &[("a", "y")]);
        let one = if number == 0 { &large } else { &small };
        set(&client, &app, &format!("b{number}"), one).await.unwrap();
    }
    let error = set(&client, &app, "more", &large).await.unwrap_err();
    assert!(error.to_string().contains("at most 50 bindings"), "{error}");
    // One that is there may change all the same.
    set(&client, &app, "b0", &body("x", &[("a", "z")])).await.unwrap();
    assert_eq!(names(&client, &app).await.len(), MAX_BINDINGS);
}

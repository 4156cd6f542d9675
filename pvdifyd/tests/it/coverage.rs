//! Every endpoint of the OpenAPI document against every sort of caller. An endpoint without an entry here
//! fails, and so does one that is routed but not in the document.

use crate::harness::{FINGERPRINT, KEY, Options, Server};
use pvdify_api::{
    openapi::{ENDPOINTS, Endpoint},
    volumes::{CreateSnapshot, CreateVolume, MountVolume},
};
use pvdify_types::AppName;
use pvdifyd::app::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The smallest scope that may call it, and a good body.
fn entry(endpoint: &Endpoint) -> Option<(Option<Scope>, Value)> {
    use Scope::{Admin, Read, Write};
    let path = endpoint.path.strip_prefix("/api/v1").unwrap_or(endpoint.path);
    Some(match (endpoint.method, path) {
        ("get", "/health" | "/openapi.json") => (None, Value::Null),
        ("get", "/apps/{name}/config" | "/apps/{name}/bindings") => (Some(Write), Value::Null),
        (
            "get",
            "/apps"
            | "/apps/{name}"
            | "/apps/{name}/releases"
            | "/apps/{name}/releases/{version}"
            | "/apps/{name}/releases/{version}/events"
            | "/apps/{name}/releases/{version}/output"
            | "/apps/{name}/config/scopes"
            | "/apps/{name}/config/versions"
            | "/apps/{name}/config/diff"
            | "/apps/{name}/domains"
            | "/apps/{name}/buildpacks"
            | "/apps/{name}/volumes"
            | "/apps/{name}/volumes/{volume}"
            | "/apps/{name}/volumes/{volume}/snapshots"
            | "/apps/{name}/ps"
            | "/apps/{name}/one-offs"
            | "/apps/{name}/one-offs/{one_off}"
            | "/apps/{name}/logs"
            | "/keys",
        ) => (Some(Read), Value::Null),
        ("post", "/apps") => (Some(Write), json!({"name": "made"})),
        ("patch", "/apps/{name}") => (Some(Write), json!({"environment": "staging"})),
        ("post", "/apps/{name}/releases") => (Some(Write), json!({"image": "three"})),
        ("post", "/apps/{name}/releases/{version}/cancel") => (Some(Write), json!({})),
        ("post", "/apps/{name}/rollback") => (Some(Write), json!({"version": 1})),
        ("put", "/apps/{name}/config") => (Some(Write), json!({"B": "2"})),
        ("put", "/apps/{name}/config/scopes") => (Some(Write), json!({"A": "build"})),
        ("post", "/apps/{name}/domains") => (Some(Write), json!({"domain": "new.example.com"})),
        ("put", "/apps/{name}/buildpacks") => (Some(Write), json!({"buildpacks": ["pvdify/go"]})),
        ("put", "/apps/{name}/bindings/{binding}") => (
            Some(Write),
            json!({"type": "postgresql", "entries": {"host": "ZGI="}}),
        ),
        ("post", "/apps/{name}/volumes") => (Some(Write), json!({"name": "more"})),
        ("put", "/apps/{name}/volumes/{volume}/mounts") => (Some(Write), json!({"path": "/other"})),
        ("post", "/apps/{name}/volumes/{volume}/snapshots") => (Some(Write), json!({"name": "s2"})),
        ("post", "/apps/{name}/volumes/{volume}/restore") => (Some(Write), json!({"snapshot": "s1"})),
        ("post", "/apps/{name}/ps/scale") => (Some(Write), json!({"processes": {"web": 2}})),
        ("post", "/apps/{name}/ps/restart") => (Some(Write), json!({})),
        ("post", "/apps/{name}/ps/stop") => (Some(Write), json!({"process": "web"})),
        ("post", "/apps/{name}/one-offs") => (Some(Write), json!({"command": "seed"})),
        ("get", "/apps/{name}/ps/run" | "/apps/{name}/ps/{instance}/exec") => (Some(Write), Value::Null),
        (
            "delete",
            "/apps/{name}"
            | "/apps/{name}/config/{key}"
            | "/apps/{name}/domains/{domain}"
            | "/apps/{name}/bindings/{binding}"
            | "/apps/{name}/volumes/{volume}"
            | "/apps/{name}/volumes/{volume}/mounts"
            | "/apps/{name}/volumes/{volume}/snapshots/{snapshot}",
        ) => (Some(Write), Value::Null),
        ("post", "/keys") => (Some(Admin), json!({ "public_key": KEY })),
        ("delete", "/keys/{fingerprint}") => (Some(Admin), Value::Null),
        ("post", "/stack/rebase") => (Some(Admin), Value::Null),
        _ => return None,
    })
}

async fn call(
    server: &Server,
    endpoint: &Endpoint,
    body: &Value,
    token: Option<&str>,
    app: &str,
) -> StatusCode {
    let fingerprint = FINGERPRINT.replace('/', "%2F").replace('+', "%2B");
    let path = endpoint
        .path
        .replace("{name}", app)
        .replace(
            "{version}",
            if endpoint.path.ends_with("/cancel") {
                "4"
            } else {
                "1"
            },
        )
        .replace("{key}", "A")
        .replace("{one_off}", "release.1001")
        .replace("{instance}", "web.1")
        .replace("{binding}", "db")
        .replace("{volume}", "data")
        .replace("{snapshot}", "s1")
        .replace("{domain}", "www.example.com")
        .replace("{fingerprint}", &fingerprint);
    let method = Method::from_bytes(endpoint.method.to_uppercase().as_bytes()).unwrap();
    let mut request = reqwest::Client::new().request(method, format!("{}{path}", server.url));
    for (last, name) in [("{volume}", "data"), ("{snapshot}", "s1")] {
        if endpoint.method == "delete" && endpoint.path.ends_with(last) {
            request = request.query(&[("confirm", name)]);
        }
    }
    if !body.is_null() {
        request = request.json(body);
    }
    if endpoint.status == 101 {
        request = request
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", pvdify_api::session::PROTOCOL);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    request.send().await.unwrap().status()
}

/// An app with two releases, a config var and a domain, made with an admin's token.
async fn prepare(endpoint: &Endpoint) -> (Server, [String; 3]) {
    let server = Server::with(Options {
        dev: false,
        ..Options::default()
    })
    .await;
    let mut given = Vec::new();
    for scope in Scope::ALL {
        given.push(server.token(scope).await);
    }
    let client = pvdify_client::Client::over_tcp(&server.url, Some(given[2].clone())).unwrap();
    let body = pvdify_api::apps::CreateApp {
        name: "demo".into(),
        environment: None,
    };
    let app = client.create_app(&body).await.unwrap().name;
    for image in ["one-command", "two"] {
        let body = pvdify_api::releases::CreateRelease { image: image.into() };
        let version = client.create_release(&app, &body).await.unwrap().version;
        let mut events = client.release_events(&app, version).await.unwrap();
        while events.next().await.unwrap().is_some() {}
    }
    let domain = pvdify_api::domains::AddDomain {
        domain: "www.example.com".into(),
    };
    client.add_domain(&app, &domain).await.unwrap();
    let binding = pvdify_api::bindings::SetBinding {
        kind: "postgresql".into(),
        provider: None,
        entries: [("host".to_owned(), "ZGI=".to_owned())].into(),
    };
    client
        .set_binding(&app, &"db".parse().unwrap(), &binding)
        .await
        .unwrap();
    if endpoint.path.contains("/volumes") {
        prepare_volume(&client, &app, endpoint).await;
    }
    let set = [("A".to_owned(), Some("1".to_owned()))].into();
    let version = client.set_config(&app, &set).await.unwrap().release.unwrap();
    let mut events = client.release_events(&app, version).await.unwrap();
    while events.next().await.unwrap().is_some() {}
    if endpoint.method == "delete" {
        let key = pvdify_api::keys::AddKey {
            public_key: KEY.into(),
            name: None,
        };
        client.add_key(&key).await.unwrap();
    }
    if endpoint.path.ends_with("/cancel") {
        let body = pvdify_api::releases::CreateRelease { image: "gate".into() };
        assert_eq!(client.create_release(&app, &body).await.unwrap().version.0, 4);
    }
    (server, given.try_into().unwrap())
}

/// Gives the app a volume with a snapshot; a mounted one, where it is to be unmounted.
async fn prepare_volume(client: &pvdify_client::Client, app: &AppName, endpoint: &Endpoint) {
    let volume = "data".parse().unwrap();
    let body = CreateVolume { name: "data".into() };
    client.create_volume(app, &body).await.unwrap();
    let body = CreateSnapshot {
        name: Some("s1".into()),
        stop: false,
    };
    let mut events = client.create_snapshot(app, &volume, &body).await.unwrap();
    while events.next().await.unwrap().is_some() {}
    if endpoint.path.ends_with("/mounts") {
        let body = MountVolume {
            path: "/data".into(),
            ..MountVolume::default()
        };
        client.mount_volume(app, &volume, &body).await.unwrap();
    }
}

/// What changes without a request that changes: that a token was used.
fn changes(server: &Server) -> String {
    server
        .dump()
        .lines()
        .filter(|line| !line.starts_with("tokens:"))
        .collect::<Vec<_>>()
        .join("\n")
}

async fn check(endpoint: &'static Endpoint) {
    let what = format!("{} {}", endpoint.method, endpoint.path);
    let (needs, body) = entry(endpoint).unwrap_or_else(|| panic!("{what} has no entry in this test"));
    assert_eq!(endpoint.public, needs.is_none(), "{what}");
    let (server, tokens) = prepare(endpoint).await;
    let expected = StatusCode::from_u16(endpoint.status).unwrap();
    let Some(needs) = needs else {
        assert_eq!(
            call(&server, endpoint, &body, None, "demo").await,
            expected,
            "{what} without a token"
        );
        return;
    };
    let before = changes(&server);
    assert_eq!(
        call(&server, endpoint, &body, None, "demo").await,
        401,
        "{what} without a token"
    );
    for (scope, token) in Scope::ALL
        .into_iter()
        .zip(&tokens)
        .filter(|(scope, _)| *scope < needs)
    {
        assert_eq!(
            call(&server, endpoint, &body, Some(token), "demo").await,
            403,
            "{what} by {scope}"
        );
        // Who may not do it learns nothing of which apps there are.
        assert_eq!(
            call(&server, endpoint, &body, Some(token), "nobody").await,
            403,
            "{what} by {scope}"
        );
    }
    let token = &tokens[needs as usize];
    if endpoint.path.contains("{name}") {
        assert_eq!(
            call(&server, endpoint, &body, Some(token), "nobody").await,
            404,
            "{what} of no app"
        );
    }
    assert_eq!(changes(&server), before, "{what} changed something");
    assert_eq!(
        call(&server, endpoint, &body, Some(token), "demo").await,
        expected,
        "{what} by {needs}"
    );
}

#[tokio::test]
async fn every_endpoint_asks_who_it_is() {
    let checks: Vec<_> = ENDPOINTS
        .iter()
        .map(|endpoint| tokio::spawn(check(endpoint)))
        .collect();
    for check in checks {
        check.await.unwrap();
    }
}

#[test]
fn the_document_and_the_router_name_the_same_endpoints() {
    let router = include_str!("../../src/http/router.rs");
    let mut routed = BTreeSet::new();
    // Each `.route("PATH", get(..).put(..))`, however it is broken into lines.
    for rest in router.split(".route(").skip(1) {
        let path = rest.split('"').nth(1).unwrap();
        let handlers = rest
            .split(".route(")
            .next()
            .unwrap()
            .split(".route_layer")
            .next()
            .unwrap();
        for method in ["get", "post", "put", "patch", "delete"] {
            if handlers.contains(&format!("{method}(")) {
                routed.insert((method, path));
            }
        }
    }
    let documented: BTreeSet<_> = ENDPOINTS
        .iter()
        .map(|endpoint| (endpoint.method, endpoint.path))
        .collect();
    assert_eq!(routed, documented);
}

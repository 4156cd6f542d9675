//! Every endpoint once, as a person who does everything right meets it.

use crate::harness::{FINGERPRINT, KEY, Server, digest};
use pvdify_api::{
    apps::{CreateApp, Healthcheck, UpdateApp},
    domains::AddDomain,
    keys::AddKey,
    logs::{LogLine, LogQuery},
    ps::Scale,
    releases::ReleaseEvent,
};
use pvdify_types::{
    AppStatus, DomainStatus, Environment, Hostname, ProcessType, ReleaseStatus, ReleaseVersion, Resources,
};
use std::collections::BTreeMap;
use time::OffsetDateTime;

#[tokio::test]
async fn an_app_is_made_seen_changed_and_deleted_and_its_name_is_free_again() {
    let server = Server::start().await;
    let client = server.client();
    let body = CreateApp {
        name: "demo".into(),
        environment: Some("staging".into()),
    };
    let made = client.create_app(&body).await.unwrap();
    assert_eq!(made.status, AppStatus::Created);
    assert_eq!(made.environment, Environment::Staging);
    assert_eq!(made.web_url, "http://demo.localhost:8080");
    assert_eq!(made.git_url, "ssh://git@localhost:2222/demo.git");
    assert_eq!((made.image, made.release, made.bind_port), (None, None, None));
    assert_eq!(made.healthcheck, Healthcheck::default());
    assert_eq!(made.resources, Resources::default());

    let change = UpdateApp {
        environment: Some("production".into()),
        bind_port: Some(3000),
        ..UpdateApp::default()
    };
    let changed = client.update_app(&made.name, &change).await.unwrap();
    assert_eq!(changed.environment, Environment::Production);
    assert_eq!(changed.bind_port, Some(3000));
    assert_eq!(client.apps().await.unwrap().len(), 1);

    client.delete_app(&made.name).await.unwrap();
    assert!(client.apps().await.unwrap().is_empty());
    assert_eq!(client.app(&made.name).await.unwrap_err().status(), Some(404));
    client.create_app(&body).await.unwrap();
}

#[tokio::test]
async fn an_app_that_is_going_shows_so_until_its_containers_are_gone() {
    let server = Server::with(crate::harness::Options {
        reconcile: false,
        limits: pvdifyd::app::Limits {
            delete_time: std::time::Duration::ZERO,
            free_bytes: 0,
            ..Default::default()
        },
        ..Default::default()
    })
    .await;
    let app = server.create("demo").await;
    let client = server.client();
    client.delete_app(&app).await.unwrap();
    assert_eq!(client.app(&app).await.unwrap().status, AppStatus::Deleting);
    client.delete_app(&app).await.unwrap();
    let again = CreateApp {
        name: "demo".into(),
        environment: None,
    };
    let refused = client.create_app(&again).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.to_string()),
        (Some(409), "demo is being deleted".into())
    );
    let refused = client.restart(&app, &Default::default()).await.unwrap_err();
    assert_eq!(refused.to_string(), "demo is being deleted");

    server.reconciling.send_replace(true);
    server
        .generations
        .clone()
        .wait_for(|generation| generation.0 > 0)
        .await
        .unwrap();
    client.create_app(&again).await.unwrap();
}

#[tokio::test]
async fn an_image_is_released_and_its_progress_told() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    let body = pvdify_api::releases::CreateRelease {
        image: "nginx:worker".into(),
    };
    let release = client.create_release(&app, &body).await.unwrap();
    assert_eq!(release.status, ReleaseStatus::Pending);
    assert_eq!(release.version, ReleaseVersion(1));
    assert_eq!(
        (release.description.as_str(), release.user.as_str()),
        ("Deploy nginx:worker", "dev")
    );

    let mut lines = Vec::new();
    let mut events = client.release_events(&app, release.version).await.unwrap();
    let mut done = None;
    while let Some(event) = events.next().await.unwrap() {
        match event {
            ReleaseEvent::Line { text } => lines.push(text),
            ReleaseEvent::Done { status, failure } => done = Some((status, failure)),
        }
    }
    assert_eq!(done, Some((ReleaseStatus::Current, None)));
    let short = digest("nginx:worker")[..19].to_owned();
    assert_eq!(
        lines,
        [
            "Fetching nginx:worker".to_owned(),
            format!("Fetched {short}"),
            "web.1 of v1 starts".into()
        ]
    );
    // Whoever comes late is told the same.
    let mut late = client.release_events(&app, release.version).await.unwrap();
    assert_eq!(
        late.next().await.unwrap(),
        Some(ReleaseEvent::Line {
            text: "Fetching nginx:worker".into()
        })
    );

    let one = client.release(&app, release.version).await.unwrap();
    assert!(one.image.ends_with(&digest("nginx:worker")), "{}", one.image);
    assert_eq!(client.releases(&app).await.unwrap().len(), 1);

    server
        .desired
        .clone()
        .wait_for(|apps| apps.iter().any(|app| app.current.is_some()))
        .await
        .unwrap();
    let app = wait_for(&server, AppStatus::Running).await;
    assert_eq!(app.release, Some(1));
    assert_eq!(app.image, Some(one.image));
}

async fn wait_for(server: &Server, status: AppStatus) -> pvdify_api::apps::App {
    let mut seen = server.desired.clone();
    loop {
        let app = server.client().app(&"demo".parse().unwrap()).await.unwrap();
        if app.status == status {
            return app;
        }
        seen.changed().await.unwrap();
    }
}

#[tokio::test]
async fn processes_are_shown_scaled_and_restarted() {
    let server = Server::start().await;
    let app = server.serving("demo", "worker").await;
    let client = server.client();
    let shown = client.ps(&app).await.unwrap();
    let shown: Vec<_> = shown
        .iter()
        .map(|p| (p.process_type.as_str(), p.count, p.command.as_str()))
        .collect();
    assert_eq!(shown, [("web", 1, ""), ("worker", 0, "work")]);

    let body = Scale {
        processes: BTreeMap::from([("web".into(), 3), ("worker".into(), 2)]),
    };
    let scaled = client.scale(&app, &body).await.unwrap();
    assert_eq!(scaled.iter().map(|p| p.count).collect::<Vec<_>>(), [3, 2]);
    wait_for(&server, AppStatus::Running).await;
    let shown = client.ps(&app).await.unwrap();
    assert_eq!(shown[0].status, "running");
    let names: Vec<_> = shown
        .iter()
        .flat_map(|p| &p.instances)
        .map(|i| i.name.as_str())
        .collect();
    assert_eq!(names, ["web.1", "web.2", "web.3", "worker.1", "worker.2"]);
    assert_eq!(server.history(&app).await, ["v1 current"]);

    client.restart(&app, &Default::default()).await.unwrap();
    let mut desired = server.desired.clone();
    desired
        .wait_for(|apps| apps[0].restart_generation(&ProcessType::web(), 1) == 1)
        .await
        .unwrap();

    let body = Scale {
        processes: BTreeMap::from([("web".into(), 0), ("worker".into(), 0)]),
    };
    client.scale(&app, &body).await.unwrap();
    assert_eq!(client.app(&app).await.unwrap().status, AppStatus::Stopped);
    assert_eq!(client.ps(&app).await.unwrap()[0].status, "stopped");
}

#[tokio::test]
async fn what_was_scaled_stays_scaled_over_releases() {
    let server = Server::start().await;
    let app = server.serving("demo", "worker").await;
    let body = Scale {
        processes: BTreeMap::from([("web".into(), 2), ("worker".into(), 1)]),
    };
    server.client().scale(&app, &body).await.unwrap();
    let version = server.deploy(&app, "other").await;
    server.ended(&app, version).await;
    let shown = server.client().ps(&app).await.unwrap();
    assert_eq!(
        shown
            .iter()
            .map(|p| (p.process_type.as_str(), p.count))
            .collect::<Vec<_>>(),
        [("web", 2)]
    );
}

#[tokio::test]
async fn domains_are_added_listed_and_removed() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    let body = AddDomain {
        domain: "WWW.Example.COM".into(),
    };
    let added = client.add_domain(&app, &body).await.unwrap();
    assert_eq!(added.domain.as_str(), "www.example.com");
    assert_eq!(added.certificate, None);
    let mut desired = server.desired.clone();
    desired
        .wait_for(|apps| apps.first().is_some_and(|app| app.hosts.len() == 2))
        .await
        .unwrap();
    let listed = client.domains(&app).await.unwrap();
    let hosts: Vec<_> = listed.iter().map(|d| d.domain.as_str()).collect();
    assert_eq!(hosts, ["demo.localhost", "www.example.com"]);
    assert!(
        listed.iter().all(|domain| domain.status == DomainStatus::Active),
        "{listed:?}"
    );
    let host: Hostname = "www.example.com".parse().unwrap();
    client.remove_domain(&app, &host).await.unwrap();
    assert_eq!(client.domains(&app).await.unwrap().len(), 1);
    client.add_domain(&app, &body).await.unwrap();
}

#[tokio::test]
async fn keys_are_added_listed_and_removed() {
    let server = Server::start().await;
    let client = server.client();
    let body = AddKey {
        public_key: format!("{KEY}\n"),
        name: None,
    };
    let added = client.add_key(&body).await.unwrap();
    assert_eq!(
        (added.fingerprint.as_str(), added.name.as_str()),
        (FINGERPRINT, "ada@example.com")
    );
    assert_eq!(added.public_key, KEY.strip_suffix(" ada@example.com").unwrap());
    assert_eq!(client.keys().await.unwrap().len(), 1);
    client.remove_key(FINGERPRINT).await.unwrap();
    assert!(client.keys().await.unwrap().is_empty());
    let named = AddKey {
        name: Some("laptop".into()),
        ..body
    };
    assert_eq!(client.add_key(&named).await.unwrap().name, "laptop");
}

#[tokio::test]
async fn log_lines_are_filtered_and_followed() {
    let server = Server::start().await;
    let app = server.serving("demo", "worker").await;
    let id = server.desired.borrow()[0].id.clone();
    let line = |process: &str, message: &str| LogLine {
        time: OffsetDateTime::from_unix_timestamp(1_000_000_000).unwrap(),
        source: "app".into(),
        process: process.into(),
        message: message.into(),
    };
    for n in 0..3 {
        server.logs.append(&id, line("web.1", &format!("hello {n}")));
        server.logs.append(&id, line("worker.1", "work"));
    }
    let client = server.client();
    let query = LogQuery {
        lines: Some(2),
        process: Some("web".into()),
        source: Some("app".into()),
        ..LogQuery::default()
    };
    let lines = client.logs(&app, &query).await.unwrap();
    assert_eq!(
        lines.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(),
        ["hello 1", "hello 2"]
    );

    let told = LogQuery {
        source: Some("pvdify".into()),
        ..LogQuery::default()
    };
    let mut all = client.follow_logs(&app, &told).await.unwrap();
    for expected in [
        "Deploy worker",
        "Release v1 created by dev",
        "Release v1 is current",
    ] {
        assert_eq!(all.next().await.unwrap().unwrap().message, expected);
    }

    let mut follow = client.follow_logs(&app, &query).await.unwrap();
    assert_eq!(follow.next().await.unwrap().unwrap().message, "hello 1");
    assert_eq!(follow.next().await.unwrap().unwrap().message, "hello 2");
    server.logs.append(&id, line("worker.1", "left out"));
    server.logs.append(&id, line("web.1", "new"));
    assert_eq!(follow.next().await.unwrap().unwrap().message, "new");
    server.app.close();
    assert_eq!(follow.next().await.unwrap(), None);
}

#[tokio::test]
async fn health_answers_at_both_places_and_the_document_names_every_path() {
    let server = Server::with(crate::harness::Options {
        dev: false,
        ..Default::default()
    })
    .await;
    for path in ["/health", "/api/v1/health"] {
        let body: serde_json::Value = reqwest::get(format!("{}{path}", server.url))
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(
            body,
            serde_json::json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")})
        );
    }
    let url = format!("{}/api/v1/openapi.json", server.url);
    let document: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    insta::assert_json_snapshot!("openapi", document);
}

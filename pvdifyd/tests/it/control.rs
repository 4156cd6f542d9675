//! The control socket: who may connect, what git-receiver and the router are told.

use crate::harness::{FINGERPRINT, Options, Server};
use pvdify_api::control::{Draining, RouterReport};
use pvdify_types::Generation;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_socket_is_for_its_owner_alone_and_only_one_process_has_it() {
    let server = Server::start().await;
    let path = server.path("control.sock");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let second = pvdifyd::http::bind_control(&path).await.unwrap_err().to_string();
    assert!(second.starts_with("another pvdifyd answers at "), "{second}");
}

#[tokio::test]
async fn a_peer_that_the_kernel_does_not_name_is_refused() {
    use tower::ServiceExt;
    let server = Server::start().await;
    let ask = |router: axum::Router, path: &str| {
        let request = axum::http::Request::get(path).header("host", "localhost");
        router.oneshot(request.body(axum::body::Body::empty()).unwrap())
    };
    let control = pvdifyd::http::control_router(server.app.clone());
    assert_eq!(ask(control, "/control/v1/apps").await.unwrap().status(), 403);
    let settings = pvdifyd::http::HttpSettings {
        dev: true,
        ..Default::default()
    };
    let api = pvdifyd::http::api_router(server.app.clone(), settings);
    assert_eq!(ask(api, "/api/v1/apps").await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_verified_key_is_identified_and_an_unknown_one_is_nobody() {
    let server = Server::start().await;
    let control = server.control();
    assert_eq!(control.identify_ssh_key(FINGERPRINT).await.unwrap(), None);
    server.add_key().await;
    let identity = control.identify_ssh_key(FINGERPRINT).await.unwrap().unwrap();
    assert_eq!(identity.name, "ada@example.com");
}

#[tokio::test]
async fn a_push_is_granted_to_a_key_and_every_refusal_reads_the_same() {
    let server = Server::start().await;
    server.add_key().await;
    let app = server.create("demo").await;
    let control = server.control();
    let grant = control.authorise_push(FINGERPRINT, "demo").await.unwrap();
    assert_eq!(
        (grant.app, grant.deploy_branches),
        (app.clone(), vec!["main".into(), "master".into()])
    );
    assert_eq!(control.living_apps().await.unwrap().ids, [grant.app_id]);
    for nothing in ["other", "../../etc", "a b", "$(id)", "-x", "", "DEMO"] {
        let error = control.authorise_push(FINGERPRINT, nothing).await.unwrap_err();
        let expected = format!("there is no app {nothing:?}");
        assert_eq!((error.status(), error.to_string()), (Some(404), expected));
    }
    server.client().delete_app(&app).await.unwrap();
    assert_eq!(
        control
            .authorise_push(FINGERPRINT, "demo")
            .await
            .unwrap_err()
            .status(),
        Some(404)
    );
    assert!(control.living_apps().await.unwrap().ids.is_empty());
}

#[tokio::test]
async fn whole_route_tables_come_as_they_change_and_none_before_the_first() {
    let server = Server::with(Options {
        reconcile: false,
        ..Options::default()
    })
    .await;
    let mut tables = server.control().routes().await.unwrap();
    let waiting = tokio::spawn(async move {
        let first = tables.next().await.unwrap().unwrap();
        (first, tables)
    });
    server.create("demo").await;
    server.reconciling.send_replace(true);
    let (first, mut tables) = waiting.await.unwrap();
    assert_eq!(first.generation, Generation(1));
    server.create("other").await;
    let mut last = first;
    while last.resolve("other.localhost").is_none() {
        let next = tables.next().await.unwrap().unwrap();
        assert!(next.generation > last.generation);
        last = next;
    }
    assert!(last.resolve("demo.localhost").is_some());
    // Whoever comes later gets the present one at once.
    let mut late = server.control().routes().await.unwrap();
    assert_eq!(late.next().await.unwrap(), Some(last));
    server.app.close();
    assert_eq!(late.next().await.unwrap(), None);
}

#[tokio::test]
async fn the_routers_word_is_taken() {
    let server = Server::start().await;
    let report = RouterReport {
        generation: Generation(1),
        draining: vec![Draining {
            instance: "abc".parse().unwrap(),
            in_flight: 3,
        }],
    };
    server.control().report_routes(&report).await.unwrap();
}

#[tokio::test]
async fn the_rest_api_is_not_on_the_control_socket_nor_the_other_way_round() {
    let server = Server::start().await;
    assert_eq!(server.control().apps().await.unwrap_err().status(), Some(404));
    let url = format!("{}/control/v1/apps", server.url);
    assert_eq!(reqwest::get(url).await.unwrap().status(), 404);
}

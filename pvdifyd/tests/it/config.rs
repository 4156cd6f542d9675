//! Config vars: merged, sealed, released, never lost.

use crate::harness::Server;
use pvdify_api::{
    apps::{Healthcheck, UpdateApp},
    config::ConfigChange,
};
use pvdify_types::{ReleaseStatus, ReleaseVersion};
use pvdifyd::reconcile::desired::Readiness;

pub(crate) fn change(pairs: &[(&str, Option<&str>)]) -> ConfigChange {
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

//! Releases: failure leaves the old one serving, rollback returns to what served.

use crate::harness::{Server, digest, image_of};
use pvdify_api::{
    config::ConfigChange,
    releases::{ReleaseEvent, Rollback},
};
use pvdify_types::{ReleaseCause, ReleaseStatus, ReleaseVersion};
use pvdifyd::app::IMAGES_KEPT;

#[tokio::test]
async fn a_release_that_fails_leaves_the_old_one_serving_and_tells_why() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    let version = server.deploy(&app, "unhealthy").await;
    let mut events = client.release_events(&app, version).await.unwrap();
    let mut all = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        all.push(event);
    }
    let failure = Some("web.1 exited with status 1".to_owned());
    let done = ReleaseEvent::Done {
        status: ReleaseStatus::Failed,
        failure: failure.clone(),
    };
    assert_eq!(all.last(), Some(&done));
    assert!(
        all.contains(&ReleaseEvent::Line { text: "boom".into() }),
        "{all:?}"
    );
    assert_eq!(client.release(&app, version).await.unwrap().failure, failure);
    assert_eq!(server.history(&app).await, ["v1 current", "v2 failed"]);
    assert_eq!(client.app(&app).await.unwrap().release, Some(1));
}

#[tokio::test]
async fn an_image_that_can_not_be_had_is_a_failed_release_and_the_next_one_goes_on() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let version = server.deploy(&app, "bad").await;
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Failed);
    let release = server.client().release(&app, version).await.unwrap();
    assert_eq!(
        (release.image.as_str(), release.failure.as_deref()),
        ("bad", Some("bad is bad\nsecond line"))
    );
    assert_eq!(
        server.client().app(&app).await.unwrap().status,
        pvdify_types::AppStatus::Failed
    );
    let version = server.deploy(&app, "good").await;
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Current);
}

#[tokio::test]
async fn releases_of_one_app_deploy_one_after_the_other_in_their_order() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let slow = server.deploy(&app, "gate-one").await;
    let quick = server.deploy(&app, "two").await;
    let mut events = server.client().release_events(&app, quick).await.unwrap();
    while let Some(ReleaseEvent::Line { text }) = events.next().await.unwrap() {
        if text.starts_with("Fetched") {
            break;
        }
    }
    assert_eq!(server.history(&app).await, ["v1 building", "v2 pending"]);
    server.open_gate();
    assert_eq!(server.ended(&app, quick).await, ReleaseStatus::Current);
    assert_eq!(server.ended(&app, slow).await, ReleaseStatus::Superseded);
}

#[tokio::test]
async fn a_rollback_brings_image_and_config_back_and_goes_further_each_time() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let client = server.client();
    for (image, value) in [("one", "1"), ("two", "2"), ("three", "3")] {
        let set = ConfigChange::from([("V".to_owned(), Some(value.to_owned()))]);
        if let Some(version) = client.set_config(&app, &set).await.unwrap().release {
            server.ended(&app, version).await;
        }
        let version = server.deploy(&app, image).await;
        server.ended(&app, version).await;
    }
    let before = [
        "v1 superseded",
        "v2 superseded",
        "v3 superseded",
        "v4 superseded",
        "v5 current",
    ];
    assert_eq!(server.history(&app).await, before);

    let back = client
        .rollback(&app, &Rollback { version: Some(3) })
        .await
        .unwrap();
    assert_eq!(back.version, ReleaseVersion(6));
    assert_eq!(
        (back.description.as_str(), back.cause),
        (
            "Rollback to v3",
            ReleaseCause::Rollback {
                to: ReleaseVersion(3)
            }
        )
    );
    assert_eq!(server.ended(&app, back.version).await, ReleaseStatus::Current);
    assert!(
        client
            .app(&app)
            .await
            .unwrap()
            .image
            .unwrap()
            .ends_with(&digest("two"))
    );
    assert_eq!(client.config(&app).await.unwrap()["V"], "2");
    assert_eq!(
        client.release(&app, ReleaseVersion(5)).await.unwrap().status,
        ReleaseStatus::RolledBack
    );

    // Without a version: from where the last rollback led to, one further back.
    let url = format!("{}/api/v1/apps/demo/rollback", server.url);
    let response = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let back: pvdify_api::releases::Release = response.json().await.unwrap();
    assert_eq!(
        back.cause,
        ReleaseCause::Rollback {
            to: ReleaseVersion(2)
        }
    );
    assert_eq!(server.ended(&app, back.version).await, ReleaseStatus::Current);
    assert!(
        client
            .app(&app)
            .await
            .unwrap()
            .image
            .unwrap()
            .ends_with(&digest("one"))
    );
    assert_eq!(client.config(&app).await.unwrap()["V"], "2");
}

#[tokio::test]
async fn a_rollback_that_fails_gives_the_config_back() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    let set = ConfigChange::from([("A".to_owned(), Some("1".to_owned()))]);
    let v2 = client.set_config(&app, &set).await.unwrap().release.unwrap();
    server.ended(&app, v2).await;
    server.doomed.send_replace(true);
    let v3 = client
        .rollback(&app, &Rollback { version: Some(1) })
        .await
        .unwrap()
        .version;
    assert_eq!(server.ended(&app, v3).await, ReleaseStatus::Failed);
    assert_eq!(client.config(&app).await.unwrap()["A"], "1");
    assert_eq!(
        server.history(&app).await,
        ["v1 superseded", "v2 current", "v3 failed"]
    );
    server.doomed.send_replace(false);
    let v4 = client
        .rollback(&app, &Rollback { version: Some(1) })
        .await
        .unwrap()
        .version;
    assert_eq!(server.ended(&app, v4).await, ReleaseStatus::Current);
    assert!(client.config(&app).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_never_served_serves_now_or_is_unknown_is_no_target() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    let failed = server.deploy(&app, "unhealthy").await;
    server.ended(&app, failed).await;
    let before = server.dump();
    let mut told = Vec::new();
    for version in [None, Some(1), Some(2), Some(9), Some(0), Some(u64::MAX)] {
        let error = client.rollback(&app, &Rollback { version }).await.unwrap_err();
        told.push(format!("{} {error}", error.status().unwrap()));
    }
    assert_eq!(
        told,
        [
            "409 demo has no earlier release to return to",
            "409 demo v1 is what serves now",
            "409 demo v2 never served: it is failed",
            "404 demo has no release 9",
            "404 demo has no release 0",
            "404 demo has no release 18446744073709551615",
        ]
    );
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn the_images_of_the_last_ones_that_served_are_kept_and_an_older_one_is_no_target() {
    let server = Server::start().await;
    let app = server.serving("demo", "image-1").await;
    let failed = server.deploy(&app, "unhealthy").await;
    server.ended(&app, failed).await;
    for n in 2..=IMAGES_KEPT + 1 {
        let version = server.deploy(&app, &format!("image-{n}")).await;
        server.ended(&app, version).await;
    }
    let set = ConfigChange::from([("A".to_owned(), Some("1".to_owned()))]);
    let release = server
        .client()
        .set_config(&app, &set)
        .await
        .unwrap()
        .release
        .unwrap();
    server.ended(&app, release).await;
    let kept = server.app.images_in_use(IMAGES_KEPT).await.unwrap();
    let expected = (2..=IMAGES_KEPT + 1).map(|n| image_of(&app, &format!("image-{n}")).digest);
    assert_eq!(kept, expected.collect());
    assert_eq!(server.app.images_in_use(1).await.unwrap().len(), 1);

    let error = server
        .client()
        .rollback(&app, &Rollback { version: Some(1) })
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the image of demo v1 is no longer kept: only those of the last 10 are"
    );
}

#[tokio::test]
async fn deleting_an_app_ends_what_was_under_way() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let version = server.deploy(&app, "gate").await;
    let mut events = server.client().release_events(&app, version).await.unwrap();
    server.client().delete_app(&app).await.unwrap();
    let mut last = None;
    while let Some(event) = events.next().await.unwrap() {
        last = Some(event);
    }
    assert_eq!(
        last,
        Some(ReleaseEvent::Done {
            status: ReleaseStatus::Failed,
            failure: Some("the app was deleted".into())
        })
    );
    // The import ends into nothing, and another app of the name is not touched by it.
    let again = server.create("demo").await;
    server.open_gate();
    assert!(server.client().releases(&again).await.unwrap().is_empty());
}

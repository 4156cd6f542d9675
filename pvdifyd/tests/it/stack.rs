//! All apps on the newest run image: which get a release, which stay as they are, and what is told of each.

use crate::harness::Server;
use pvdify_api::stack::{StackEvent, StackOutcome};
use pvdify_types::{ReleaseCause, ReleaseStatus, ReleaseVersion};

/// A rebase by the API to its end; the apps' events by name, as apps are done at the same time.
async fn rebase(server: &Server) -> (Vec<(String, StackOutcome)>, StackEvent) {
    let mut events = server.client().rebase_stack().await.unwrap();
    let mut apps = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        match event {
            StackEvent::App { app, outcome } => apps.push((app.to_string(), outcome)),
            StackEvent::Done { .. } | StackEvent::Failed { .. } => {
                apps.sort_by(|a, b| a.0.cmp(&b.0));
                return (apps, event);
            }
            StackEvent::Published { .. } | StackEvent::KeepAlive => {}
        }
    }
    panic!("the events ended without an end");
}

fn released(version: u64) -> StackOutcome {
    StackOutcome::Released { version }
}

#[tokio::test]
async fn every_app_on_an_older_run_image_gets_a_release_and_no_other() {
    let server = Server::start().await;
    let app = server.serving("blog", "buildpack-blog").await;
    server.serving("docker", "one").await;
    server.create("empty").await;
    let set = [("A".to_owned(), Some("1".to_owned()))].into();
    let configured = server.client().set_config(&app, &set).await.unwrap();
    server.ended(&app, configured.release.unwrap()).await;
    let (apps, done) = rebase(&server).await;
    assert_eq!(apps[0], ("blog".into(), StackOutcome::Newest));

    server.images.run_image.send_replace("run-2".into());
    server.serving("fresh", "buildpack-fresh").await;
    let before = server.client().app(&app).await.unwrap().image;
    let (apps, later) = rebase(&server).await;
    let refused = StackOutcome::NotRebasable {
        reason: "docker: no buildpack built it. Deploy it again instead".into(),
    };
    assert_eq!(
        apps,
        [
            ("blog".into(), released(3)),
            ("docker".into(), refused),
            ("fresh".into(), StackOutcome::Newest),
        ]
    );
    assert_ne!(done, later);
    let counted = StackEvent::Done {
        released: 1,
        newest: 1,
        not_rebasable: 1,
        failed: 0,
    };
    assert_eq!(later, counted);
    let release = server.client().release(&app, ReleaseVersion(3)).await.unwrap();
    assert_eq!(
        (release.cause, release.description.as_str(), release.user.as_str()),
        (ReleaseCause::Stack, "Stack update", "dev")
    );
    assert_eq!(release.status, ReleaseStatus::Current);
    assert_ne!(server.client().app(&app).await.unwrap().image, before);
    assert_eq!(server.client().config(&app).await.unwrap()["A"], "1");

    // Again: nothing is left to do.
    let (apps, _) = rebase(&server).await;
    assert_eq!(apps[0], ("blog".into(), StackOutcome::Newest));
    assert_eq!(server.history(&app).await.len(), 3);
    // A rollback returns to the older run image, and the next run brings it to the newest again.
    let body = pvdify_api::releases::Rollback::default();
    let back = server.client().rollback(&app, &body).await.unwrap();
    assert_eq!(server.ended(&app, back.version).await, ReleaseStatus::Current);
    assert_eq!(server.client().app(&app).await.unwrap().image, before);
    assert_eq!(rebase(&server).await.0[0], ("blog".into(), released(5)));
}

#[tokio::test]
async fn an_app_that_does_not_run_on_the_new_image_goes_on_serving_on_the_old_one() {
    let server = Server::start().await;
    let app = server.serving("blog", "buildpack-blog").await;
    let before = server.client().app(&app).await.unwrap().image;
    server.images.run_image.send_replace("run-unhealthy".into());
    let mut events = server.control().control_rebase_stack().await.unwrap();
    let mut told = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        told.push(event);
    }
    let failed = StackOutcome::Failed {
        reason: "web.1 exited with status 1".into(),
    };
    assert!(
        told.contains(&StackEvent::App {
            app: app.clone(),
            outcome: failed
        }),
        "{told:?}"
    );
    assert_eq!(server.history(&app).await, ["v1 current", "v2 failed"]);
    assert_eq!(server.client().app(&app).await.unwrap().image, before);
    let release = server.client().release(&app, ReleaseVersion(2)).await.unwrap();
    assert_eq!(release.user, "pvdifyd");
}

#[tokio::test]
async fn a_deploy_under_way_is_waited_for_and_its_code_is_what_is_rebased() {
    let server = Server::start().await;
    let app = server.serving("blog", "buildpack-blog").await;
    let deploy = server.deploy(&app, "gate-buildpack-two").await;
    // It was built on the older one: the gate opens after the new one is published.
    server.reconciling.send_replace(false);
    server.open_gate();
    let mut events = server.client().release_events(&app, deploy).await.unwrap();
    while let Some(event) = events.next().await.unwrap() {
        if matches!(&event, pvdify_api::releases::ReleaseEvent::Line { text } if text.starts_with("Fetched"))
        {
            break;
        }
    }
    server.images.run_image.send_replace("run-2".into());
    let mut events = server.client().rebase_stack().await.unwrap();
    assert!(matches!(
        events.next().await.unwrap(),
        Some(StackEvent::Published { .. })
    ));
    server.reconciling.send_replace(true);
    let outcome = events.next().await.unwrap().unwrap();
    assert_eq!(
        outcome,
        StackEvent::App {
            app: app.clone(),
            outcome: released(3)
        }
    );
    assert_eq!(
        server.history(&app).await,
        ["v1 superseded", "v2 superseded", "v3 current"]
    );
    let all = server.client().releases(&app).await.unwrap();
    assert_eq!(all[1].description, "Deploy gate-buildpack-two");
    assert!(
        all[0].image.contains("/blog/run-2@") && all[1].image.contains("/blog/run-1@"),
        "{all:?}"
    );
}

#[tokio::test]
async fn without_a_run_image_nothing_is_changed_and_it_is_told() {
    let server = Server::start().await;
    let app = server.serving("blog", "buildpack-blog").await;
    server.images.run_image.send_replace(String::new());
    let (apps, end) = rebase(&server).await;
    let message = "there is no run image".to_owned();
    assert_eq!((apps, end), (vec![], StackEvent::Failed { message }));
    assert_eq!(server.history(&app).await, ["v1 current"]);
}

#[tokio::test]
async fn whoever_asked_may_go_and_the_work_goes_on() {
    let server = Server::start().await;
    let app = server.serving("blog", "buildpack-blog").await;
    server.images.run_image.send_replace("run-2".into());
    drop(server.client().rebase_stack().await.unwrap());
    // The second one waits for the first and finds nothing left to do.
    let (apps, _) = rebase(&server).await;
    assert_eq!(apps, [("blog".to_owned(), StackOutcome::Newest)]);
    assert_eq!(server.history(&app).await, ["v1 superseded", "v2 current"]);
}

//! Killed and started again: what lost its owner is ended, what is durable is there.

use crate::harness::{FINGERPRINT, Options, Server};
use pvdify_api::{control::BuildQuery, releases::ReleaseEvent};
use pvdify_types::{Generation, ReleaseStatus, ReleaseVersion};
use pvdifyd::store::{KeyFileError, Secrets, Store, anything_sealed};

#[tokio::test]
async fn builds_and_imports_that_lost_their_owner_are_ended_and_everything_else_is_there() {
    let server = Server::start().await;
    server.add_key().await;
    let app = server.serving("demo", "one").await;
    let set = [("A".to_owned(), Some("1".to_owned()))].into();
    let version = server
        .client()
        .set_config(&app, &set)
        .await
        .unwrap()
        .release
        .unwrap();
    server.ended(&app, version).await;
    let import = server.deploy(&app, "gate").await;
    let query = BuildQuery {
        commit: "a".repeat(40),
        fingerprint: FINGERPRINT.into(),
    };
    let mut events = server.control().build(&app, &query, "gate".into()).await.unwrap();
    events.next().await.unwrap();
    let generation = *server.generations.borrow();
    assert!(generation > Generation(0));
    let dir = server.kill().await;
    assert!(
        events.next().await.map_or(true, |event| event.is_none()),
        "the stream ends without a last event"
    );
    assert_eq!(std::fs::read_dir(dir.path().join("builds")).unwrap().count(), 1);

    let server = Server::in_dir(dir, Options::default()).await;
    assert_eq!(std::fs::read_dir(server.path("builds")).unwrap().count(), 0);
    assert_eq!(
        server.history(&app).await,
        ["v1 superseded", "v2 current", "v3 failed"]
    );
    let mut events = server.client().release_events(&app, import).await.unwrap();
    let done = ReleaseEvent::Done {
        status: ReleaseStatus::Failed,
        failure: Some("interrupted: Pvdify was stopped meanwhile; try again".into()),
    };
    assert_eq!(events.next().await.unwrap(), Some(done));
    let builds = server.dump();
    let build = builds.lines().find(|line| line.starts_with("builds:")).unwrap();
    assert!(
        build.contains("failed") && build.contains("interrupted"),
        "{build}"
    );
    assert_eq!(server.client().config(&app).await.unwrap()["A"], "1");
    let mut generations = server.generations.clone();
    assert!(
        *generations.wait_for(|now| now.0 > 0).await.unwrap() > generation,
        "generations only grow"
    );
}

#[tokio::test]
async fn a_release_that_was_deploying_goes_on_with_its_time_anew() {
    let server = Server::with(Options {
        reconcile: false,
        ..Options::default()
    })
    .await;
    let app = server.create("demo").await;
    let version = server.deploy(&app, "one").await;
    let mut events = server.client().release_events(&app, version).await.unwrap();
    while let Some(ReleaseEvent::Line { text }) = events.next().await.unwrap() {
        if text.starts_with("Fetched") {
            break;
        }
    }
    use pvdifyd::reconcile::desired::ControlState;
    let loaded = server.app.load().await.unwrap();
    let deadline = loaded[0].candidate.as_ref().unwrap().deadline;
    assert!(loaded[0].current.is_none());
    let dir = server.kill().await;
    // Long after its time.
    let path = dir.path().join("pvdify.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute("UPDATE releases SET deadline = 1", []).unwrap();
    drop(db);
    let server = Server::in_dir(
        dir,
        Options {
            reconcile: false,
            ..Options::default()
        },
    )
    .await;
    let loaded = server.app.load().await.unwrap();
    assert!(loaded[0].candidate.as_ref().unwrap().deadline >= deadline);
    server.reconciling.send_replace(true);
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Current);
}

#[tokio::test]
async fn the_last_lines_of_a_failed_release_survive() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let version = server.deploy(&app, "unhealthy").await;
    server.ended(&app, version).await;
    let server = Server::in_dir(server.kill().await, Options::default()).await;
    let mut events = server.client().release_events(&app, version).await.unwrap();
    assert_eq!(
        events.next().await.unwrap(),
        Some(ReleaseEvent::Line { text: "boom".into() })
    );
}

#[tokio::test]
async fn without_its_key_file_the_database_is_not_opened() {
    let server = Server::start().await;
    let app = server.create("demo").await;
    let set = [("A".to_owned(), Some("1".to_owned()))].into();
    server.client().set_config(&app, &set).await.unwrap();
    let dir = server.kill().await;
    std::fs::remove_file(dir.path().join("key")).unwrap();
    let store = Store::open(&dir.path().join("pvdify.db")).unwrap();
    let sealed = store.read(anything_sealed).await.unwrap();
    let error = Secrets::open(&dir.path().join("key"), sealed).unwrap_err();
    assert!(matches!(error, KeyFileError::Missing { .. }), "{error}");
}

#[tokio::test]
async fn activating_or_failing_twice_or_too_late_changes_nothing() {
    use pvdifyd::reconcile::desired::ControlState;
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let v2 = server.deploy(&app, "two").await;
    server.ended(&app, v2).await;
    let id = server.desired.borrow()[0].id.clone();
    let before = server.dump();
    server.app.activate(&id, ReleaseVersion(1)).await.unwrap();
    server.app.activate(&id, v2).await.unwrap();
    server.app.fail(&id, v2, "late".into(), vec![]).await.unwrap();
    server.app.activate(&id, ReleaseVersion(99)).await.unwrap();
    server
        .app
        .fail(&id, ReleaseVersion(99), "none".into(), vec![])
        .await
        .unwrap();
    server.app.forget(&id).await.unwrap();
    assert_eq!(server.dump(), before);
}

//! Release commands and postdeploys: what their end means for the release, and what is told of it.

use crate::harness::Server;
use pvdify_types::{ReleaseStatus, ReleaseVersion};

#[tokio::test]
async fn a_release_command_runs_before_its_release_and_its_output_is_kept() {
    let server = Server::start().await;
    let app = server.serving("demo", "command").await;
    let output = server
        .client()
        .release_output(&app, ReleaseVersion(1))
        .await
        .unwrap();
    assert_eq!(
        (
            output.name.as_str(),
            output.command.as_str(),
            output.status.as_str()
        ),
        ("release.1001", "migrate", "succeeded")
    );
    assert_eq!(
        (output.exit_status, output.output.as_str()),
        (Some(0), "migrate ran\n")
    );

    let change = [("A".to_owned(), Some("1".to_owned()))].into();
    let changed = server.client().set_config(&app, &change).await.unwrap();
    let version = changed.release.unwrap();
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Current);
    let output = server.client().release_output(&app, version).await.unwrap();
    assert_eq!(output.name, "release.1002", "a change of config runs it too");
}

#[tokio::test]
async fn a_release_command_that_fails_fails_its_release_and_the_old_one_stays() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let version = server.deploy(&app, "command-fail").await;
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Failed);
    assert_eq!(server.history(&app).await, ["v1 current", "v2 failed"]);
    let client = server.client();
    let release = client.release(&app, version).await.unwrap();
    assert_eq!(
        release.failure.as_deref(),
        Some("release.1001 exited with status 3")
    );
    let output = client.release_output(&app, version).await.unwrap();
    assert_eq!(
        (output.status.as_str(), output.output.as_str()),
        ("failed", "fail ran\n")
    );
    assert_eq!(output.failure.as_deref(), Some("exited with status 3"));

    let refused = client.release_output(&app, ReleaseVersion(1)).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.to_string()),
        (Some(404), "demo v1 ran no release command".into())
    );
}

#[tokio::test]
async fn a_release_under_way_is_cancelled_once_and_what_serves_stays() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let client = server.client();
    server.reconciling.send_replace(false);
    let version = server.deploy(&app, "command").await;
    let cancelled = client.cancel_release(&app, version).await.unwrap();
    assert_eq!(cancelled.status, ReleaseStatus::Failed);
    assert_eq!(cancelled.failure.as_deref(), Some("cancelled by dev"));
    let again = client.cancel_release(&app, version).await.unwrap_err();
    assert_eq!(
        (again.status(), again.to_string()),
        (Some(409), "demo v2 has ended: it is failed".into())
    );
    server.reconciling.send_replace(true);
    let next = server.deploy(&app, "three").await;
    assert_eq!(server.ended(&app, next).await, ReleaseStatus::Current);
    assert_eq!(
        server.history(&app).await,
        ["v1 superseded", "v2 failed", "v3 current"]
    );
}

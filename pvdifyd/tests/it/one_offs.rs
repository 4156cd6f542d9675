//! What runs once, and what people ask of what runs: release commands, commands of their own, restarts and stops.

use crate::harness::Server;
use pvdify_api::{
    one_offs::RunOneOff,
    ps::{Restart, Stop},
};
use pvdify_types::{ProcessType, ReleaseStatus, ReleaseVersion};

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
        (output.exit_status, output.output.as_deref()),
        (Some(0), Some("migrate ran\n"))
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
        (output.status.as_str(), output.output.as_deref()),
        ("failed", Some("fail ran\n"))
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

#[tokio::test]
async fn a_command_runs_once_on_its_own_and_is_shown_while_it_does() {
    let server = Server::start().await;
    let client = server.client();
    let app = server.create("demo").await;
    let run = |command: &str| RunOneOff {
        command: command.into(),
    };
    let refused = client.run_one_off(&app, &run("seed")).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.to_string()),
        (Some(409), "nothing was deployed to demo yet".into())
    );
    let version = server.deploy(&app, "one").await;
    assert_eq!(server.ended(&app, version).await, ReleaseStatus::Current);
    let empty = client.run_one_off(&app, &run("  ")).await.unwrap_err();
    assert_eq!(
        (empty.status(), empty.to_string()),
        (Some(422), "the command is empty".into())
    );

    server.reconciling.send_replace(false);
    let mut names = Vec::new();
    for _ in 0..10 {
        names.push(client.run_one_off(&app, &run("rake seed")).await.unwrap().name);
    }
    assert_eq!((names[0].as_str(), names[9].as_str()), ("run.1001", "run.1010"));
    let refused = client.run_one_off(&app, &run("one more")).await.unwrap_err();
    assert_eq!(
        (refused.status(), refused.to_string()),
        (Some(409), "10 one-off processes of demo run already".into())
    );
    let shown = client.ps(&app).await.unwrap();
    let runs = shown
        .iter()
        .find(|process| process.process_type.as_str() == "run")
        .unwrap();
    assert_eq!(
        (runs.count, runs.instances[9].command.as_deref()),
        (10, Some("rake seed"))
    );

    let stop = |process: &str| Stop {
        process: process.into(),
    };
    client.stop(&app, &stop("run.1001")).await.unwrap();
    let again = client.stop(&app, &stop("run.1001")).await.unwrap_err();
    assert_eq!(
        (again.status(), again.to_string()),
        (Some(404), "no one-off process run.1001 of demo runs".into())
    );
    let stopped = client.one_off(&app, "run.1001".parse().unwrap()).await.unwrap();
    assert_eq!(
        (stopped.status.as_str(), stopped.failure.as_deref()),
        ("cancelled", Some("was stopped by dev"))
    );
    server.reconciling.send_replace(true);
    let mut desired = server.desired.clone();
    let all = loop {
        desired.changed().await.unwrap();
        let all = client.one_offs(&app).await.unwrap();
        if all.iter().all(|one_off| one_off.ended_at.is_some()) {
            break all;
        }
    };
    let ended: Vec<_> = all.iter().map(|one_off| one_off.status.as_str()).collect();
    assert_eq!(ended, [&["succeeded"; 9][..], &["cancelled"]].concat());
    assert!(all.iter().all(|one_off| one_off.output.is_none()));
    let one = client.one_off(&app, "run.1002".parse().unwrap()).await.unwrap();
    assert_eq!(one.output.as_deref(), Some("rake seed ran\n"));
}

#[tokio::test]
async fn restarts_and_stops_reach_what_is_named_and_nothing_that_is_not_there() {
    let server = Server::start().await;
    let client = server.client();
    let app = server.serving("demo", "worker").await;
    let restart = |process: &str| Restart {
        process: Some(process.into()),
    };
    let stop = |process: &str| Stop {
        process: process.into(),
    };
    client.restart(&app, &restart("web.1")).await.unwrap();
    client.stop(&app, &stop("web")).await.unwrap();
    let (web, worker) = (ProcessType::web(), "worker".parse().unwrap());
    let mut desired = server.desired.clone();
    let now = std::time::SystemTime::now;
    desired
        .wait_for(|apps| {
            apps[0].restart_generation(&web, 1) == 1 && apps[0].stopped_at(&web, 1, now()).is_some()
        })
        .await
        .unwrap();
    assert_eq!(desired.borrow()[0].restart_generation(&web, 2), 0);
    assert_eq!(desired.borrow()[0].stopped_at(&worker, 1, now()), None);

    let table = [
        ("web.2", 404, "demo has no process web.2: it is scaled to web=1"),
        ("clock", 422, "demo has no process type \"clock\""),
        ("web.0", 422, "a process is named as web.1, not as \"web.0\""),
        (
            "worker.1",
            404,
            "demo has no process worker.1: it is scaled to worker=0",
        ),
    ];
    for (process, status, text) in table {
        for refused in [
            client.restart(&app, &restart(process)).await.unwrap_err(),
            client.stop(&app, &stop(process)).await.unwrap_err(),
        ] {
            assert_eq!(
                (refused.status(), refused.to_string()),
                (Some(status), text.into())
            );
        }
    }
}

//! `storage:*`.

use crate::{
    cli::Cli,
    samples::{TIME, events},
    server::{Answer, Event, Server, empty, event, json, with_release},
};
use insta::assert_snapshot;
use pvdify_api::volumes::{Snapshot, Volume, VolumeEvent, VolumeMount};
use pvdify_types::ReleaseStatus;

fn mount(process: Option<&str>, path: &str, read_only: bool, shared: bool) -> VolumeMount {
    VolumeMount {
        process: process.map(|process| process.parse().unwrap()),
        path: path.parse().unwrap(),
        read_only,
        shared,
    }
}

fn volume(name: &str, mounts: Vec<VolumeMount>) -> Volume {
    Volume {
        name: name.parse().unwrap(),
        mounts,
        bytes: Some(3 << 29),
        owner: Some("1000:1000".into()),
        operation: None,
        snapshots: 2,
        created_at: TIME,
    }
}

fn snapshot(name: &str, status: &str, stopped: bool) -> Snapshot {
    Snapshot {
        name: name.parse().unwrap(),
        status: status.into(),
        stopped,
        bytes: (status == "ready").then_some(4096),
        failure: (status == "failed").then(|| "the disk is full".into()),
        created_at: TIME,
    }
}

fn told(all: &[VolumeEvent]) -> Answer {
    Answer::Events(all.iter().map(event).collect())
}

#[tokio::test]
async fn volumes_are_listed_with_where_they_are() {
    let all = [
        volume("data", vec![mount(None, "/data", false, false)]),
        volume(
            "files",
            vec![
                mount(Some("web"), "/files", false, true),
                mount(Some("worker"), "/in", true, false),
            ],
        ),
        Volume {
            bytes: None,
            owner: None,
            operation: Some("restore".into()),
            ..volume("lost", vec![])
        },
        Volume {
            bytes: None,
            ..volume("many", vec![])
        },
    ];
    let server = Server::start([("GET /apps/demo/volumes", json(200, &all))]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["storage:list", "demo"]).await, @"
    exit 0
    --- stdout
    VOLUME  SIZE        OWNER      SNAPSHOTS  MOUNTED
    data    1.5 GiB     1000:1000  2          /data
    files   1.5 GiB     1000:1000  2          web:/files (shared) worker:/in (read-only)
    lost    missing     -          2          (restore under way)
    many    many files  1000:1000  2          -
    --- stderr
    ");
    let output = cli.output(&["storage:list", "demo", "--json"]).await;
    let read: Vec<Volume> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read, all);
}

#[tokio::test]
async fn a_volume_is_made_mounted_and_unmounted_with_a_release() {
    let answer = || with_release("3", &volume("data", vec![]));
    let server = Server::start([
        ("POST /apps/demo/volumes", json(201, &volume("data", vec![]))),
        ("PUT /apps/demo/volumes/data/mounts", answer()),
        (
            "DELETE /apps/demo/volumes/data/mounts",
            json(200, &volume("data", vec![])),
        ),
        (
            "GET /apps/demo/releases/3/events",
            events(["Starting web.1"], ReleaseStatus::Current),
        ),
    ])
    .await;
    let cli = Cli::new(&server).env("PVDIFY_APP", "demo");
    assert_snapshot!(cli.run(&["storage:create", "data"]).await, @"
    exit 0
    --- stdout
    Created the volume data of demo
    --- stderr
    Mount it with `pvdify storage:mount demo data PATH`.
    ");
    let args = [
        "storage:mount",
        "demo",
        "data",
        "/data",
        "--process",
        "web",
        "--process",
        "worker",
        "--shared",
    ];
    assert_snapshot!(cli.run(&args).await, @"
    exit 0
    --- stdout
    Mounted data at /data; released v3
    --- stderr
    Releasing demo with the change as v3
    Starting web.1
    ");
    assert_snapshot!(cli.run(&["storage:unmount", "data", "--process", "web"]).await, @"
    exit 0
    --- stdout
    Unmounted data; that needed no new release
    --- stderr
    ");
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/volumes {"name":"data"}"#,
            r#"PUT /apps/demo/volumes/data/mounts {"path":"/data","processes":["web","worker"],"read_only":false,"shared":true}"#,
            "GET /apps/demo/releases/3/events",
            "DELETE /apps/demo/volumes/data/mounts?process=web",
        ]
    );
}

#[tokio::test]
async fn a_snapshot_is_followed_to_its_end_and_restored() {
    let line = |text: &str| VolumeEvent::Line { text: text.into() };
    let made = told(&[
        line("Copying"),
        VolumeEvent::Copied { bytes: 4096 },
        VolumeEvent::Done {
            snapshot: snapshot("s1", "ready", false),
        },
    ]);
    let restored = told(&[
        line("Stopping what has the volume"),
        VolumeEvent::Done {
            snapshot: snapshot("before-restore-1", "ready", true),
        },
    ]);
    let all = [
        snapshot("before-restore-1", "ready", true),
        snapshot("s2", "failed", false),
        snapshot("s1", "ready", false),
    ];
    let server = Server::start([
        ("POST /apps/demo/volumes/data/snapshots", made),
        ("POST /apps/demo/volumes/data/restore", restored),
        ("GET /apps/demo/volumes/data/snapshots", json(200, &all)),
        ("DELETE /apps/demo/volumes/data/snapshots/s2", empty()),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["storage:snapshot", "demo", "data", "--name", "s1"]).await, @"
    exit 0
    --- stdout
    Snapshot s1 of data made, 4.0 KiB
    --- stderr
    Copying
    The app ran meanwhile: each file is as a crash would have left it.
    ");
    assert_snapshot!(cli.run(&["storage:restore", "demo", "data", "s1"]).await, @"
    exit 0
    --- stdout
    Restored data from s1
    --- stderr
    Stopping what has the volume
    What was there is the snapshot before-restore-1.
    ");
    assert_snapshot!(cli.run(&["storage:snapshots", "demo", "data"]).await, @"
    exit 0
    --- stdout
    SNAPSHOT          STATUS                    APP      SIZE     CREATED
    before-restore-1  ready                     stopped  4.0 KiB  2026-01-01T00:00:00Z
    s2                failed: the disk is full  running  -        2026-01-01T00:00:00Z
    s1                ready                     running  4.0 KiB  2026-01-01T00:00:00Z
    --- stderr
    ");
    let destroy = [
        "storage:snapshot:destroy",
        "demo",
        "data",
        "s2",
        "--confirm",
        "s2",
    ];
    assert_snapshot!(cli.run(&destroy).await, @"
    exit 0
    --- stdout
    Destroyed the snapshot s2 of data
    --- stderr
    ");
    assert_eq!(
        server.requests(),
        [
            r#"POST /apps/demo/volumes/data/snapshots {"name":"s1","stop":false}"#,
            r#"POST /apps/demo/volumes/data/restore {"snapshot":"s1"}"#,
            "GET /apps/demo/volumes/data/snapshots",
            "DELETE /apps/demo/volumes/data/snapshots/s2?confirm=s2",
        ]
    );
}

#[tokio::test]
async fn a_failure_and_a_lost_server_are_told_apart() {
    let failed = told(&[VolumeEvent::Failed {
        message: "can't copy file: Input/output error".into(),
    }]);
    let server = Server::start([
        ("POST /apps/demo/volumes/data/snapshots", failed),
        (
            "POST /apps/demo/volumes/data/snapshots",
            Answer::Events(vec![Event::KeepAlive]),
        ),
    ])
    .await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["storage:snapshot", "demo", "data"]).await, @"
    exit 1
    --- stdout
    --- stderr
    error: the snapshot of data failed: can't copy file: Input/output error
    ");
    assert_snapshot!(cli.run(&["storage:snapshot", "demo", "data", "--stop"]).await, @"
    exit 1
    --- stdout
    --- stderr
    error: lost the server while the snapshot was under way: it ended the answer
    hint: see how it ended with `pvdify storage:snapshots demo data`
    ");
}

#[tokio::test]
async fn what_destroys_data_takes_its_name_twice() {
    let server = Server::start([("DELETE /apps/demo/volumes/data", empty())]).await;
    let cli = Cli::new(&server);
    assert_snapshot!(cli.run(&["storage:destroy", "demo", "data"]).await, @"
    exit 2
    --- stdout
    --- stderr
    error: destroying data can't be undone and nobody can be asked here
    hint: add --confirm data
    ");
    assert_snapshot!(cli.run(&["storage:destroy", "demo", "data", "--confirm", "demo"]).await, @"
    exit 2
    --- stdout
    --- stderr
    error: --confirm demo is not data: nothing was destroyed
    ");
    assert_snapshot!(cli.run(&["storage:snapshot:destroy", "demo", "data", "s1"]).await, @"
    exit 2
    --- stdout
    --- stderr
    error: destroying s1 can't be undone and nobody can be asked here
    hint: add --confirm s1
    ");
    assert_snapshot!(cli.run(&["storage:mount", "demo", "data", "/etc"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "/etc": a volume can't be at or in /etc: that is the system's
    "#);
    assert_snapshot!(cli.run(&["storage:mount", "demo", "Data", "/data"]).await, @r#"
    exit 2
    --- stdout
    --- stderr
    error: "Data": the name of a volume holds only a-z, 0-9 and hyphens, not 'D'
    "#);
    assert_eq!(server.requests(), [] as [String; 0]);
    assert_snapshot!(cli.run(&["storage:destroy", "demo", "data", "--confirm", "data"]).await, @"
    exit 0
    --- stdout
    Destroyed the volume data of demo
    --- stderr
    ");
    assert_eq!(server.requests(), ["DELETE /apps/demo/volumes/data?confirm=data"]);
}

//! Volumes by their API: what is refused changes nothing, mounts are releases, snapshots and restores end truthfully, and
//! what a kill interrupted is at its end before anything is served.

use crate::harness::{FINGERPRINT, Options, Server};
use pvdify_api::{
    control::BuildQuery,
    ps::Scale,
    releases::Rollback,
    volumes::{
        CreateSnapshot, CreateVolume, MountVolume, RestoreVolume, Snapshot, UnmountQuery, VolumeEvent,
    },
};
use pvdify_client::{Client, Error, SseEvents};
use pvdify_types::{AppName, ReleaseStatus, VolumeName};
use std::path::PathBuf;

fn data() -> VolumeName {
    "data".parse().unwrap()
}

fn at(path: &str, processes: &[&str]) -> MountVolume {
    MountVolume {
        path: path.into(),
        processes: processes.iter().map(|&text| text.into()).collect(),
        ..MountVolume::default()
    }
}

/// The status, then the line and its hint.
fn told<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result.unwrap_err() {
        Error::Refused { status, body } => format!("{status} {}: {} ({})", body.code, body.error, body.hint),
        other => other.to_string(),
    }
}

async fn create(client: &Client, app: &AppName, name: &str) {
    let body = CreateVolume { name: name.into() };
    client.create_volume(app, &body).await.unwrap();
}

/// Mounts `data` in all process types at `/data`, by a release that has ended.
async fn mount(server: &Server, client: &Client, app: &AppName) {
    let mount = client
        .mount_volume(app, &data(), &at("/data", &[]))
        .await
        .unwrap();
    server.ended(app, mount.release.unwrap()).await;
}

/// The last event.
async fn end(events: Result<SseEvents<VolumeEvent>, Error>) -> VolumeEvent {
    let mut events = events.unwrap();
    let mut last = None;
    while let Some(event) = events.next().await.unwrap() {
        last = Some(event);
    }
    last.unwrap()
}

async fn done(events: Result<SseEvents<VolumeEvent>, Error>) -> Snapshot {
    match end(events).await {
        VolumeEvent::Done { snapshot } => snapshot,
        other => panic!("{other:?}"),
    }
}

async fn snapshot(client: &Client, app: &AppName, name: &str, stop: bool) -> Snapshot {
    let body = CreateSnapshot {
        name: Some(name.into()),
        stop,
    };
    done(client.create_snapshot(app, &data(), &body).await).await
}

/// The folder of the only volume.
fn folder(server: &Server) -> PathBuf {
    let db = rusqlite::Connection::open(server.path("pvdify.db")).unwrap();
    let query = "SELECT app || '/' || id FROM volumes";
    let path: String = db.query_row(query, [], |row| row.get(0)).unwrap();
    server.path("volumes").join(path)
}

#[tokio::test]
async fn a_mount_is_a_release_and_a_rollback_keeps_it() {
    let server = Server::start().await;
    let (app, client) = (server.serving("demo", "worker-one").await, server.client());
    create(&client, &app, "data").await;
    let two = server.deploy(&app, "worker-two").await;
    server.ended(&app, two).await;
    let changed = client
        .mount_volume(&app, &data(), &at("/data", &["worker"]))
        .await
        .unwrap();
    let three = changed.release.unwrap();
    assert_eq!(server.ended(&app, three).await, ReleaseStatus::Current);
    let again = client
        .mount_volume(&app, &data(), &at("/data", &["worker"]))
        .await
        .unwrap();
    assert_eq!(again.release, None, "nothing changed");
    let shown = &client.volumes(&app).await.unwrap()[0];
    assert_eq!(shown.mounts[0].path.as_str(), "/data");
    assert_eq!(
        (shown.mounts.len(), shown.operation.as_deref(), shown.snapshots),
        (1, None, 0)
    );
    assert!(shown.owner.is_some() && shown.bytes.is_some());
    let releases = client.releases(&app).await.unwrap();
    assert_eq!(releases[0].description, "Mount data at /data in worker");

    let back = client
        .rollback(&app, &Rollback { version: Some(1) })
        .await
        .unwrap()
        .version;
    assert_eq!(server.ended(&app, back).await, ReleaseStatus::Current);
    let mounts = server.desired.borrow()[0]
        .current
        .as_ref()
        .unwrap()
        .mounts
        .clone();
    assert_eq!(mounts.len(), 1, "data is not code");
    let changed = client
        .unmount_volume(&app, &data(), &UnmountQuery::default())
        .await
        .unwrap();
    server.ended(&app, changed.release.unwrap()).await;
    assert!(changed.volume.mounts.is_empty());
}

#[tokio::test]
async fn what_breaks_a_rule_is_told_in_one_line_and_changes_nothing() {
    let server = Server::start().await;
    let (app, client) = (server.serving("demo", "worker").await, server.client());
    create(&client, &app, "data").await;
    create(&client, &app, "more").await;
    mount(&server, &client, &app).await;
    snapshot(&client, &app, "s1", false).await;
    let other = server.create("other").await;
    let counts = |count| Scale {
        processes: [("worker".to_owned(), count)].into(),
    };
    client.scale(&app, &counts(1)).await.unwrap();
    let before = server.dump();
    let more: VolumeName = "more".parse().unwrap();
    let restore = |name: &str| RestoreVolume {
        snapshot: name.into(),
    };
    let bad = CreateVolume { name: "Data".into() };
    let taken = CreateVolume { name: "data".into() };
    let named = CreateSnapshot {
        name: Some("s1".into()),
        stop: false,
    };
    let nowhere = UnmountQuery {
        process: Some("worker".into()),
    };
    let wrong = format!("{}/api/v1/apps/demo/volumes/more?confirm=data", server.url);
    let wrong = reqwest::Client::new().delete(wrong).send().await.unwrap();
    let wrong = (wrong.status().as_u16(), wrong.text().await.unwrap());
    assert_eq!(wrong.0, 422, "{}", wrong.1);
    assert!(
        wrong
            .1
            .contains("to destroy more can't be undone: it was not confirmed"),
        "{}",
        wrong.1
    );
    let all = [
        told(client.create_volume(&app, &bad).await),
        told(client.create_volume(&app, &taken).await),
        told(client.mount_volume(&other, &data(), &at("/data", &[])).await),
        told(client.mount_volume(&app, &more, &at("/etc", &[])).await),
        told(client.mount_volume(&app, &more, &at("/data/x", &[])).await),
        told(client.mount_volume(&app, &more, &at("/more", &["none"])).await),
        told(client.mount_volume(&app, &more, &at("/more", &["release"])).await),
        told(client.unmount_volume(&app, &more, &UnmountQuery::default()).await),
        told(client.unmount_volume(&app, &data(), &nowhere).await),
        told(client.scale(&app, &counts(2)).await),
        told(client.destroy_volume(&app, &data()).await),
        told(client.delete_app(&app).await),
        told(client.create_snapshot(&app, &data(), &named).await.map(drop)),
        told(
            client
                .restore_volume(&app, &data(), &restore("s2"))
                .await
                .map(drop),
        ),
        told(
            client
                .destroy_snapshot(&app, &data(), &"s2".parse().unwrap())
                .await,
        ),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    422 invalid_params: the name of a volume holds only a-z, 0-9 and hyphens, not 'D' ()
    409 taken: demo has a volume data already (choose another name)
    404 not_found: other has no volume "data" (list them with pvdify storage:list other)
    422 invalid_params: a volume can't be at or in /etc: that is the system's ()
    422 invalid_params: /data/x lies in /data, where the volume data is: choose a path outside ()
    422 invalid_params: demo has no process type "none" (it has web, worker)
    422 invalid_params: the release phase has no volumes ()
    409 conflict: the volume more is not mounted (see where it is with pvdify storage:list)
    409 conflict: the volume data is not mounted in worker (see where it is with pvdify storage:list)
    422 invalid_params: worker has the volume data to itself, so one of it can run, not 2 (scale it to 1, or mount the volume with --shared if several may write to it at one time)
    409 mounted: the volume data is mounted (unmount it first, and wait for that release: pvdify storage:unmount demo data)
    409 has_volumes: demo has volumes, which are not deleted with it: data, more (destroy each first: pvdify storage:unmount demo data, then pvdify storage:destroy demo data --confirm data)
    409 taken: the volume data has a snapshot s1 already (choose another name)
    404 not_found: the volume data has no snapshot "s2" (list them with pvdify storage:snapshots demo data)
    404 not_found: the volume data has no snapshot "s2" (list them with pvdify storage:snapshots demo data)
    "#);
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn snapshots_are_restored_and_what_was_there_is_one_too() {
    let server = Server::start().await;
    let (app, client) = (server.serving("demo", "one").await, server.client());
    create(&client, &app, "data").await;
    mount(&server, &client, &app).await;
    let file = folder(&server).join("data/file");
    std::fs::write(&file, "one").unwrap();
    let made = snapshot(&client, &app, "s1", true).await;
    assert_eq!(
        (made.status.as_str(), made.stopped, made.failure),
        ("ready", true, None)
    );
    assert!(made.bytes.is_some());
    std::fs::write(&file, "two").unwrap();
    let restore = RestoreVolume {
        snapshot: "s1".into(),
    };
    let before = done(client.restore_volume(&app, &data(), &restore).await).await;
    assert!(before.name.as_str().starts_with("before-restore-"), "{before:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    assert!(!server.desired.borrow()[0].held || client.volumes(&app).await.unwrap()[0].operation.is_none());

    let back = RestoreVolume {
        snapshot: before.name.to_string(),
    };
    client
        .destroy_snapshot(&app, &data(), &"s1".parse().unwrap())
        .await
        .unwrap();
    done(client.restore_volume(&app, &data(), &back).await).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
    let names: Vec<_> = client.snapshots(&app, &data()).await.unwrap();
    assert_eq!(names.len(), 2, "{names:?}");

    let unmounted = client
        .unmount_volume(&app, &data(), &UnmountQuery::default())
        .await
        .unwrap();
    server.ended(&app, unmounted.release.unwrap()).await;
    client.destroy_volume(&app, &data()).await.unwrap();
    assert!(client.volumes(&app).await.unwrap().is_empty());
    client.delete_app(&app).await.unwrap();
    let logs = client
        .logs(
            &server.create("next").await,
            &pvdify_api::logs::LogQuery::default(),
        )
        .await;
    assert!(logs.unwrap().is_empty());
}

#[tokio::test]
async fn a_first_deploy_runs_one_of_what_has_a_volume_to_itself_whatever_its_app_json_says() {
    let server = Server::start().await;
    server.add_key().await;
    let (app, client) = (server.create("demo").await, server.client());
    create(&client, &app, "data").await;
    let mounted = client
        .mount_volume(&app, &data(), &at("/data", &["worker"]))
        .await
        .unwrap();
    assert_eq!(mounted.release, None, "nothing was deployed yet");
    client
        .set_config(&app, &[("KEY".to_owned(), Some("x".to_owned()))].into())
        .await
        .unwrap();
    let query = BuildQuery {
        commit: "a".repeat(40),
        fingerprint: FINGERPRINT.into(),
    };
    let source = "setup worker".into();
    let mut events = server.control().build(&app, &query, source).await.unwrap();
    while events.next().await.unwrap().is_some() {}
    let processes = client.ps(&app).await.unwrap();
    let worker = processes.iter().find(|one| one.process_type.as_str() == "worker");
    assert_eq!(worker.unwrap().count, 1, "app.json says 2");
}

#[tokio::test]
async fn a_disk_without_room_refuses_a_snapshot_with_the_figures() {
    let options = Options::default();
    let limits = pvdifyd::app::Limits {
        free_bytes: 1 << 50,
        ..options.limits
    };
    let server = Server::with(Options {
        limits,
        ..Options::default()
    })
    .await;
    let (app, client) = (server.create("demo").await, server.client());
    create(&client, &app, "data").await;
    let before = server.dump();
    let refused = told(
        client
            .create_snapshot(&app, &data(), &CreateSnapshot::default())
            .await
            .map(drop),
    );
    assert!(
        refused.starts_with("507 disk_full: the disk is too full: 1073741824 MiB are needed in "),
        "{refused}"
    );
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn what_a_kill_interrupted_is_at_its_end_before_anything_is_served() {
    let server = Server::start().await;
    let (app, client) = (server.serving("demo", "one").await, server.client());
    create(&client, &app, "data").await;
    mount(&server, &client, &app).await;
    let folder = folder(&server);
    std::fs::write(folder.join("data/file"), "one").unwrap();
    snapshot(&client, &app, "s1", false).await;

    // As a kill in the middle of each leaves it: rows first, then as far as the folders came.
    let sql = |text: &str| {
        let db = rusqlite::Connection::open(server.path("pvdify.db")).unwrap();
        db.execute_batch(text).unwrap();
    };
    let making = |id: &str, name: &str| {
        format!(
            "INSERT INTO volume_snapshots (id, volume, name, status, stopped, created_at)
             SELECT '{id}', id, '{name}', 'making', 1, 0 FROM volumes;"
        )
    };
    sql(&format!(
        "{}UPDATE volumes SET operation = 'snapshot', held = 1",
        making("half", "half")
    ));
    std::fs::create_dir(folder.join("copying")).unwrap();
    let dir = server.kill().await;
    let server = Server::in_dir(dir, Options::default()).await;
    let client = server.client();
    let half = &client.snapshots(&app, &data()).await.unwrap()[0];
    assert_eq!((half.name.as_str(), half.status.as_str()), ("half", "failed"));
    assert!(half.failure.as_ref().unwrap().starts_with("interrupted"));
    assert!(!folder.join("copying").exists());
    let volume = client.volume(&app, &data()).await.unwrap();
    assert_eq!(volume.operation, None);

    // Between the two renames of a restore.
    let sql = |text: &str| {
        let db = rusqlite::Connection::open(server.path("pvdify.db")).unwrap();
        db.execute_batch(text).unwrap();
    };
    sql(&format!(
        "{}UPDATE volumes SET operation = 'restore', held = 1",
        making("zz", "before")
    ));
    std::fs::rename(folder.join("data"), folder.join("snapshots/zz")).unwrap();
    std::fs::create_dir(folder.join("next")).unwrap();
    std::fs::write(folder.join("next/file"), "two").unwrap();
    let dir = server.kill().await;
    let server = Server::in_dir(dir, Options::default()).await;
    let client = server.client();
    assert_eq!(std::fs::read_to_string(folder.join("data/file")).unwrap(), "two");
    let before = &client.snapshots(&app, &data()).await.unwrap()[0];
    assert_eq!(
        (before.name.as_str(), before.status.as_str()),
        ("before", "ready")
    );
    assert_eq!(
        std::fs::read_to_string(folder.join("snapshots/zz/file")).unwrap(),
        "one"
    );

    // A destruction that was begun.
    let db = rusqlite::Connection::open(server.path("pvdify.db")).unwrap();
    db.execute_batch("DELETE FROM volume_mounts; UPDATE volumes SET operation = 'destroy'")
        .unwrap();
    let dir = server.kill().await;
    let server = Server::in_dir(dir, Options::default()).await;
    assert!(server.client().volumes(&app).await.unwrap().is_empty());
    assert!(!folder.exists());
}

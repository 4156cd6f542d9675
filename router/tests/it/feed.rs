//! Route tables: kept over restarts, replaced over reconnections.

use crate::{
    control::Control,
    drain::slow,
    harness::{self, Backend, World, demo, get, read_to_end, read_until, send},
};
use std::net::SocketAddr;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

async fn answer(router: SocketAddr) -> String {
    send(router, get("/", "").as_bytes()).await.body().to_owned()
}

#[tokio::test]
async fn the_last_good_table_is_served_while_the_control_plane_is_down() {
    let backend = Backend::saying("hello").await;
    let folder = tempfile::tempdir().unwrap();
    let control = Control::start(folder.path(), Some(demo(5, &[backend.address])));
    let first = harness::run(harness::config(folder.path()), folder.path()).await;
    control.applied(5).await;
    drop(control);
    assert_eq!(answer(first.address).await, "hello", "without the control plane");

    drop(first.stop);
    first.ended.await.unwrap().unwrap();
    let second = harness::run(harness::config(folder.path()), folder.path()).await;
    assert_eq!(
        answer(second.address).await,
        "hello",
        "after a restart, without the control plane"
    );
}

#[tokio::test]
async fn a_table_that_was_reported_is_on_the_disk() {
    let backend = Backend::saying("hello").await;
    let world = World::demo(&[]).await;
    world.control.put(demo(2, &[backend.address])).await;
    let saved = std::fs::read_to_string(world.folder.path().join("routes.json")).unwrap();
    assert!(
        saved.contains("\"generation\":2") && saved.contains("demo.test"),
        "{saved}"
    );
}

#[tokio::test]
async fn a_broken_state_file_is_ignored() {
    let backend = Backend::saying("hello").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("routes.json"),
        "{\"format\":1,\"generation\":9,",
    )
    .unwrap();
    let router = harness::run(harness::config(folder.path()), folder.path()).await;
    assert_eq!(send(router.address, get("/", "").as_bytes()).await.status(), 503);
    let control = Control::start(folder.path(), Some(demo(1, &[backend.address])));
    control.applied(1).await;
    assert_eq!(answer(router.address).await, "hello");
}

#[tokio::test]
async fn a_table_that_can_not_be_saved_is_served_and_reported_only_once_it_is() {
    let backend = Backend::saying("hello").await;
    let folder = tempfile::tempdir().unwrap();
    // A folder in the place of the temporary file: writing fails, also for root.
    let obstacle = folder.path().join("routes.new");
    std::fs::create_dir(&obstacle).unwrap();
    let control = Control::start(folder.path(), Some(demo(1, &[backend.address])));
    let router = harness::run(harness::config(folder.path()), folder.path()).await;
    harness::in_time("the table", async {
        while answer(router.address).await != "hello" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(control.reports().is_empty(), "{:?}", control.reports());
    std::fs::remove_dir(&obstacle).unwrap();
    control.applied(1).await;
}

#[tokio::test]
async fn within_a_stream_generations_only_grow() {
    let (old, new) = (Backend::saying("old").await, Backend::saying("new").await);
    let world = World::new(demo(5, &[old.address])).await;
    world.control.publish(&demo(4, &[new.address]));
    world.control.publish(&demo(5, &[new.address]));
    world.control.put(demo(6, &[old.address])).await;
    assert_eq!(world.get("/").await.body(), "old");
    assert_eq!(new.count(), 0);
    let generations: Vec<u64> = world
        .control
        .reports()
        .iter()
        .map(|report| report.generation.0)
        .collect();
    assert!(!generations.contains(&4), "{generations:?}");
}

#[tokio::test]
async fn a_control_plane_that_comes_back_is_obeyed_also_with_a_lower_generation() {
    let (old, new) = (Backend::saying("old").await, Backend::saying("new").await);
    let World {
        folder,
        control,
        router,
    } = World::new(demo(9, &[old.address])).await;
    drop(control);
    assert_eq!(answer(router.address).await, "old");
    let control = Control::start(folder.path(), Some(demo(3, &[new.address])));
    control.applied(3).await;
    assert_eq!(answer(router.address).await, "new");
    // Generation 9 counts as another one now: the new control plane must not take it for its own.
    assert!(
        control.reports().iter().all(|report| report.generation.0 == 3),
        "{:?}",
        control.reports()
    );
}

/// A report is due while nobody is there to take it; who comes next counts anew and must not get it.
#[tokio::test]
async fn a_new_control_plane_gets_no_report_of_the_old_one_s_generation() {
    let (finish, told) = watch::channel(false);
    let backend = slow(told).await;
    let World {
        folder,
        control,
        router,
    } = World::new(demo(8, &[backend.address])).await;
    let mut client = TcpStream::connect(router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "first").await;
    control.put(demo(9, &[])).await;
    drop(control);
    finish.send_replace(true);
    assert!(
        read_to_end(&mut client).await.ends_with("-last"),
        "and now the instance is drained"
    );

    let control = Control::start(folder.path(), None);
    control.connected().await;
    control.put(demo(3, &[backend.address])).await;
    assert!(
        control.reports().iter().all(|report| report.generation.0 == 3),
        "{:?}",
        control.reports()
    );
}

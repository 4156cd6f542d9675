//! Instances that leave the table: served to the end, and reported until then.

use crate::harness::{Backend, World, demo, get, next_head, read_to_end, read_until};
use pvdify_client::RouterReport;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch};

/// Answers in two halves, the second when told.
pub(crate) async fn slow(tell: watch::Receiver<bool>) -> Backend {
    Backend::start(move |mut stream, _| {
        let mut tell = tell.clone();
        async move {
            while next_head(&mut stream).await.is_some() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
                    .await
                    .unwrap();
                tell.wait_for(|told| *told).await.unwrap();
                stream.write_all(b"-last").await.unwrap();
            }
        }
    })
    .await
}

fn in_flight(report: &RouterReport) -> Vec<(&str, u64)> {
    report
        .draining
        .iter()
        .map(|draining| (draining.instance.as_str(), draining.in_flight))
        .collect()
}

#[tokio::test]
async fn a_slow_answer_is_finished_and_only_then_is_its_instance_drained() {
    let (finish, told) = watch::channel(false);
    let (old, new) = (slow(told).await, Backend::saying("new").await);
    let world = World::demo(&[old.address]).await;
    let mut first = TcpStream::connect(world.router.address).await.unwrap();
    let mut second = TcpStream::connect(world.router.address).await.unwrap();
    for client in [&mut first, &mut second] {
        client.write_all(get("/", "").as_bytes()).await.unwrap();
        read_until(client, "first").await;
    }

    let mut next = demo(2, &[new.address]);
    next.routes[0].endpoints[0].instance = "fresh".parse().unwrap();
    world.control.put(next).await;
    assert_eq!(
        world.get("/").await.body(),
        "new",
        "new requests go to the new instance at once"
    );
    let report = world.control.report(|report| report.generation.0 == 2).await;
    assert_eq!(in_flight(&report), [("i1", 2)]);

    drop(second);
    world
        .control
        .report(|report| in_flight(report) == [("i1", 2)])
        .await;
    assert!(
        world
            .control
            .reports()
            .iter()
            .all(|report| report.generation.0 == 1 || !report.draining.is_empty())
    );
    finish.send_replace(true);
    let answer = read_to_end(&mut first).await;
    assert!(answer.ends_with("-last"), "{answer}");
    world
        .control
        .report(|report| report.generation.0 == 2 && report.draining.is_empty())
        .await;
}

#[tokio::test]
async fn while_something_drains_reports_go_on() {
    let (_finish, told) = watch::channel(false);
    let old = slow(told).await;
    let world = World::demo(&[old.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "first").await;
    world.control.put(demo(2, &[])).await;
    // The first comes with the table, the second by the clock.
    crate::harness::until("a second report", || {
        world
            .control
            .reports()
            .iter()
            .filter(|report| in_flight(report) == [("i1", 1)])
            .count()
            >= 2
    })
    .await;
}

#[tokio::test]
async fn idle_connections_to_an_instance_that_left_are_closed() {
    let (closed, mut closings) = watch::channel(0);
    let backend = Backend::start(move |mut stream, _| {
        let closed = closed.clone();
        async move {
            while next_head(&mut stream).await.is_some() {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await
                    .unwrap();
            }
            closed.send_modify(|count| *count += 1);
        }
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    assert_eq!(world.get("/").await.body(), "ok");
    assert_eq!(*closings.borrow(), 0);
    world.control.put(demo(2, &[])).await;
    crate::harness::in_time("the closing", closings.wait_for(|count| *count == 1))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_no_longer_counts() {
    let (_finish, told) = watch::channel(false);
    let old = slow(told).await;
    let world = World::demo(&[old.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "first").await;
    world.control.put(demo(2, &[])).await;
    world
        .control
        .report(|report| in_flight(report) == [("i1", 1)])
        .await;
    drop(client);
    world
        .control
        .report(|report| report.generation.0 == 2 && report.draining.is_empty())
        .await;
}

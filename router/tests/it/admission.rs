//! One address can't take every connection. Clients here come from addresses of their own, 127.0.0.x.

use crate::{
    access_log::{lines_with, listen},
    harness::{Backend, World, demo, get, in_time, next_head, read_to_end, read_until},
};
use router::Config;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: demo.test\r\n\r\n";

async fn connect(router: SocketAddr, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, from], 0).into()).unwrap();
    socket.connect(router).await.unwrap()
}

/// A connection that had its answer and stays open.
async fn hold(router: SocketAddr, from: u8) -> TcpStream {
    let mut stream = connect(router, from).await;
    stream.write_all(REQUEST).await.unwrap();
    read_until(&mut stream, "ok").await;
    stream
}

/// Whether the router closes a connection that asks for nothing.
async fn is_refused(router: SocketAddr, from: u8) -> bool {
    let mut stream = connect(router, from).await;
    // Closed as an end, or as a reset: either way without a byte.
    in_time("the end of a refused connection", stream.read(&mut [0; 16]))
        .await
        .map_or(true, |count| count == 0)
}

/// Tries until it is let in: the router learns a moment later that a client has gone.
async fn until_served(router: SocketAddr, from: u8) {
    in_time("a place that is free again", async {
        loop {
            let mut stream = connect(router, from).await;
            let sent = stream.write_all(get("/", "").as_bytes()).await;
            let mut answer = Vec::new();
            if sent.is_ok() && stream.read_to_end(&mut answer).await.is_ok() && !answer.is_empty() {
                break;
            }
        }
    })
    .await;
}

fn at_most(count: usize) -> impl FnOnce(&mut Config) {
    move |config| config.limits.max_connections_per_address = count
}

#[tokio::test]
async fn beyond_its_share_an_address_is_refused_and_others_are_served() {
    listen();
    let backend = Backend::saying("ok").await;
    let world = World::with(demo(1, &[backend.address]), at_most(2)).await;
    let router = world.router.address;
    let mut held = [hold(router, 21).await, hold(router, 21).await];
    assert!(is_refused(router, 21).await);
    assert!(is_refused(router, 21).await);

    let mut other = connect(router, 22).await;
    other.write_all(get("/", "").as_bytes()).await.unwrap();
    assert!(read_to_end(&mut other).await.ends_with("ok"));
    for stream in &mut held {
        stream.write_all(REQUEST).await.unwrap();
        read_until(stream, "ok").await;
    }
    // One line for the flood, with the count as it was then.
    let lines = lines_with("address=127.0.0.21");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("refused_since_start=1"), "{lines:?}");

    drop(held);
    until_served(router, 21).await;
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_to_its_end() {
    let backend = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello";
        stream.write_all(switch).await.unwrap();
        drop(stream.read_u8().await);
    })
    .await;
    let world = World::with(demo(1, &[backend.address]), at_most(1)).await;
    let router = world.router.address;
    let mut upgraded = connect(router, 23).await;
    let request = b"GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    upgraded.write_all(request).await.unwrap();
    read_until(&mut upgraded, "hello").await;
    assert!(is_refused(router, 23).await);
    upgraded.write_all(b"!").await.unwrap();
    read_to_end(&mut upgraded).await;
    drop(upgraded);
    until_served(router, 23).await;
}

#[tokio::test]
async fn a_trusted_proxy_may_open_more() {
    let backend = Backend::saying("ok").await;
    let trust = |config: &mut Config| {
        config.limits.max_connections_per_address = 1;
        config.trusted_proxies = vec!["127.0.0.24".parse().unwrap()];
    };
    let world = World::with(demo(1, &[backend.address]), trust).await;
    let router = world.router.address;
    let _held = [hold(router, 24).await, hold(router, 24).await];
    let _one = hold(router, 25).await;
    assert!(is_refused(router, 25).await);
}

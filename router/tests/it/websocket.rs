//! Upgraded connections.

use crate::harness::{Backend, Recorder, World, demo, get, in_time, next_head, read_until, table};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async, tungstenite::Message};

async fn echo() -> Backend {
    Backend::start(|stream, _| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    })
    .await
}

async fn open(world: &World, host: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(world.router.address).await.unwrap();
    client_async(format!("ws://{host}/socket"), stream)
        .await
        .unwrap()
        .0
}

async fn echoes(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let reply = in_time("an echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(reply, Message::text(text));
}

#[tokio::test]
async fn a_websocket_survives_every_route_change_also_its_own() {
    let (one, two) = (echo().await, echo().await);
    let both = |generation, first: &Backend| {
        table(
            generation,
            &[
                (
                    "demo.test",
                    &[(format!("demo-{}", first.address.port()), first.address)],
                ),
                ("other.test", &[("other".to_owned(), two.address)]),
            ],
        )
    };
    let world = World::new(both(1, &one)).await;
    let mut socket = open(&world, "demo.test").await;
    let mut other = open(&world, "other.test").await;
    echoes(&mut socket, "before").await;
    echoes(&mut other, "before").await;

    world.control.put(both(2, &two)).await;
    echoes(&mut socket, "its app has moved on").await;
    echoes(&mut other, "not its app").await;
    echoes(&mut socket, &"large ".repeat(100_000)).await;

    let old = format!("demo-{}", one.address.port());
    let report = world.control.report(|report| report.generation.0 == 2).await;
    assert_eq!(
        (report.draining[0].instance.as_str(), report.draining[0].in_flight),
        (old.as_str(), 1)
    );
    assert_eq!(report.draining.len(), 1);

    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    drop(socket);
    world
        .control
        .report(|report| report.generation.0 == 2 && report.draining.is_empty())
        .await;
    echoes(&mut other, "still").await;
}

const UPGRADE: &str =
    "GET /socket HTTP/1.1\r\nHost: demo.test\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n";

#[tokio::test]
async fn bytes_before_the_101_wait_for_it() {
    let backend = Backend::start(|mut stream, _| async move {
        let head = next_head(&mut stream).await.unwrap();
        assert!(
            head.contains("upgrade: raw\r\n") && head.contains("connection: upgrade\r\n"),
            "{head}"
        );
        // Nothing more may be here: neither now nor a moment later.
        let early = tokio::time::timeout(std::time::Duration::from_millis(200), stream.read_u8()).await;
        assert!(early.is_err(), "{early:?} came before the 101");
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n")
            .await
            .unwrap();
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.send(&format!("{UPGRADE}early")).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.header("upgrade"), Some("raw"));
    assert!(answer.0.ends_with("\r\n\r\nearly"), "{answer:?}");
}

#[tokio::test]
async fn a_refused_upgrade_leaves_http_and_its_rules() {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let answer = world.send(&format!("{UPGRADE}{}", get("/next", ""))).await;
    assert_eq!(answer.0.matches("HTTP/1.1 200").count(), 2, "{answer:?}");
    assert!(recorder.seen().contains("GET /next"));

    let bad = "GET /bad HTTP/1.1\r\nHost: demo.test\r\nHost: demo.test\r\n\r\n";
    let answer = world.send(&format!("{UPGRADE}{bad}")).await;
    assert!(answer.0.contains("HTTP/1.1 400"), "{answer:?}");
    assert!(!recorder.seen().contains("/bad"));
}

#[tokio::test]
async fn an_upgrade_behind_another_request_waits_for_its_own_answer() {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let unknown = "GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n";
    let answer = world
        .send(&format!("{unknown}{UPGRADE}{}", get("/last", "")))
        .await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.0.matches("HTTP/1.1 200").count(), 2, "{answer:?}");
    assert!(
        recorder.seen().contains("upgrade: raw\r\n"),
        "it was still asked for: {}",
        recorder.seen()
    );
}

#[tokio::test]
async fn h2c_is_no_upgrade_and_neither_is_one_half_of_it() {
    let backend = Backend::echoing().await;
    let world = World::demo(&[backend.address]).await;
    for headers in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        "Upgrade: websocket\r\n",
        "Connection: Upgrade\r\n",
    ] {
        let answer = world
            .send(&format!(
                "GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\n{headers}\r\n"
            ))
            .await;
        assert_eq!(answer.status(), 200);
        let seen = answer.body().to_ascii_lowercase();
        assert!(
            !seen.contains("upgrade:") && !seen.contains("http2-settings"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_101_that_nobody_asked_for_is_no_answer() {
    let backend = Backend::answering(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nsecret",
    )
    .await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.get("/").await;
    assert_eq!(answer.status(), 502);
    assert!(!answer.0.contains("secret"));
}

#[tokio::test]
async fn silence_ends_an_upgraded_connection() {
    let backend = echo().await;
    let limits =
        |config: &mut router::Config| config.limits.stream_idle = std::time::Duration::from_millis(300);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    let mut socket = open(&world, "demo.test").await;
    echoes(&mut socket, "hello").await;
    in_time("the end", async {
        while let Some(Ok(_)) = socket.next().await {}
    })
    .await;
}

#[tokio::test]
async fn the_end_of_the_instance_is_the_end_of_the_connection() {
    let backend = Backend::start(|stream, _| async move {
        let mut socket = accept_async(stream).await.unwrap();
        socket.next().await;
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    let handshake = "GET / HTTP/1.1\r\nHost: demo.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(handshake.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    // An empty masked text frame.
    client.write_all(&[0x81, 0x80, 1, 2, 3, 4]).await.unwrap();
    in_time("the end", async {
        while let Ok(1..) = client.read(&mut [0; 64]).await {}
    })
    .await;
}

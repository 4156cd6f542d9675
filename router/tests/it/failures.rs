//! Backends that die, lie or hang; clients that do.

use crate::harness::{Backend, Recorder, World, demo, get, next_head, nowhere, read_to_end, read_until};
use router::Config;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const POST: &str =
    "POST / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

#[tokio::test]
async fn requests_of_any_method_go_past_an_instance_that_takes_no_connection() {
    let alive = Backend::start(|mut stream, _| async move {
        while let Some(head) = next_head(&mut stream).await {
            if head.starts_with("POST") {
                read_until(&mut stream, "hello").await;
            }
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let world = World::demo(&[nowhere().await, alive.address, nowhere().await]).await;
    for _ in 0..10 {
        assert_eq!(world.get("/").await.status(), 200);
        assert_eq!(world.send(POST).await.status(), 200);
    }
}

#[tokio::test]
async fn an_instance_that_comes_back_is_used_again() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let world = World::demo(&[address]).await;
    assert_eq!(world.get("/").await.status(), 503);
    let back = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = back.accept().await.unwrap();
        next_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
    });
    assert_eq!(
        world.get("/").await.status(),
        200,
        "the only instance is tried although it was dead"
    );
}

#[tokio::test]
async fn instances_take_turns() {
    let (one, two) = (Backend::saying("one").await, Backend::saying("two").await);
    let world = World::demo(&[one.address, two.address]).await;
    let mut ones = 0;
    for _ in 0..20 {
        ones += usize::from(world.get("/").await.body() == "one");
    }
    assert_eq!(ones, 10);
}

/// Serves one request on its first connection, then closes it, in the very moment that the next comes.
async fn closing_after_one() -> Backend {
    Backend::start(|mut stream, nth| async move {
        next_head(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        if nth == 0 {
            // The router has sent its next request into a connection that is about to be reset.
            next_head(&mut stream).await;
            return;
        }
        while next_head(&mut stream).await.is_some() {
            stream.write_all(OK).await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_reused_connection_that_was_just_closed_does_no_harm() {
    let backend = closing_after_one().await;
    let world = World::with(demo(1, &[backend.address]), |config| config.threads = 1).await;
    for _ in 0..3 {
        let answer = world.get("/").await;
        assert_eq!((answer.status(), answer.body()), (200, "ok"));
    }
    assert_eq!(backend.count(), 2, "once again, on a new connection");
}

#[tokio::test]
async fn what_is_not_idempotent_is_never_sent_twice() {
    let backend = Backend::start(|mut stream, nth| async move {
        next_head(&mut stream).await;
        if nth == 0 {
            stream.write_all(OK).await.unwrap();
            read_until(&mut stream, "hello").await;
        }
    })
    .await;
    let world = World::with(demo(1, &[backend.address]), |config| config.threads = 1).await;
    assert_eq!(world.get("/").await.status(), 200);
    let answer = world.send(POST).await;
    assert_eq!(
        (answer.status(), answer.header("pvdify-error")),
        (502, Some("H13"))
    );
    assert_eq!(
        backend.count(),
        1,
        "the second connection would have been the second try"
    );
}

#[tokio::test]
async fn connections_are_reused_and_closed_when_old() {
    let backend = Backend::saying("ok").await;
    let change = |config: &mut Config| {
        config.threads = 1;
        config.limits.pool_idle = Duration::from_millis(1500);
    };
    let world = World::with(demo(1, &[backend.address]), change).await;
    for _ in 0..20 {
        assert_eq!(world.get("/").await.status(), 200);
    }
    assert_eq!(backend.count(), 1);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(world.get("/").await.status(), 200);
    assert_eq!(backend.count(), 2);
}

#[tokio::test]
async fn an_answer_that_is_none_is_502() {
    let large =
        Box::leak(format!("HTTP/1.1 200 OK\r\nX-Large: {}\r\n\r\n", "x".repeat(1 << 20)).into_boxed_str());
    let many = Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(2000)).into_boxed_str());
    let flood = Box::leak("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(5000).into_boxed_str());
    for (answer, code) in [
        ("", "H13"),
        ("HTTP/1.1 2", "H13"),
        ("nonsense\r\n\r\n", "H17"),
        ("HTTP/1.1 99 Low\r\n\r\n", "H17"),
        ("HTTP/1.1 abc Bad\r\n\r\n", "H17"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "H17",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "H17"),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", "H17"),
        ("HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n", "H17"),
        (&*large, "H17"),
        (&*many, "H17"),
        (&*flood, "H17"),
    ] {
        let backend = Backend::answering(answer).await;
        let world = World::demo(&[backend.address]).await;
        let got = world.get("/").await;
        let last = crate::harness::Answer(
            got.0
                .rsplit_once("HTTP/1.1 ")
                .map(|(_, last)| format!("HTTP/1.1 {last}"))
                .unwrap(),
        );
        let shown = &answer[..answer.len().min(60)];
        assert_eq!(
            (last.status(), last.header("pvdify-error")),
            (502, Some(code)),
            "{shown:?}: {last:?}"
        );
        assert!(!last.0.contains("127.0.0.1"), "{last:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_passed_for_whole() {
    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.get("/").await;
    assert!(
        answer.0.contains("5\r\nhello\r\n") && !answer.0.contains("0\r\n\r\n"),
        "{answer:?}"
    );

    let backend = Backend::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    world.control.put(demo(2, &[backend.address])).await;
    assert_eq!(world.get("/").await.body(), "hello");
}

#[tokio::test]
async fn a_backend_that_hangs_is_504() {
    let backend = Backend::start(|mut stream, _| async move {
        drop(read_to_end(&mut stream).await);
    })
    .await;
    let limits = |config: &mut Config| config.limits.response_header = Duration::from_millis(200);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    for request in [get("/", ""), POST.to_owned()] {
        let answer = world.send(&request).await;
        assert_eq!(
            (answer.status(), answer.header("pvdify-error")),
            (504, Some("H12"))
        );
    }
}

#[tokio::test]
async fn the_wait_for_an_answer_begins_when_the_request_is_out() {
    let backend = Backend::start(|mut stream, _| async move {
        read_until(&mut stream, "the end").await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let limits = |config: &mut Config| config.limits.response_header = Duration::from_millis(400);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\nContent-Length: 15\r\n\r\n")
        .await
        .unwrap();
    for part in ["ab", "cd", "ef", "gh"] {
        client.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    client.write_all(b"the end").await.unwrap();
    assert!(read_to_end(&mut client).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_backend_that_falls_silent_inside_its_answer_is_given_up() {
    let backend = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await
            .unwrap();
        drop(read_to_end(&mut stream).await);
    })
    .await;
    let limits = |config: &mut Config| config.limits.stream_idle = Duration::from_millis(200);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    assert_eq!(world.get("/").await.body(), "hello");
}

#[tokio::test]
async fn slow_heads_are_answered_408_and_do_not_disturb_others() {
    let recorder = Recorder::start().await;
    let limits = |config: &mut Config| config.limits.header_read = Duration::from_millis(700);
    let world = World::with(demo(1, &[recorder.backend.address]), limits).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(world.router.address).await.unwrap();
        client
            .write_all(b"GET /slow HTTP/1.1\r\nHost: demo.test\r\nX-A: ")
            .await
            .unwrap();
        slow.push(client);
    }
    assert_eq!(world.get("/").await.status(), 200);
    for client in &mut slow {
        // Keeping on does not help: the limit is for the whole head.
        drop(client.write_all(b"b").await);
        let answer = read_to_end(client).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!(!recorder.seen().contains("/slow"));
}

#[tokio::test]
async fn idle_clients_are_let_go_without_a_word() {
    let backend = Backend::saying("ok").await;
    let limits = |config: &mut Config| config.limits.idle = Duration::from_millis(200);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    let mut silent = TcpStream::connect(world.router.address).await.unwrap();
    let mut once = TcpStream::connect(world.router.address).await.unwrap();
    once.write_all(b"GET / HTTP/1.1\r\nHost: demo.test\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(read_to_end(&mut once).await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn a_client_that_stops_inside_its_body_is_let_go() {
    let recorder = Recorder::start().await;
    let limits = |config: &mut Config| config.limits.stream_idle = Duration::from_millis(200);
    let world = World::with(demo(1, &[recorder.backend.address]), limits).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: demo.test\r\nX: \r\nContent-Length: 100\r\n\r\nhello")
        .await
        .unwrap();
    drop(read_to_end(&mut client).await);
}

#[tokio::test]
async fn above_the_limit_connections_wait() {
    let backend = Backend::saying("ok").await;
    let limits = |config: &mut Config| {
        config.limits.max_connections = 4;
        config.threads = 1;
    };
    let world = World::with(demo(1, &[backend.address]), limits).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut client = TcpStream::connect(world.router.address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: demo.test\r\n\r\n")
            .await
            .unwrap();
        read_until(&mut client, "ok").await;
        held.push(client);
    }
    let mut waiting = TcpStream::connect(world.router.address).await.unwrap();
    waiting.write_all(get("/", "").as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), waiting.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    held.pop();
    assert!(read_to_end(&mut waiting).await.ends_with("ok"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let backend = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let limits = |config: &mut Config| config.limits.stream_idle = Duration::from_millis(300);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "200 OK").await;
    world.control.put(demo(2, &[])).await;
    // The client is still there; only the router has given up on it.
    world
        .control
        .report(|report| report.generation.0 == 2 && report.draining.is_empty())
        .await;
    drop(client);
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_passed_on_with_one() {
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let backend = Backend::answering(both).await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.get("/").await;
    assert_eq!(answer.header("content-length"), None);
    assert_eq!(answer.body(), "5\r\nhello\r\n0\r\n\r\n");

    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").await;
    world.control.put(demo(2, &[backend.address])).await;
    assert_eq!(world.get("/").await.header("pvdify-error"), Some("H17"));
}

#[tokio::test]
async fn a_connection_with_a_request_under_way_is_not_idle() {
    let backend = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(b"-last").await.unwrap();
    })
    .await;
    let limits = |config: &mut Config| config.limits.idle = Duration::from_millis(100);
    let world = World::with(demo(1, &[backend.address]), limits).await;
    assert_eq!(world.get("/").await.body(), "first-last");
}

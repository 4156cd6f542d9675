//! Bodies pass in both directions as they come, and whole.

use crate::harness::{Answer, Backend, World, demo, get, in_time, next_head, read_until, send};
use axum::{Router, body::Body, routing::post};
use futures_util::StreamExt;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: demo.test\r\nTransfer-Encoding: chunked\r\n";

#[tokio::test]
async fn the_answer_begins_before_the_request_ends() {
    let backend = Backend::start(|mut stream, _| async move {
        read_until(&mut stream, "first").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nreply\r\n")
            .await
            .unwrap();
        read_until(&mut stream, "second").await;
        stream.write_all(b"4\r\nmore\r\n").await.unwrap();
        read_until(&mut stream, "0\r\n\r\n").await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client
        .write_all(format!("{CHUNKED}\r\n5\r\nfirst\r\n").as_bytes())
        .await
        .unwrap();
    read_until(&mut client, "5\r\nreply\r\n").await;
    client.write_all(b"6\r\nsecond\r\n").await.unwrap();
    read_until(&mut client, "4\r\nmore\r\n").await;
    client.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
}

/// Answers with the length and FNV-1a hash of what was uploaded.
async fn hashing() -> SocketAddr {
    async fn hash(body: Body) -> String {
        let mut chunks = body.into_data_stream();
        let (mut length, mut hash) = (0, FNV);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.unwrap();
            length += chunk.len();
            hash = fnv(hash, &chunk);
        }
        format!("{length} {hash:x}")
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", post(hash));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

const FNV: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[tokio::test]
async fn a_large_upload_arrives_whole_in_either_framing() {
    let world = World::demo(&[hashing().await]).await;
    let body: Vec<u8> = (0..20_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let expected = format!("{} {:x}", body.len(), fnv(FNV, &body));

    let head = format!(
        "POST / HTTP/1.1\r\nHost: demo.test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = send(world.router.address, &[head.as_bytes(), &body].concat()).await;
    assert_eq!(answer.body(), expected);

    let mut request = format!("{CHUNKED}Connection: close\r\n\r\n").into_bytes();
    for chunk in body.chunks(70_001) {
        request.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = send(world.router.address, &request).await;
    assert_eq!(answer.body(), expected);
}

#[tokio::test]
async fn trailers_pass_both_ways_but_not_those_that_lie() {
    let backend = Backend::start(|mut stream, _| async move {
        // Only without the lie is this the end.
        let request = read_until(&mut stream, "\r\n0\r\nx-check: 42\r\n\r\n").await;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{request}\r\n0\r\nx-sum: 99\r\n\r\n",
            request.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let request = format!(
        "{CHUNKED}TE: trailers\r\nConnection: TE, close\r\nTrailer: x-check, x-forwarded-for\r\n\r\n5\r\nhello\r\n"
    );
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    client
        .write_all(b"0\r\nx-check: 42\r\nx-forwarded-for: 6.6.6.6\r\n\r\n")
        .await
        .unwrap();
    let answer = Answer(crate::harness::read_to_end(&mut client).await);
    assert!(answer.body().contains("x-check: 42\r\n"), "{answer:?}");
    assert!(!answer.body().contains("6.6.6.6"), "{answer:?}");
    assert!(answer.0.ends_with("0\r\nx-sum: 99\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_get_may_have_a_chunked_body() {
    let backend = Backend::start(|mut stream, _| async move {
        read_until(&mut stream, "5\r\nhello\r\n0\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let request = get("/", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(world.send(&request).await.body(), "ok");
}

/// Says 100 only for `/go`; else answers at once.
async fn choosy() -> Backend {
    Backend::start(|mut stream, _| async move {
        let head = next_head(&mut stream).await.unwrap();
        if head.contains(" /go ") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            read_until(&mut stream, "hello").await;
        }
        let answer = if head.contains(" /go ") {
            "200 OK"
        } else {
            "413 Content Too Large"
        };
        stream
            .write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await
            .unwrap();
    })
    .await
}

#[tokio::test]
async fn a_client_is_told_to_continue_by_the_backend_alone() {
    let backend = choosy().await;
    let world = World::demo(&[backend.address]).await;
    let request = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nHost: demo.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        )
    };
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(request("/go").as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "HTTP/1.1 200 OK").await;

    let answer = world.send(&request("/stop")).await;
    assert_eq!(answer.status(), 413, "no 100 before it: {answer:?}");
}

#[tokio::test]
async fn a_backend_that_never_says_continue_gets_the_body_after_a_while() {
    let backend = Backend::start(|mut stream, _| async move {
        read_until(&mut stream, "hello").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    let head = "PUT / HTTP/1.1\r\nHost: demo.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "HTTP/1.1 200 OK").await;
}

#[tokio::test]
async fn early_hints_come_before_the_answer() {
    let backend = Backend::start(|mut stream, nth| async move {
        while next_head(&mut stream).await.is_some() {
            stream
                .write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n")
                .await
                .unwrap();
            if nth == 0 {
                let answer = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let world = World::with(demo(1, &[backend.address]), |config| config.threads = 1).await;
    let answer = world.get("/").await;
    let expected = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(answer.0.starts_with(expected), "{answer:?}");
    let old = "GET / HTTP/1.0\r\nHost: demo.test\r\n\r\n";
    assert!(
        world.send(old).await.0.starts_with("HTTP/1.0 200 OK\r\n"),
        "HTTP/1.0 knows no 1xx"
    );

    // At once, not with the answer: the second connection's has none.
    let waiting = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            .await
            .unwrap();
        next_head(&mut stream).await;
    })
    .await;
    world.control.put(demo(2, &[waiting.address])).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 103 Early Hints\r\n\r\n").await;
}

#[tokio::test]
async fn bodiless_answers_stay_bodiless_and_the_connection_goes_on() {
    let backend = Backend::start(|mut stream, _| async move {
        while let Some(head) = next_head(&mut stream).await {
            let answer = match head.split(' ').nth(1).unwrap() {
                "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
                "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n",
                _ => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: demo.test\r\n\r\n");
    let all = request("HEAD", "/head") + &request("GET", "/204") + &request("GET", "/304") + &get("/end", "");
    let answer = world.send(&all).await;
    assert_eq!(
        answer.header("content-length"),
        Some("1000"),
        "HEAD keeps the length: {answer:?}"
    );
    assert_eq!(answer.statuses(), [200, 204, 304, 200]);
    assert!(answer.0.ends_with("\r\n\r\nend"));
    assert_eq!(backend.count(), 1, "one connection served them all");
}

#[tokio::test]
async fn an_answer_without_length_ends_with_its_connection() {
    let backend = Backend::answering("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    let world = World::demo(&[backend.address]).await;
    let answer = world.get("/").await;
    assert_eq!(answer.body(), "D\r\nuntil the end\r\n0\r\n\r\n");
    let answer = world.send("GET / HTTP/1.0\r\nHost: demo.test\r\n\r\n").await;
    assert_eq!(
        (answer.header("transfer-encoding"), answer.body()),
        (None, "until the end")
    );
}

#[tokio::test]
async fn a_slow_reader_holds_the_backend_back() {
    let backend = Backend::start(|mut stream, _| async move {
        next_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
            .await
            .unwrap();
        let block = vec![b'x'; 100_000];
        let mut sent = 0;
        // Far less than all fits into what lies between; the rest is only taken once the client reads.
        while tokio::time::timeout(std::time::Duration::from_millis(500), stream.write_all(&block))
            .await
            .is_ok()
        {
            sent += block.len();
            assert!(
                sent < 50_000_000,
                "the router swallowed {sent} bytes that nobody reads"
            );
        }
        stream.shutdown().await.unwrap();
    })
    .await;
    let world = World::demo(&[backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.write_all(get("/", "").as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    in_time("the backend's end", async {
        let mut buffer = vec![0; 1 << 20];
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let mut total = 0;
        while let Ok(count @ 1..) = client.read(&mut buffer).await {
            total += count;
        }
        assert!(total < 50_000_000, "{total}");
    })
    .await;
}

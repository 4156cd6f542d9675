//! Request lines and headers: the doubtful ones are refused as [`framing`](crate::framing) has it, the unusual pass.

use crate::{
    framing::{HOST, post, refused},
    harness::{Recorder, World, read_until},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn bad_lines_are_refused() {
    refused(&[
        (
            "obs-fold",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: b\r\n c\r\n\r\n"),
        ),
        (
            "obs-fold by tab",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: b\r\n\tc\r\n\r\n"),
        ),
        (
            "obs-fold of the first header",
            400,
            format!("GET / HTTP/1.1\r\n X-A: b\r\n{HOST}\r\n"),
        ),
        (
            "bare LF after the request line",
            400,
            format!("GET / HTTP/1.1\n{HOST}\r\n"),
        ),
        (
            "bare LF after a header",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: b\n\r\n"),
        ),
        (
            "bare LFs throughout",
            400,
            "GET / HTTP/1.1\nHost: demo.test\n\n".to_owned(),
        ),
        (
            "bare CR in a value",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: b\rX-B: c\r\n\r\n"),
        ),
        ("bare CR as line end", 400, format!("GET / HTTP/1.1\r{HOST}\r\n")),
        (
            "NUL in a value",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: b\0c\r\n\r\n"),
        ),
        (
            "NUL in a name",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X\0A: b\r\n\r\n"),
        ),
        (
            "DEL in a value",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X-A: \x7f\r\n\r\n"),
        ),
        (
            "space before the colon",
            400,
            post("Content-Length : 5\r\n", "hello"),
        ),
        (
            "tab before the colon",
            400,
            post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
        ),
        ("no colon", 400, format!("GET / HTTP/1.1\r\n{HOST}X-A\r\n\r\n")),
        ("no name", 400, format!("GET / HTTP/1.1\r\n{HOST}: b\r\n\r\n")),
        (
            "a name that is no token",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}X(A): b\r\n\r\n"),
        ),
        (
            "two empty lines first",
            400,
            format!("\r\n\r\nGET / HTTP/1.1\r\n{HOST}\r\n"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn bad_request_lines_are_refused() {
    refused(&[
        ("HTTP/0.9", 400, "GET /\r\n\r\n".to_owned()),
        ("two spaces", 400, format!("GET  / HTTP/1.1\r\n{HOST}\r\n")),
        ("a tab for a space", 400, format!("GET\t/ HTTP/1.1\r\n{HOST}\r\n")),
        ("space at the end", 400, format!("GET / HTTP/1.1 \r\n{HOST}\r\n")),
        (
            "space in the target",
            400,
            format!("GET /a b HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "control character in the target",
            400,
            format!("GET /\x01 HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "fragment in the target",
            400,
            format!("GET /a#b HTTP/1.1\r\n{HOST}\r\n"),
        ),
        ("a relative target", 400, format!("GET a HTTP/1.1\r\n{HOST}\r\n")),
        (
            "a star without OPTIONS",
            400,
            format!("GET * HTTP/1.1\r\n{HOST}\r\n"),
        ),
        ("lower case version", 400, format!("GET / http/1.1\r\n{HOST}\r\n")),
        ("HTTP/1.2", 505, format!("GET / HTTP/1.2\r\n{HOST}\r\n")),
        (
            "HTTP/2 without TLS",
            505,
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ),
        (
            "a method that is no token",
            400,
            format!("GE(T / HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "CONNECT",
            405,
            format!("CONNECT demo.test:80 HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "an unknown expectation",
            417,
            post("Expect: 200-ok\r\nContent-Length: 5\r\n", "hello"),
        ),
        ("binary", 400, "\x16\x03\x01\x02\n".to_owned()),
    ])
    .await;
}

#[tokio::test]
async fn a_doubtful_host_is_refused() {
    let mut cases = vec![
        ("no Host", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        ("no Host in HTTP/1.0", 400, "GET / HTTP/1.0\r\n\r\n".to_owned()),
        (
            "two Hosts",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}Host: other.test\r\n\r\n"),
        ),
        (
            "the same Host twice",
            400,
            format!("GET / HTTP/1.1\r\n{HOST}{HOST}\r\n"),
        ),
        (
            "absolute form of another host",
            400,
            format!("GET http://other.test/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "absolute form with a user",
            400,
            format!("GET http://demo.test@other.test/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "absolute form of another port",
            400,
            format!("GET http://demo.test:81/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
        (
            "absolute form of another scheme",
            400,
            format!("GET ftp://demo.test/ HTTP/1.1\r\n{HOST}\r\n"),
        ),
    ];
    for host in [
        "",
        "demo.test/x",
        "demo.test@x",
        "demo.test, x",
        "demo test",
        "demo.test:80:80",
        "demo.test:x",
        "demo.test?x",
    ] {
        cases.push((
            "a Host that is none",
            400,
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        ));
    }
    refused(&cases).await;
}

#[tokio::test]
async fn too_much_head_is_refused() {
    let line = |size: usize| format!("X-Long: {}\r\n", "a".repeat(size));
    refused(&[
        (
            "500 headers",
            431,
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", "X-A: b\r\n".repeat(500)),
        ),
        (
            "one header of 64 KiB",
            431,
            format!("GET / HTTP/1.1\r\n{HOST}{}\r\n", line(64 * 1024)),
        ),
        (
            "a target of 64 KiB",
            431,
            format!("GET /{} HTTP/1.1\r\n{HOST}\r\n", "a".repeat(64 * 1024)),
        ),
    ])
    .await;
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let large = format!(
        "GET / HTTP/1.1\r\n{HOST}Connection: close\r\n{}\r\n",
        line(60 * 1024)
    );
    assert_eq!(
        world.send(&large).await.status(),
        200,
        "just below the limit it passes"
    );
}

#[tokio::test]
async fn what_is_sane_though_unusual_passes() {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let close = "Connection: close\r\n";
    for request in [
        format!("GET http://demo.test/absolute?q=1 HTTP/1.1\r\n{HOST}{close}\r\n"),
        format!("GET / HTTP/1.0\r\n{HOST}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\n{HOST}{close}\r\n"),
        format!("\r\nGET /after-an-empty-line HTTP/1.1\r\n{HOST}{close}\r\n"),
        format!("GET / HTTP/1.1\r\nhost:demo.test:8080\r\n{close}\r\n"),
        format!("PURGE / HTTP/1.1\r\n{HOST}{close}X-Empty:\r\nX-Latin: \u{e9}\r\n\r\n"),
    ] {
        assert_eq!(world.send(&request).await.status(), 200, "{request}");
    }
    let seen = recorder.seen();
    assert!(seen.contains("GET /absolute?q=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("OPTIONS * HTTP/1.1\r\n"), "{seen}");
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client.set_nodelay(true).unwrap();
    for byte in format!("GET /slow HTTP/1.1\r\n{HOST}\r\n").as_bytes() {
        client.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read_until(&mut client, "ok").await.starts_with("HTTP/1.1 200"));
}

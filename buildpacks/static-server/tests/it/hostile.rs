//! What no honest client sends.

use crate::harness::{Running, receive, send, site};
use std::{fs, io::Read, os::unix::fs::symlink, time::Duration};

fn running() -> Running {
    let built = site().page("index.html").page("sub/a.html");
    // Beside the site's files, but none of them.
    fs::write(built.dir.path().join("files/.env"), "SECRET").unwrap();
    fs::write(built.dir.path().join("files/unlisted.txt"), "SECRET").unwrap();
    symlink("/etc", built.dir.path().join("files/etc")).unwrap();
    built.start()
}

#[test]
fn nothing_but_the_sites_files_is_served() {
    let running = running();
    for path in [
        "/.env",
        "/unlisted.txt",
        "/etc/passwd",
        "/site.json",
        "/../site.json",
        "/sub/../../site.json",
        "/%2e%2e/site.json",
        "/..%2fsite.json",
        "/sub/..%5c..%5csite.json",
        "//etc/passwd",
        "/files/index.html",
        "/index.html%00.txt",
        "/index.html/",
        "/sub",
        "/INDEX.HTML",
        "/%252e%252e/site.json",
        "/\u{fffd}",
    ] {
        let answer = running.get(path, &[]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("SECRET"));
    }
}

#[test]
fn a_header_can_not_be_put_in() {
    let running = running();
    for target in [
        "/sub%0d%0aSet-Cookie:%20a=b",
        "/sub\r\nSet-Cookie: a=b",
        "/sub?\u{0}",
    ] {
        let text =
            running.raw(format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        let head = text.split("\r\n\r\n").next().unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{text}");
        assert!(!head.contains("Set-Cookie"), "{text}");
    }
}

#[test]
fn what_is_no_http_is_answered_and_ended() {
    let running = running();
    for (bytes, status) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
            "400",
        ),
        (b"hello\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\n\r\n", "400"),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", "505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ] {
        let text = running.raw(bytes);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    }
}

#[test]
fn a_head_without_end_is_refused_at_its_limit() {
    let running = running();
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(9000));
    assert!(running.raw(long.as_bytes()).starts_with("HTTP/1.1 414 "));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}", "a".repeat(17_000));
    assert!(running.raw(many.as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_hidden_second_request_is_not_answered() {
    let running = running();
    let hidden = "GET /sub/a.html HTTP/1.1\r\nHost: x\r\n\r\n";
    // As a body that is passed over.
    let mut socket = running.connect();
    send(
        &mut socket,
        &format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
    );
    send(&mut socket, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(receive(&mut socket, false).status, 405);
    assert_eq!(receive(&mut socket, false).text(), "page index.html");
    // With two lengths, or in chunks, the connection ends.
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked",
        "Content-Length: 900000",
    ] {
        let text = running
            .raw(format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n0\r\n\r\n{hidden}").as_bytes());
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
    }
}

#[test]
fn a_head_that_trickles_in_is_ended_and_others_are_served_meanwhile() {
    let running = site()
        .page("index.html")
        .limits(|limits| limits.head = Duration::from_millis(600))
        .start();
    let mut slow = running.connect();
    send(&mut slow, "GET / HTTP/1.1\r\n");
    let mut silent = running.connect();
    let mut rest = Vec::new();
    for byte in "Host: a-very-long-name-that-never-seems-to-come-to-its-end".bytes() {
        if std::io::Write::write_all(&mut slow, &[byte]).is_err() {
            break;
        }
        assert_eq!(running.get("/", &[]).status, 200);
        std::thread::sleep(Duration::from_millis(40));
    }
    let answer = receive(&mut slow, false);
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    // Who says nothing at all gets no answer.
    assert_eq!(silent.read_to_end(&mut rest).unwrap(), 0);
}

#[test]
fn a_reader_that_stands_still_is_ended() {
    let built = site().file("large", "video/mp4", vec![0; 8_000_000]);
    let running = built
        .limits(|limits| limits.stall = Duration::from_millis(500))
        .start();
    let mut socket = running.connect();
    send(&mut socket, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut seen = [0; 100];
    socket.read_exact(&mut seen).unwrap();
    // The server ends by itself though this client reads no more and does not close.
    running.stop();
    let mut rest = Vec::new();
    let short = socket
        .read_to_end(&mut rest)
        .map_or(true, |count| count < 8_000_000);
    assert!(short);
}

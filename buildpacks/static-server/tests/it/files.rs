//! Files as they are: heads, bodies, caching, conditions.

use crate::harness::{receive, send, site};

#[test]
fn a_file_comes_with_all_that_a_client_and_a_cache_need() {
    let running = site().page("index.html").start();
    let answer = running.get("/", &[]);
    assert_eq!(answer.shown(), (200, "page index.html".to_owned()));
    let mut head: Vec<String> = answer
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    assert!(head[0].starts_with("Date: ") && head[0].ends_with(" GMT"));
    head.remove(0);
    insta::assert_snapshot!(head.join("\n"), @r#"
    Content-Length: 15
    ETag: "indexhtml"
    Cache-Control: public, max-age=0, must-revalidate
    Accept-Ranges: bytes
    Content-Type: text/html; charset=utf-8
    X-Content-Type-Options: nosniff
    Connection: keep-alive
    "#);
}

#[test]
fn head_is_get_without_a_body() {
    let running = site().page("a.html").start();
    let (get, head) = (running.get("/a.html", &[]), running.ask("HEAD", "/a.html", &[]));
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-length"), Some("11"));
    let names = |answer: &crate::harness::Answer| {
        answer
            .headers
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&get), names(&head));
    // And no byte more: the next response begins at once.
    let mut socket = running.connect();
    send(
        &mut socket,
        "HEAD /a.html HTTP/1.1\r\nHost: x\r\n\r\nGET /a.html HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(receive(&mut socket, true).status, 200);
    assert_eq!(receive(&mut socket, false).text(), "page a.html");
}

#[test]
fn an_empty_file_has_no_bytes() {
    let running = site().file("empty.txt", "text/plain", "").start();
    let answer = running.get("/empty.txt", &[]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
}

#[test]
fn a_large_file_comes_whole() {
    // Larger than what is remembered and than one turn of a connection.
    let content: Vec<u8> = (0..5_000_000u32).map(|at| (at * 7 % 251) as u8).collect();
    let running = site()
        .file("large.bin", "application/octet-stream", &content)
        .start();
    for _ in 0..2 {
        assert!(running.get("/large.bin", &[]).body == content);
    }
}

#[test]
fn more_files_than_are_kept_open_or_in_memory_all_come() {
    let content = vec![b'x'; 70_000];
    let small = vec![b'y'; 60_000];
    let mut built = site();
    for at in 0..300 {
        built = built.file(&format!("large/{at}"), "text/plain", &content);
    }
    for at in 0..200 {
        built = built.file(&format!("small/{at}"), "text/plain", &small);
    }
    let running = built.start();
    let mut socket = running.connect();
    for path in (0..300)
        .map(|at| format!("large/{at}"))
        .chain((0..200).map(|at| format!("small/{at}")))
    {
        send(&mut socket, &format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let answer = receive(&mut socket, false);
        assert!(answer.status == 200 && answer.body.len() >= 60_000, "{path}");
    }
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let running = site().page("a.html").start();
    for known in ["\"ahtml\"", "W/\"ahtml\"", "\"x\", \"ahtml\"", "*"] {
        let answer = running.get("/a.html", &[&format!("If-None-Match: {known}")]);
        assert_eq!(
            (answer.status, answer.header("etag")),
            (304, Some("\"ahtml\"")),
            "{known}"
        );
        assert_eq!(
            answer.header("cache-control"),
            Some("public, max-age=0, must-revalidate")
        );
        assert_eq!(answer.header("content-length"), None);
    }
    assert_eq!(running.get("/a.html", &["If-None-Match: \"other\""]).status, 200);
    // There is no date that would mean anything in an image: such a condition is passed over.
    assert_eq!(
        running
            .get("/a.html", &["If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"])
            .status,
        200
    );
}

#[test]
fn a_condition_that_does_not_hold_is_told() {
    let running = site().page("a.html").start();
    assert_eq!(running.get("/a.html", &["If-Match: \"ahtml\""]).status, 200);
    assert_eq!(running.get("/a.html", &["If-Match: *"]).status, 200);
    let answer = running.get("/a.html", &["If-Match: W/\"ahtml\""]);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (412, Some("text/html; charset=utf-8"))
    );
}

#[test]
fn what_changes_its_name_with_its_content_is_kept_for_ever() {
    let running = site()
        .file("a-1f2e3d4c.js", "text/javascript", "x")
        .immutable("a-1f2e3d4c.js")
        .start();
    let answer = running.get("/a-1f2e3d4c.js", &[]);
    assert_eq!(
        answer.header("cache-control"),
        Some("public, max-age=31536000, immutable")
    );
}

#[test]
fn what_is_not_there_is_told() {
    let running = site().page("a.html").start();
    let answer = running.get("/b.html", &[]);
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (404, Some("no-cache"))
    );
    insta::assert_snapshot!(answer.text(), @"<!doctype html><meta charset=utf-8><title>404 Not Found</title><h1>404 Not Found</h1>");
}

#[test]
fn other_methods_are_told_what_there_is() {
    let running = site().page("index.html").start();
    for method in ["POST", "PUT", "DELETE", "TRACE", "BREW"] {
        let answer = running.ask(method, "/", &[]);
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, HEAD, OPTIONS")),
            "{method}"
        );
    }
    let answer = running.ask("OPTIONS", "*", &[]);
    assert_eq!(
        (answer.status, answer.header("allow")),
        (204, Some("GET, HEAD, OPTIONS"))
    );
}

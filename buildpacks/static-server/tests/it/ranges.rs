//! Parts of files, from memory and from disk.

use crate::harness::{Running, site};

fn running() -> Running {
    let large: Vec<u8> = (0..200_000u32).map(|at| b'a' + (at % 26) as u8).collect();
    site()
        .file("small", "text/plain", "0123456789")
        .file("large", "video/mp4", large)
        .start()
}

#[test]
fn one_part_is_sent_alone() {
    let running = running();
    for (range, body, content_range) in [
        ("bytes=0-2", "012", "bytes 0-2/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
        ("bytes=5-500", "56789", "bytes 5-9/10"),
    ] {
        let answer = running.get("/small", &[&format!("Range: {range}")]);
        assert_eq!(answer.shown(), (206, body.to_owned()), "{range}");
        assert_eq!(answer.header("content-range"), Some(content_range));
        assert_eq!(answer.header("content-type"), Some("text/plain"));
    }
    let answer = running.get("/large", &["Range: bytes=100000-100004"]);
    assert_eq!(answer.shown(), (206, "efghi".to_owned()));
}

#[test]
fn several_parts_are_one_body() {
    let answer = running().get("/small", &["Range: bytes=0-1, -2"]);
    assert_eq!(answer.status, 206);
    assert_eq!(
        answer.header("content-type"),
        Some("multipart/byteranges; boundary=small")
    );
    insta::assert_snapshot!(answer.text().replace("\r\n", "\n"), @r"

    --small
    Content-Type: text/plain
    Content-Range: bytes 0-1/10

    01
    --small
    Content-Type: text/plain
    Content-Range: bytes 8-9/10

    89
    --small--
    ");
    let answer = running().get("/large", &["Range: bytes=0-0,199999-199999,26-27"]);
    let text = answer.text();
    assert!(
        text.contains("bytes 0-0/200000\r\n\r\na\r\n") && text.contains("bytes 26-27/200000\r\n\r\nab\r\n")
    );
}

#[test]
fn a_part_that_is_not_there_is_told_with_the_size() {
    let answer = running().get("/small", &["Range: bytes=10-"]);
    assert_eq!(
        (answer.status, answer.header("content-range")),
        (416, Some("bytes */10"))
    );
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
}

#[test]
fn what_is_no_range_gives_the_whole() {
    let running = running();
    for range in ["bytes=5-4", "bytes=x", "items=0-1", "bytes=0-5,2-9"] {
        assert_eq!(
            running.get("/small", &[&format!("Range: {range}")]).status,
            200,
            "{range}"
        );
    }
    assert_eq!(
        running
            .ask("HEAD", "/small", &["Range: bytes=0-1"])
            .header("content-length"),
        Some("10")
    );
    // A page for what is not there is no file that has parts.
    let running = site()
        .page("404.html")
        .with("not_found", "404.html".into())
        .start();
    assert_eq!(running.get("/x", &["Range: bytes=0-1"]).status, 404);
}

#[test]
fn a_download_goes_on_only_where_the_file_is_the_same() {
    let running = running();
    let ask =
        |condition: &str| running.get("/small", &["Range: bytes=5-", &format!("If-Range: {condition}")]);
    assert_eq!(ask("\"small\"").shown(), (206, "56789".to_owned()));
    for other in ["\"old\"", "W/\"small\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        assert_eq!(ask(other).shown(), (200, "0123456789".to_owned()), "{other}");
    }
}

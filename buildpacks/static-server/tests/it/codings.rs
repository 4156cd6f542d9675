//! Compressed forms: which is sent, and that caches can tell them apart.

use crate::harness::{Running, site};

fn running() -> Running {
    let codings = [("br", "BR"), ("gzip", "GZIP"), ("zstd", "ZST")];
    site()
        .coded("app.js", "text/javascript; charset=utf-8", "the script", &codings)
        .file("a.png", "image/png", "picture")
        .start()
}

#[test]
fn the_best_that_the_client_takes_is_sent() {
    let running = running();
    for (accepted, coding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "BR"),
        ("gzip, zstd", Some("zstd"), "ZST"),
        ("gzip", Some("gzip"), "GZIP"),
        ("br;q=0.1, gzip", Some("gzip"), "GZIP"),
        ("br;q=0", None, "the script"),
        ("deflate", None, "the script"),
    ] {
        let answer = running.get("/app.js", &[&format!("Accept-Encoding: {accepted}")]);
        assert_eq!(
            (answer.header("content-encoding"), answer.text()),
            (coding, body.to_owned()),
            "{accepted}"
        );
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/javascript; charset=utf-8")
        );
        assert_eq!(answer.header("content-length").unwrap(), body.len().to_string());
    }
    let answer = running.get("/a.png", &["Accept-Encoding: br"]);
    assert_eq!(
        (answer.header("content-encoding"), answer.header("vary")),
        (None, None)
    );
}

#[test]
fn each_form_has_an_etag_of_its_own() {
    let running = running();
    let etag = |accepted: &str| {
        let answer = running.get("/app.js", &[&format!("Accept-Encoding: {accepted}")]);
        answer.header("etag").unwrap().to_owned()
    };
    assert_eq!(
        [etag("br"), etag("gzip"), etag("")],
        ["\"appjs-br\"", "\"appjs-gzip\"", "\"appjs\""]
    );
    let ask = |known: &str| {
        running.get(
            "/app.js",
            &["Accept-Encoding: br", &format!("If-None-Match: {known}")],
        )
    };
    let answer = ask("\"appjs-br\"");
    assert_eq!(
        (answer.status, answer.header("vary")),
        (304, Some("Accept-Encoding"))
    );
    assert_eq!(ask("\"appjs\"").status, 200);
}

#[test]
fn a_part_is_of_the_form_that_is_sent() {
    let running = running();
    let answer = running.get("/app.js", &["Accept-Encoding: gzip", "Range: bytes=1-2"]);
    assert_eq!((answer.status, answer.text().as_str()), (206, "ZI"));
    assert_eq!(answer.header("content-range"), Some("bytes 1-2/4"));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
}

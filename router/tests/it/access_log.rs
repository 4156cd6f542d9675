//! The access log: one line for each request, and no secret in it.

use crate::harness::{Backend, World, get, until};
use std::{
    io,
    sync::{Mutex, MutexGuard, OnceLock},
};
use tracing_subscriber::fmt::MakeWriter;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Gathers what every router of this process logs; the tests tell their own lines by the path.
struct Gather;

impl<'a> MakeWriter<'a> for Gather {
    type Writer = Writer<'a>;
    fn make_writer(&'a self) -> Self::Writer {
        Writer(LINES.lock().unwrap())
    }
}

struct Writer<'a>(MutexGuard<'a, Vec<u8>>);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(Gather)
            .init();
    });
}

pub(crate) fn lines_with(text: &str) -> Vec<String> {
    let all = String::from_utf8(LINES.lock().unwrap().clone()).unwrap();
    all.lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn a_request_is_one_line_without_its_query_and_headers() {
    listen();
    let backend = Backend::saying("hello").await;
    let world = World::demo(&[backend.address]).await;
    let id = "a-request-id-of-the-client";
    let headers = format!("Authorization: Bearer sesame\r\nCookie: sesame\r\nX-Request-Id: {id}\r\n");
    assert_eq!(
        world.send(&get("/logged?token=sesame", &headers)).await.status(),
        200
    );
    until("the line", || !lines_with("path=\"/logged\"").is_empty()).await;
    let lines = lines_with("path=\"/logged\"");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        " access: ",
        "method=\"GET\"",
        "host=\"demo.test\"",
        "status=200",
        "bytes_out=5",
        "app=\"demo\"",
        "instance=\"i1\"",
        id,
    ] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(!lines[0].contains("code="), "nothing failed: {}", lines[0]);
    // At any level and of any part of the router, also what hyper traces.
    let leaks: Vec<String> = lines_with("sesame")
        .into_iter()
        .filter(|line| line.contains("router"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[tokio::test]
async fn a_failure_is_logged_with_its_code() {
    listen();
    let world = World::demo(&[]).await;
    world.get("/without-instance").await;
    until("the line", || {
        !lines_with("path=\"/without-instance\"").is_empty()
    })
    .await;
    let line = lines_with("path=\"/without-instance\"").remove(0);
    assert!(
        line.contains("status=503") && line.contains("code=\"H14\""),
        "{line}"
    );
}

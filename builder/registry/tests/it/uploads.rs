//! Blobs on their way in and out: chunks, ranges, mistakes, restarts.

use crate::harness::{Server, assert_refused, digest, header, repository};
use bytes::Bytes;
use futures_util::stream;
use pvdify_registry::{Store, StoreError};
use std::{io::Write, time::Duration};

/// The files below a folder of the store that hold anything.
fn files(server: &Server, folder: &str) -> usize {
    fn count(path: &std::path::Path) -> usize {
        std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { count(&path) } else { 1 })
            .sum()
    }
    count(&server.folder.path().join(folder))
}

#[tokio::test]
async fn chunks_in_order_become_a_blob_and_a_chunk_out_of_order_says_where_to_go_on() {
    let server = Server::start().await;
    let upload = server.begin("demo").await;
    let chunk = |range: &'static str, body: &'static str| {
        server
            .request("PATCH", &upload)
            .header("content-range", range)
            .body(body)
            .send()
    };
    let first = chunk("0-4", "hello").await.unwrap();
    assert_eq!(first.status(), 202);
    assert_eq!(header(&first, "range"), "0-4");
    for range in ["0-4", "3-7", "6-9"] {
        let response = chunk(range, "wrong").await.unwrap();
        assert_eq!(header(&response, "range"), "0-4", "{range}");
        assert_refused(response, 416, "BLOB_UPLOAD_INVALID").await;
    }
    // Fewer bytes than announced: taken back as a whole.
    assert_refused(chunk("5-99", "short").await.unwrap(), 400, "SIZE_INVALID").await;
    let status = server.send("GET", &upload).await;
    assert_eq!(
        (status.status().as_u16(), header(&status, "range").as_str()),
        (204, "0-4")
    );

    let digest = digest(b"hello world");
    let end = server
        .request("PUT", &format!("{upload}?digest=sha256%3A{}", digest.hex()))
        .header("content-range", "5-10")
        .body(" world");
    let end = end.send().await.unwrap();
    assert_eq!(end.status(), 201);
    assert_eq!(header(&end, "docker-content-digest"), digest.as_str());
    let blob = server.send("GET", &header(&end, "location")).await;
    assert_eq!(blob.text().await.unwrap(), "hello world");
    assert_refused(server.send("GET", &upload).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn bytes_of_another_digest_leave_nothing_behind() {
    let server = Server::start().await;
    let wrong = digest(b"something else");
    let upload = server.begin("demo").await;
    let end = server
        .request("PUT", &format!("{upload}?digest={wrong}"))
        .body("bytes");
    assert_refused(end.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    let whole = server
        .request("POST", &format!("/v2/demo/blobs/uploads/?digest={wrong}"))
        .body("bytes");
    assert_refused(whole.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    for folder in ["blobs", "uploads", "temporary", "repositories"] {
        assert_eq!(files(&server, folder), 0, "{folder}");
    }
}

#[tokio::test]
async fn only_lower_case_sha256_is_a_digest() {
    let server = Server::start().await;
    let upload = server.begin("demo").await;
    let upper = format!("sha256:{}", "A".repeat(64));
    for bad in ["sha512:00", "md5:00", upper.as_str(), "sha256:12", ""] {
        let end = server.send("PUT", &format!("{upload}?digest={bad}")).await;
        assert_refused(end, 400, "DIGEST_INVALID").await;
    }
    assert_refused(server.send("PUT", &upload).await, 400, "DIGEST_INVALID").await;
    assert_eq!(server.send("DELETE", &upload).await.status(), 204);
    assert_refused(server.send("DELETE", &upload).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let server = Server::start().await;
    let upload = server.begin("one").await.replace("/one/", "/two/");
    assert_refused(server.send("GET", &upload).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn a_sender_that_breaks_off_can_go_on_where_it_stopped_also_after_a_restart() {
    let server = Server::start().await;
    let upload = server.begin("demo").await;
    break_off(&server, &upload).await;
    let status = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let status = server.send("GET", &upload).await;
            if header(&status, "range") != "0-0" {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let status = status.await.expect("what arrived is kept");
    assert_eq!(header(&status, "range"), "0-5");

    // A second store on the same folder knows nothing of the first one's memory.
    let reopened = Store::open(server.folder.path()).unwrap();
    let app = pvdify_registry::router(reopened, std::sync::Arc::new(Everyone));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let digest = digest(b"first second");
    let end = reqwest::Client::new()
        .put(format!("http://{address}{upload}?digest={digest}"))
        .header("content-range", "6-11")
        .body("second")
        .send()
        .await
        .unwrap();
    assert_eq!(end.status(), 201);
}

/// Announces twelve bytes, sends six and goes.
async fn break_off(server: &Server, upload: &str) {
    use base64::Engine;
    use tokio::io::AsyncWriteExt;
    let credentials = format!("{}:{}", crate::harness::USER, crate::harness::PASSWORD);
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let request = format!(
        "PATCH {upload} HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\
         content-length: 12\r\n\r\nfirst "
    );
    let mut socket = tokio::net::TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
}

struct Everyone;
impl pvdify_registry::Access for Everyone {
    fn allows<'a>(
        &'a self,
        _: Option<pvdify_registry::Credentials<'a>>,
        _: Option<&'a str>,
        _: pvdify_registry::Action,
    ) -> futures_util::future::BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
}

#[tokio::test]
async fn idle_uploads_are_swept_and_busy_ones_stay() {
    let server = Server::start().await;
    let upload = server.begin("demo").await;
    assert_eq!(server.store.sweep(Duration::from_secs(3600)).await.unwrap(), 0);
    assert_eq!(server.send("GET", &upload).await.status(), 204);
    assert_eq!(server.store.sweep(Duration::ZERO).await.unwrap(), 1);
    assert_refused(server.send("GET", &upload).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
    assert_eq!(files(&server, "uploads"), 0);
}

#[tokio::test]
async fn a_part_of_a_blob_can_be_read() {
    let server = Server::start().await;
    let blob = server.push_blob("demo", b"0123456789").await;
    let path = format!("/v2/demo/blobs/{blob}");
    let part = |range: &'static str| server.request("GET", &path).header("range", range).send();
    let response = part("bytes=2-4").await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(header(&response, "content-range"), "bytes 2-4/10");
    assert_eq!(response.text().await.unwrap(), "234");
    let response = part("bytes=10-").await.unwrap();
    assert_eq!(header(&response, "content-range"), "bytes */10");
    assert_refused(response, 416, "RANGE_INVALID").await;
    let head = server.send("HEAD", &path).await;
    assert_eq!(header(&head, "content-length"), "10");
}

#[tokio::test]
async fn a_blob_that_the_disk_spoilt_breaks_the_transfer_and_is_healed_by_pushing_it_again() {
    let server = Server::start().await;
    let bytes = vec![7; 3 * 1024 * 1024];
    let digest = server.push_blob("demo", &bytes).await;
    let mut spoilt = bytes.clone();
    spoilt[2_000_000] ^= 1;
    std::fs::write(server.store.blob_path(&digest).unwrap(), spoilt).unwrap();
    let path = format!("/v2/demo/blobs/{digest}");
    assert!(server.send("GET", &path).await.bytes().await.is_err());
    server.push_blob("demo", &bytes).await;
    assert_eq!(server.send("GET", &path).await.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_stream_is_stored_only_when_it_has_the_expected_digest() {
    let server = Server::start().await;
    let name = repository("demo");
    let body = || stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::from_static(b"b"))]);
    let expected = digest(b"ab");
    let (digest, size) = server
        .store
        .write_blob(&name, Some(&expected), body())
        .await
        .unwrap();
    assert_eq!((&digest, size), (&expected, 2));
    assert!(server.store.has_blob(&name, &digest).await.unwrap());
    let other = crate::harness::digest(b"other");
    let refused = server.store.write_blob(&name, Some(&other), body()).await;
    assert!(matches!(refused, Err(StoreError::DigestMismatch { .. })));
    assert!(!server.store.has_blob(&name, &other).await.unwrap());
    assert_eq!(files(&server, "temporary"), 0);
}

#[tokio::test]
async fn a_blob_written_by_blocking_code_is_seen_once_it_is_kept_and_gone_when_it_is_given_up() {
    let server = Server::start().await;
    let name = repository("demo");
    let mut writer = server.store.blob_writer().unwrap();
    writer.write_all(b"first ").unwrap();
    writer.write_all(&vec![b'x'; 3 << 20]).unwrap();
    let written = writer.finish().unwrap();
    let expected = digest(&[b"first ".as_slice(), &vec![b'x'; 3 << 20]].concat());
    assert_eq!((written.digest(), written.size()), (&expected, 6 + (3 << 20)));
    assert!(!server.store.has_blob(&name, &expected).await.unwrap());
    server.store.keep_blob(&name, written).await.unwrap();
    assert!(server.store.has_blob(&name, &expected).await.unwrap());
    let mut given_up = server.store.blob_writer().unwrap();
    given_up.write_all(b"half").unwrap();
    assert_eq!(files(&server, "temporary"), 1);
    drop(given_up);
    assert_eq!(files(&server, "temporary"), 0);
}

//! Who is let in, and what a refusal tells.

use crate::harness::{Server, assert_refused, digest, header};

#[tokio::test]
async fn without_the_right_password_every_path_answers_with_a_challenge() {
    let server = Server::start().await;
    let blob = server.push_blob("demo", b"bytes").await;
    let upload = server.begin("demo").await;
    let paths = [
        ("GET", "/v2/".to_owned()),
        ("GET", "/v2/_catalog".to_owned()),
        ("GET", "/v2/demo/tags/list".to_owned()),
        ("GET", format!("/v2/demo/blobs/{blob}")),
        ("HEAD", format!("/v2/demo/blobs/{blob}")),
        ("DELETE", format!("/v2/demo/blobs/{blob}")),
        ("POST", "/v2/demo/blobs/uploads/".to_owned()),
        ("GET", upload.clone()),
        ("PATCH", upload.clone()),
        ("DELETE", upload),
        ("GET", "/v2/demo/manifests/latest".to_owned()),
        ("PUT", "/v2/demo/manifests/latest".to_owned()),
        ("GET", format!("/v2/demo/referrers/{blob}")),
        ("GET", "/v2/NOT A NAME/tags/list".to_owned()),
    ];
    for (method, path) in paths {
        let wrong = server
            .anonymous(method, &path)
            .basic_auth("pusher", Some("wrong"));
        for request in [server.anonymous(method, &path), wrong] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{method} {path}");
            assert!(header(&response, "www-authenticate").starts_with("Basic realm="));
        }
    }
    assert_eq!(server.send("GET", "/v2/").await.status(), 200);
}

#[tokio::test]
async fn a_repository_that_is_someone_elses_is_refused_as_one_that_does_not_exist() {
    let server = Server::start().await;
    for path in ["/v2/secret/app/tags/list", "/v2/secret/none/tags/list"] {
        assert_refused(server.send("GET", path).await, 401, "UNAUTHORIZED").await;
    }
}

#[tokio::test]
async fn a_digest_alone_opens_nothing_in_another_repository() {
    let server = Server::start().await;
    let blob = server.push_blob("one", b"bytes").await;
    let other = server.send("GET", &format!("/v2/two/blobs/{blob}")).await;
    assert_refused(other, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn mounting_needs_access_to_the_source_and_tells_nothing_without_it() {
    let server = Server::start().await;
    let blob = server.push_blob("one", b"bytes").await;
    let mount = |from: &str, digest: &pvdify_types::Digest| {
        format!("/v2/two/blobs/uploads/?mount={digest}&from={from}")
    };
    // Stored below `secret/` by the store's own hand, since the user may not.
    let secret = server
        .store
        .write_blob(
            &crate::harness::repository("secret/app"),
            None,
            futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"hidden"))]),
        )
        .await
        .unwrap()
        .0;
    let missing = digest(b"never pushed");
    for (from, digest) in [("secret/app", &secret), ("one", &missing), ("NO", &blob)] {
        let response = server.send("POST", &mount(from, digest)).await;
        assert_eq!(response.status(), 202, "{from}");
        assert!(header(&response, "location").starts_with("/v2/two/blobs/uploads/"));
        let path = format!("/v2/two/blobs/{digest}");
        assert_eq!(server.send("HEAD", &path).await.status(), 404);
    }
    let response = server.send("POST", &mount("one", &blob)).await;
    assert_eq!(response.status(), 201);
    let path = format!("/v2/two/blobs/{blob}");
    assert_eq!(server.send("GET", &path).await.text().await.unwrap(), "bytes");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_told_which_it_takes() {
    let server = Server::start().await;
    let response = server.send("POST", "/v2/demo/tags/list").await;
    assert_eq!(header(&response, "allow"), "GET, HEAD");
    assert_refused(response, 405, "UNSUPPORTED").await;
    assert_refused(server.send("GET", "/v2/nothing").await, 404, "NOT_FOUND").await;
}

//! Manifests, tags and referrers.

use crate::harness::{
    OCI_INDEX, OCI_MANIFEST, Server, assert_refused, by_digest, digest, header, image, repository,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_manifest_is_read_back_as_the_very_bytes_by_tag_and_by_digest() {
    let server = Server::start().await;
    let digest = server.push_image("demo", "v1", b"layer").await;
    for reference in ["v1", digest.as_str()] {
        let path = format!("/v2/demo/manifests/{reference}");
        let response = server.send("GET", &path).await;
        assert_eq!(header(&response, "content-type"), OCI_MANIFEST);
        assert_eq!(header(&response, "docker-content-digest"), digest.as_str());
        let bytes = response.bytes().await.unwrap();
        assert_eq!(crate::harness::digest(&bytes), digest);
        let head = server.send("HEAD", &path).await;
        assert_eq!(header(&head, "content-length"), bytes.len().to_string());
    }
    let unknown = server.send("GET", "/v2/demo/manifests/v2").await;
    assert_refused(unknown, 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn a_manifest_needs_its_blobs_first() {
    let server = Server::start().await;
    let config = server.push_blob("demo", b"{}").await;
    let missing = digest(b"never pushed");
    let body = image(&config, &missing).to_string();
    let put = server.put_manifest("demo", "v1", OCI_MANIFEST, body).await;
    assert_refused(put, 400, "MANIFEST_BLOB_UNKNOWN").await;
    let get = server.send("GET", "/v2/demo/manifests/v1").await;
    assert_refused(get, 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn a_bad_manifest_is_refused_with_its_reason() {
    let server = Server::start().await;
    let config = server.push_blob("demo", b"{}").await;
    let mut both = image(&config, &config);
    both["manifests"] = json!([]);
    let put = |reference: &str, media_type: &str, body: String| {
        let (reference, media_type) = (reference.to_owned(), media_type.to_owned());
        let server = &server;
        async move { server.put_manifest("demo", &reference, &media_type, body).await }
    };
    let good = image(&config, &config).to_string();
    let other = digest(b"other");
    let table = [
        (
            put("v1", OCI_MANIFEST, both.to_string()).await,
            400,
            "MANIFEST_INVALID",
        ),
        (put("v1", OCI_INDEX, good.clone()).await, 400, "MANIFEST_INVALID"),
        (put("v1", OCI_MANIFEST, "{".into()).await, 400, "MANIFEST_INVALID"),
        (
            put(other.as_str(), OCI_MANIFEST, good.clone()).await,
            400,
            "DIGEST_INVALID",
        ),
        (
            put(&"t".repeat(129), OCI_MANIFEST, good.clone()).await,
            400,
            "TAG_INVALID",
        ),
        (put("sha512:00", OCI_MANIFEST, good).await, 400, "DIGEST_INVALID"),
        (
            put("v1", OCI_MANIFEST, " ".repeat(8 << 20)).await,
            413,
            "MANIFEST_INVALID",
        ),
    ];
    for (response, status, code) in table {
        assert_refused(response, status, code).await;
    }
    let tags = server.store.tags(&repository("demo")).await.unwrap();
    assert_eq!(tags, Vec::<String>::new());
}

#[tokio::test]
async fn one_request_may_give_many_tags_and_the_list_goes_by_pages() {
    let server = Server::start().await;
    let digest = server.push_image("a/demo", "v1", b"layer").await;
    let manifest = server
        .store
        .manifest(&repository("a/demo"), &by_digest(&digest))
        .await
        .unwrap()
        .unwrap();
    let put = server
        .request(
            "PUT",
            &format!("/v2/a/demo/manifests/{digest}?tag=v3&tag=v2&tag=latest"),
        )
        .header("content-type", manifest.media_type.as_str())
        .body(manifest.bytes);
    let put = put.send().await.unwrap();
    assert_eq!(header(&put, "oci-tag"), "v3, v2, latest");

    let page = server.send("GET", "/v2/a/demo/tags/list?n=3").await;
    let link = header(&page, "link");
    let body: Value = page.json().await.unwrap();
    assert_eq!(body, json!({"name": "a/demo", "tags": ["latest", "v1", "v2"]}));
    let next = link.strip_prefix('<').unwrap().split('>').next().unwrap();
    let page = server.send("GET", next).await;
    assert_eq!(header(&page, "link"), "");
    assert_eq!(page.json::<Value>().await.unwrap()["tags"], json!(["v3"]));

    let huge = server.send("GET", "/v2/_catalog?n=1000000000000").await;
    assert_eq!(
        huge.json::<Value>().await.unwrap(),
        json!({"repositories": ["a/demo"]})
    );
    let bad = server.send("GET", "/v2/_catalog?n=x").await;
    assert_refused(bad, 400, "PAGINATION_NUMBER_INVALID").await;
    let unknown = server.send("GET", "/v2/nothing/tags/list").await;
    assert_refused(unknown, 404, "NAME_UNKNOWN").await;
}

#[tokio::test]
async fn deleting_a_tag_leaves_the_manifest_and_deleting_the_manifest_takes_its_tags() {
    let server = Server::start().await;
    let digest = server.push_image("demo", "v1", b"layer").await;
    server.push_image("demo", "v2", b"layer").await;
    assert_eq!(server.send("DELETE", "/v2/demo/manifests/v1").await.status(), 202);
    let by_digest = format!("/v2/demo/manifests/{digest}");
    assert_eq!(server.send("GET", &by_digest).await.status(), 200);
    assert_eq!(server.send("DELETE", &by_digest).await.status(), 202);
    for path in ["/v2/demo/manifests/v2", "/v2/demo/manifests/v1", &by_digest] {
        let gone = server.send("GET", path).await;
        assert_refused(gone, 404, "MANIFEST_UNKNOWN").await;
        let again = server.send("DELETE", path).await;
        assert_refused(again, 404, "MANIFEST_UNKNOWN").await;
    }
}

#[tokio::test]
async fn what_is_about_an_image_is_listed_with_it() {
    let server = Server::start().await;
    let subject = server.push_image("demo", "v1", b"layer").await;
    let config = server.push_blob("demo", b"{}").await;
    let mut signature = image(&config, &config);
    signature["artifactType"] = "application/x.signature".into();
    signature["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject.as_str(), "size": 1});
    signature["annotations"] = json!({"by": "me"});
    let body = signature.to_string();
    let about = digest(body.as_bytes());
    let put = server
        .put_manifest("demo", about.as_str(), OCI_MANIFEST, body.clone())
        .await;
    assert_eq!(header(&put, "oci-subject"), subject.as_str());

    let path = format!("/v2/demo/referrers/{subject}");
    let list = server.send("GET", &path).await;
    assert_eq!(header(&list, "content-type"), OCI_INDEX);
    let list: Value = list.json().await.unwrap();
    let expected = json!([{
        "mediaType": OCI_MANIFEST, "digest": about.as_str(), "size": body.len(),
        "artifactType": "application/x.signature", "annotations": {"by": "me"},
    }]);
    assert_eq!(list["manifests"], expected);
    let other = server.send("GET", &format!("{path}?artifactType=other")).await;
    assert_eq!(header(&other, "oci-filters-applied"), "artifactType");
    assert_eq!(other.json::<Value>().await.unwrap()["manifests"], json!([]));
    server
        .send("DELETE", &format!("/v2/demo/manifests/{about}"))
        .await;
    let list: Value = server.send("GET", &path).await.json().await.unwrap();
    assert_eq!(list["manifests"], json!([]));
}

//! Where a request ends, and others that would be smuggled in it: what is doubtful is answered and closed, and the
//! backend sees not one byte.

use crate::harness::{Answer, Recorder, World, in_time, read_to_end, read_until};
use tokio::{io::AsyncWriteExt, net::TcpStream};

pub(crate) const HOST: &str = "Host: demo.test\r\n";

/// Each request carries a second one after it, which must not be seen either.
pub(crate) async fn refused(cases: &[(&str, u16, String)]) {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    for (name, status, request) in cases {
        let smuggled = format!("{request}GET /smuggled HTTP/1.1\r\n{HOST}\r\n");
        let answer = world.send(&smuggled).await;
        assert_eq!(
            answer.statuses(),
            [*status],
            "{name}: one answer, then the end: {answer:?}"
        );
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert_eq!(recorder.seen(), "", "{name} reached the backend");
        assert_eq!(recorder.backend.count(), 0, "{name} made a connection");
    }
    // The recorder records: the same way, a good request arrives.
    assert_eq!(world.get("/good").await.status(), 200);
    assert!(
        recorder.seen().starts_with("GET /good HTTP/1.1\r\n"),
        "{}",
        recorder.seen()
    );
}

pub(crate) fn post(headers: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}{headers}\r\n{body}")
}

#[tokio::test]
async fn two_lengths_are_refused() {
    refused(&[
        (
            "CL and TE",
            400,
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        (
            "TE and CL",
            400,
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ),
        (
            "differing CLs",
            400,
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ),
        (
            "equal CLs",
            400,
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        ),
        ("a list of CLs", 400, post("Content-Length: 5, 5\r\n", "hello")),
        (
            "two TEs",
            400,
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
        ),
        (
            "TE and a lookalike CL",
            400,
            post("Transfer-Encoding: chunked\r\nContent_Length: 5\r\n", "0\r\n\r\n"),
        ),
        (
            "CL and a lookalike TE",
            400,
            post("Content-Length: 5\r\nTransfer_Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn bad_lengths_and_codings_are_refused() {
    let lengths = [
        "+5",
        "-5",
        "0x5",
        "5 5",
        "5;",
        "",
        "\t5",
        "99999999999999999999",
        "5a",
        "\u{665}",
    ];
    let codings = [
        "xchunked",
        "chunked, identity",
        "identity, chunked",
        "gzip",
        "gzip, chunked",
        "\tchunked",
        "chunked\t",
        "chunked;q=1",
        "\"chunked\"",
        "",
        "identity",
    ];
    let lengths = lengths.map(|value| {
        (
            "a bad CL",
            400,
            post(&format!("Content-Length: {value}\r\n"), "hello"),
        )
    });
    let codings = codings.map(|value| {
        (
            "a bad TE",
            400,
            post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n"),
        )
    });
    refused(&[lengths.to_vec(), codings.to_vec()].concat()).await;
    refused(&[(
        "HTTP/1.0 with TE",
        400,
        format!("POST / HTTP/1.0\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    )])
    .await;
}

#[tokio::test]
async fn a_bad_chunk_that_comes_with_its_head_is_refused_with_it() {
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;\0\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\nbad trailer: x\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\n x: y\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "0\r\n\n",
    ];
    let cases = bodies.map(|body| (body, 400, post("Transfer-Encoding: chunked\r\n", body)));
    refused(&cases).await;
}

#[tokio::test]
async fn a_bad_chunk_later_on_breaks_the_request_off() {
    let recorder = Recorder::silent().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\nX-Test: late\r\n\r\n5\r\nhello\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    in_time("the first chunk", async {
        while !recorder.seen().contains("5\r\nhello\r\n") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client
        .write_all(b"5\nXXXXX0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: demo.test\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut client).await;
    assert_eq!(Answer(answer.clone()).statuses(), [400], "{answer}");
    let seen = recorder.seen();
    assert!(
        !seen.contains("XXXXX") && !seen.contains("smuggled") && !seen.contains("\r\n0\r\n"),
        "{seen}"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_bad_one() {
    let recorder = Recorder::start().await;
    let world = World::demo(&[recorder.backend.address]).await;
    let good = format!("GET /one HTTP/1.1\r\n{HOST}\r\n");
    let bad = format!("GET /two HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\n");
    let answer = world.send(&format!("{good}{good}{bad}{good}")).await;
    assert_eq!(answer.statuses(), [200, 200, 400], "{answer:?}");
    assert_eq!(recorder.seen().matches("GET /one").count(), 2);
    assert!(!recorder.seen().contains("/two"));
}

/// A socket closed with unread bytes is reset, and the reset may overtake the answer.
#[tokio::test]
async fn a_refused_client_may_finish_what_it_was_sending() {
    let world = World::demo(&[]).await;
    let mut client = TcpStream::connect(world.router.address).await.unwrap();
    client
        .write_all(b"POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut client, "request ").await;
    for _ in 0..4 {
        client.write_all(&[b'x'; 100_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    client.shutdown().await.unwrap();
    read_to_end(&mut client).await;
}

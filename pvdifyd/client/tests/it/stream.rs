//! Streams however the network cuts them: split chunks, CRLF, comments, long lines, a lost connection.

use crate::server::{Chunk, chunks, serve};
use pvdify_api::{logs::LogQuery, releases::ReleaseEvent};
use pvdify_client::{Client, Error};
use pvdify_types::{AppName, ReleaseStatus, ReleaseVersion};

fn demo() -> AppName {
    "demo".parse().unwrap()
}

/// The texts of all events of a stream, and how it ended.
async fn events(body: Vec<Chunk>) -> (Vec<String>, Result<(), Error>) {
    let client = Client::over_tcp(&serve(200, body).await, None).unwrap();
    let mut stream = client.release_events(&demo(), ReleaseVersion(3)).await.unwrap();
    let mut texts = Vec::new();
    loop {
        match stream.next().await {
            Ok(Some(ReleaseEvent::Line { text })) => texts.push(text),
            Ok(Some(ReleaseEvent::Done { status, .. })) => texts.push(format!("done {status}")),
            Ok(None) => return (texts, Ok(())),
            Err(error) => return (texts, Err(error)),
        }
    }
}

#[tokio::test]
async fn an_event_split_anywhere_is_one_event() {
    let body = "data: {\"type\":\"line\",\"text\":\"h\u{e9}llo\"}\n\n";
    for at in 1..body.len() {
        let (head, tail) = body.as_bytes().split_at(at);
        let (texts, end) = events(vec![Chunk::Bytes(head.into()), Chunk::Bytes(tail.into())]).await;
        assert_eq!(texts, ["h\u{e9}llo"], "split at {at}");
        assert!(end.is_ok());
    }
}

#[tokio::test]
async fn comments_other_fields_crlf_and_missing_blanks_are_taken_as_the_standard_says() {
    let (texts, end) = events(chunks([
        ": keep-alive\n\n:\r\n\r\n",
        "event: line\r\nid: 7\r\ndata:{\"type\":\"line\",\"text\":\"no blank\"}\r\n\r\n",
        "event: only a name\n\nretry: 10\n\n",
        "data: {\"type\":\"line\",\ndata: \"text\":\"two data lines\"}\n\n",
        "database: no field of ours\n\n",
        "data: {\"type\":\"done\",\"status\":\"current\",\"failure\":null}\n\n",
    ]))
    .await;
    assert_eq!(texts, ["no blank", "two data lines", "done current"]);
    assert!(end.is_ok());
}

#[tokio::test]
async fn what_the_end_cuts_off_is_dropped_and_a_broken_connection_is_an_error() {
    let whole = "data: {\"type\":\"line\",\"text\":\"whole\"}\n\n";
    let (texts, end) = events(chunks([whole, "data: {\"type\":\"line\",\"te"])).await;
    assert_eq!(
        (texts.as_slice(), end.is_ok()),
        (["whole".to_owned()].as_slice(), true)
    );

    let (texts, end) = events(vec![Chunk::Bytes(whole.into()), Chunk::Cut]).await;
    assert_eq!(texts, ["whole"]);
    assert!(matches!(end, Err(Error::Transport(_))), "{end:?}");
}

#[tokio::test]
async fn data_that_is_no_such_value_is_an_error() {
    for data in [
        "data: no json\n\n",
        "data\n\n",
        "data: {\"type\":\"unheard of\"}\n\n",
    ] {
        let (texts, end) = events(chunks([data])).await;
        assert!(texts.is_empty());
        let error = end.unwrap_err().to_string();
        assert!(error.contains("unreadable stream"), "{error}");
    }
}

#[tokio::test]
async fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let megabyte = "x".repeat(1024 * 1024);
    let endless = vec![Chunk::Bytes(megabyte.into()); 18];
    let (texts, end) = events(endless).await;
    assert!(texts.is_empty());
    assert_eq!(
        end.unwrap_err().to_string(),
        "can't reach Pvdify: a line of the stream is too long"
    );
}

#[tokio::test]
async fn an_event_of_endless_data_lines_is_refused_too() {
    let line = format!("data: {}\n", "x".repeat(1024 * 1024));
    let (_, end) = events(vec![Chunk::Bytes(line.into()); 18]).await;
    assert_eq!(
        end.unwrap_err().to_string(),
        "can't reach Pvdify: a line of the stream is too long"
    );
}

#[tokio::test]
async fn a_large_value_in_small_chunks_is_read() {
    let text = "y".repeat(4 * 1024 * 1024);
    let body = format!("data: {{\"type\":\"line\",\"text\":\"{text}\"}}\n\n");
    let body = body
        .as_bytes()
        .chunks(8 * 1024)
        .map(|chunk| Chunk::Bytes(chunk.into()));
    let (texts, end) = events(body.collect()).await;
    assert!(end.is_ok());
    assert_eq!(texts.iter().map(String::len).collect::<Vec<_>>(), [text.len()]);
}

#[tokio::test]
async fn followed_logs_come_one_by_one() {
    let line = |n: u32| {
        format!(
            "data: {{\"time\":\"2026-01-01T00:00:0{n}Z\",\"source\":\"app\",\"process\":\"web.1\",\"message\":\"m{n}\"}}\n\n"
        )
    };
    let body = [line(1), line(2)].map(|line| Chunk::Bytes(line.into()));
    let client = Client::over_tcp(&serve(200, body.into()).await, None).unwrap();
    let mut logs = client.follow_logs(&demo(), &LogQuery::default()).await.unwrap();
    let mut messages = Vec::new();
    while let Some(line) = logs.next().await.unwrap() {
        messages.push(line.message);
    }
    assert_eq!(messages, ["m1", "m2"]);
}

#[tokio::test]
async fn newline_delimited_values_are_read_across_chunks_blank_lines_and_crlf() {
    let client = Client::over_tcp(
        &serve(
            200,
            chunks([
                "{\"generation\":1,\"hosts\":{},\"routes\":[]}\r\n\n{\"gener",
                "ation\":2,\"hosts\":{},\"routes\":[]}",
                "\n{\"generation\":3",
            ]),
        )
        .await,
        None,
    )
    .unwrap();
    let mut tables = client.routes().await.unwrap();
    let mut generations = Vec::new();
    while let Some(table) = tables.next().await.unwrap() {
        generations.push(table.generation.0);
    }
    assert_eq!(generations, [1, 2], "the third was cut off");
}

#[tokio::test]
async fn a_wait_that_is_given_up_and_taken_up_again_loses_nothing() {
    let body = chunks([
        "data: {\"type\":\"done\",",
        "\"status\":\"failed\"",
        ",\"failure\":\"x\"}\n\n",
    ]);
    let client = Client::over_tcp(&serve(200, body).await, None).unwrap();
    let mut stream = client.release_events(&demo(), ReleaseVersion(3)).await.unwrap();
    let event = loop {
        // Polled once and dropped, until it is ready at once.
        tokio::select! {
            biased;
            event = stream.next() => break event.unwrap(),
            () = tokio::task::yield_now() => {}
        }
    };
    let failed = ReleaseEvent::Done {
        status: ReleaseStatus::Failed,
        failure: Some("x".into()),
    };
    assert_eq!(event, Some(failed));
}

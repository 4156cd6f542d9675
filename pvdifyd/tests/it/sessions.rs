//! Sessions through the API: what is carried, what passes by, and how they end.

use crate::harness::{Options, Server};
use bytes::Bytes;
use pvdify_api::{
    ps::Stop,
    session::{FromClient, FromServer, PROTOCOL, Start, WINDOW},
};
use pvdify_client::{SessionEvent, SessionReceiver, SessionSender};
use pvdify_types::{AppName, OneOffKind, ProcessType, TerminalSize};
use reqwest::StatusCode;
use std::time::Duration;

fn start(command: &str) -> FromClient {
    FromClient::Start(Start {
        command: vec![command.to_owned()],
        ..Start::default()
    })
}

/// A session that runs.
async fn running(server: &Server, app: &AppName, command: &str) -> (SessionSender, SessionReceiver) {
    let (mut sender, mut receiver) = server.client().run(app).await.unwrap();
    sender.say(&start(command)).await.unwrap();
    let started = receiver.next().await.unwrap().unwrap();
    let SessionEvent::Message(FromServer::Started { name }) = started else {
        panic!("{started:?}");
    };
    assert!(name.starts_with("run."), "{name}");
    (sender, receiver)
}

/// What the server says last, but for how much it took.
async fn last_word(receiver: &mut SessionReceiver) -> FromServer {
    loop {
        match receiver.next().await.unwrap() {
            Some(SessionEvent::Message(FromServer::Window { .. })) => {}
            Some(SessionEvent::Message(word)) => return word,
            other => panic!("{other:?}"),
        }
    }
}

async fn until_running(server: &Server, count: usize) {
    let mut running = server.sessions.running.subscribe();
    running.wait_for(|running| *running == count).await.unwrap();
}

#[tokio::test]
async fn bytes_go_both_ways_and_a_size_to_the_process_until_its_end() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let (mut sender, mut receiver) = running(&server, &app, "echo").await;
    sender.input(Bytes::from_static(b"hi")).await.unwrap();
    let mut events = Vec::new();
    for _ in 0..2 {
        events.push(receiver.next().await.unwrap().unwrap());
    }
    assert!(events.contains(&SessionEvent::Stdout(Bytes::from_static(b"hi"))));
    assert!(events.contains(&SessionEvent::Message(FromServer::Window { bytes: 2 })));
    let size = TerminalSize {
        columns: 97,
        rows: 31,
    };
    sender.say(&FromClient::Resize(size)).await.unwrap();
    let mut told = server.sessions.size.subscribe();
    told.wait_for(|told| *told == Some(size)).await.unwrap();
    let shown = server.client().ps(&app).await.unwrap();
    let one_off = shown
        .iter()
        .find(|one| one.process_type == OneOffKind::Run.process())
        .unwrap();
    let instance = &one_off.instances[0];
    assert_eq!(
        (instance.command.as_deref(), &*instance.state),
        (Some("echo"), "up")
    );
    sender.say(&FromClient::Eof).await.unwrap();
    assert_eq!(last_word(&mut receiver).await, FromServer::Exit { status: 0 });
    assert_eq!(receiver.next().await.unwrap(), None);
    until_running(&server, 0).await;
}

#[tokio::test]
async fn a_process_that_reads_nothing_holds_up_nothing_but_its_input() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let (mut sender, mut receiver) = running(&server, &app, "deaf").await;
    for _ in 0..WINDOW / 65_536 {
        sender.input(vec![0; 65_536].into()).await.unwrap();
    }
    let size = TerminalSize {
        columns: 97,
        rows: 31,
    };
    sender.say(&FromClient::Resize(size)).await.unwrap();
    let mut told = server.sessions.size.subscribe();
    told.wait_for(|told| *told == Some(size)).await.unwrap();
    server.app.close();
    let word = last_word(&mut receiver).await;
    let FromServer::Error { error, .. } = word else {
        panic!("{word:?}");
    };
    assert!(error.ends_with("was ended: the server stops"), "{error}");
    server.app.sessions_ended().await;
    assert_eq!(*server.sessions.running.borrow(), 0);
}

#[tokio::test]
async fn a_client_who_goes_or_sends_more_than_it_may_ends_its_process() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let session = running(&server, &app, "deaf").await;
    until_running(&server, 1).await;
    drop(session);
    until_running(&server, 0).await;
    let (mut sender, _receiver) = running(&server, &app, "deaf").await;
    for _ in 0..=WINDOW / 65_536 {
        sender.input(vec![0; 65_536].into()).await.unwrap();
    }
    until_running(&server, 0).await;
}

#[tokio::test]
async fn a_session_ends_when_it_is_stopped_and_with_its_app() {
    let server = Server::start().await;
    let app = server.serving("demo", "one").await;
    let (_sender, mut receiver) = running(&server, &app, "deaf").await;
    let shown = server.client().ps(&app).await.unwrap();
    let name = &shown.last().unwrap().instances[0].name;
    let stop = |process: &str| Stop {
        process: process.to_owned(),
    };
    let unknown = server.client().stop(&app, &stop("run.1")).await.unwrap_err();
    assert_eq!(unknown.status(), Some(404));
    server.client().stop(&app, &stop(name)).await.unwrap();
    let word = last_word(&mut receiver).await;
    assert!(
        matches!(&word, FromServer::Error { error, .. } if error == &format!("{name} was ended: it was stopped")),
        "{word:?}"
    );
    let _session = running(&server, &app, "deaf").await;
    server.client().delete_app(&app).await.unwrap();
    until_running(&server, 0).await;
}

#[tokio::test]
async fn a_session_in_which_nothing_goes_either_way_and_one_whose_time_is_over_are_ended() {
    let moment = Duration::from_millis(50);
    let long = Duration::from_secs(3600);
    for (idle, time, why) in [
        (moment, long, "nothing was read or written for 0 seconds"),
        (long, moment, "its time of 0 seconds is over"),
    ] {
        let mut options = Options::default();
        (options.limits.session_idle, options.limits.session_time) = (idle, time);
        let server = Server::with(options).await;
        let app = server.serving("demo", "one").await;
        let (_sender, mut receiver) = running(&server, &app, "deaf").await;
        let word = last_word(&mut receiver).await;
        assert!(
            matches!(&word, FromServer::Error { error, .. } if error.ends_with(why)),
            "{word:?}"
        );
        until_running(&server, 0).await;
    }
}

#[tokio::test]
async fn more_than_an_apps_share_and_what_is_not_there_are_refused_before_it_is_a_session() {
    let mut options = Options::default();
    options.limits.sessions = 1;
    let server = Server::with(options).await;
    let empty = server.create("empty").await;
    let client = server.client();
    let status = |result: pvdify_client::Result<(SessionSender, SessionReceiver)>| {
        let error = result.map(drop).unwrap_err();
        (error.status().unwrap(), error.to_string())
    };
    let refused = status(client.run(&empty).await);
    assert_eq!(refused, (409, "nothing was deployed to empty yet".to_owned()));
    let app = server.serving("demo", "one").await;
    let _session = running(&server, &app, "deaf").await;
    let refused = status(client.run(&app).await);
    assert_eq!(refused.0, 409);
    assert_eq!(
        refused.1,
        "demo has 1 one-off processes already, and at most so many at a time"
    );
    let refused = status(client.exec(&app, &ProcessType::web(), 7).await);
    assert_eq!(
        refused,
        (404, "demo has no instance \"web.7\" that runs".to_owned())
    );
}

#[tokio::test]
async fn a_page_of_another_origin_opens_no_session_nor_does_another_protocol() {
    let server = Server::start().await;
    server.serving("demo", "one").await;
    let open = async |headers: &[(&str, &str)]| {
        let url = format!("{}/api/v1/apps/demo/ps/run", server.url);
        let mut request = reqwest::Client::new()
            .get(url)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().status()
    };
    let protocol = ("sec-websocket-protocol", PROTOCOL);
    assert_eq!(open(&[protocol]).await, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(open(&[protocol, ("origin", "http://evil.example")]).await, 403);
    assert_eq!(open(&[protocol, ("origin", &server.url)]).await, 101);
    assert_eq!(open(&[]).await, StatusCode::UPGRADE_REQUIRED);
    assert_eq!(open(&[("sec-websocket-protocol", "other")]).await, 426);
}

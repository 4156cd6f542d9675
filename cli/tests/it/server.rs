//! A server whose every answer is scripted, and which remembers what it was asked.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use pvdify_api::{
    ErrorBody,
    config::{NEXT_BUILD_HEADER, RELEASE_HEADER},
};
use serde::Serialize;
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// One answer.
#[derive(Clone)]
pub(crate) enum Answer {
    Body {
        status: u16,
        headers: Vec<(&'static str, &'static str)>,
        text: String,
    },
    Events(Vec<Event>),
}

/// One step of an event stream.
#[derive(Clone)]
pub(crate) enum Event {
    Data(String),
    KeepAlive,
    /// The connection breaks here; without it the body ends.
    Cut,
    /// Nothing more comes, and the connection stays.
    Hang,
}

pub(crate) fn json(status: u16, value: &impl Serialize) -> Answer {
    Answer::Body {
        status,
        headers: Vec::new(),
        text: serde_json::to_string(value).unwrap(),
    }
}

pub(crate) fn text(status: u16, text: &str) -> Answer {
    Answer::Body {
        status,
        headers: Vec::new(),
        text: text.to_owned(),
    }
}

pub(crate) fn empty() -> Answer {
    text(204, "")
}

/// An answer of a config change that made a release.
pub(crate) fn with_release(release: &'static str, value: &impl Serialize) -> Answer {
    with_headers(Some(release), None, value)
}

/// The same, and what it says of the next build.
pub(crate) fn with_headers(
    release: Option<&'static str>,
    next_build: Option<&'static str>,
    value: &impl Serialize,
) -> Answer {
    let release = release.map(|release| (RELEASE_HEADER, release));
    let next_build = next_build.map(|keys| (NEXT_BUILD_HEADER, keys));
    Answer::Body {
        status: 200,
        headers: release.into_iter().chain(next_build).collect(),
        text: serde_json::to_string(value).unwrap(),
    }
}

pub(crate) fn refuse(status: u16, error: &str, hint: &str) -> Answer {
    let body = ErrorBody {
        error: error.to_owned(),
        code: "code".to_owned(),
        hint: hint.to_owned(),
        request_id: "r-1".to_owned(),
    };
    json(status, &body)
}

pub(crate) fn event(value: &impl Serialize) -> Event {
    Event::Data(serde_json::to_string(value).unwrap())
}

/// The server: ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// `METHOD /path` -> its answers; the last one stays.
    answers: HashMap<String, VecDeque<Answer>>,
    /// `METHOD /path?query body`, as they came.
    requests: Vec<String>,
    authorizations: Vec<Option<String>>,
}

impl Server {
    /// Answers each `METHOD /path` in the order given; what is not scripted is refused with 418.
    pub(crate) async fn start<const N: usize>(answers: [(&str, Answer); N]) -> Self {
        let mut script = Script::default();
        for (request, answer) in answers {
            let (method, path) = request.split_once(' ').unwrap();
            let key = if path == "/health" {
                request.to_owned()
            } else {
                format!("{method} /api/v1{path}")
            };
            script.answers.entry(key).or_default().push_back(answer);
        }
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    /// What was asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.script.lock().unwrap().requests.clone()
    }

    /// The `Authorization` of each request.
    pub(crate) fn authorizations(&self) -> Vec<Option<String>> {
        self.script.lock().unwrap().authorizations.clone()
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut script = script.lock().unwrap();
    let asked = uri.to_string().replacen("/api/v1", "", 1);
    let body = String::from_utf8_lossy(&body);
    script
        .requests
        .push(format!("{method} {asked} {body}").trim_end().to_owned());
    let authorization = headers
        .get(header::AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    script.authorizations.push(authorization);
    let Some(answers) = script.answers.get_mut(&format!("{method} {}", uri.path())) else {
        return respond(refuse(418, &format!("unscripted: {method} {uri}"), ""));
    };
    let answer = answers[0].clone();
    if answers.len() > 1 {
        answers.pop_front();
    }
    respond(answer)
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Body {
            status,
            headers,
            text,
        } => {
            let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
        Answer::Events(events) => {
            let body = stream::iter(events).then(|event| async {
                // A write of its own for each event.
                tokio::task::yield_now().await;
                match event {
                    Event::Data(data) => Ok(format!("data: {data}\n\n")),
                    Event::KeepAlive => Ok(":\n\n".to_owned()),
                    Event::Cut => Err(io::Error::other("cut")),
                    Event::Hang => std::future::pending().await,
                }
            });
            let kind = [(header::CONTENT_TYPE, "text/event-stream")];
            (kind, Body::from_stream(body)).into_response()
        }
    }
}

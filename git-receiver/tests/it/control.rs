//! A control plane that a test scripts: a real HTTP server on a Unix socket, speaking `pvdify_api::control`.

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path as UrlPath, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use pvdify_api::{
    ErrorBody,
    control::{AuthorisePush, BuildEvent, BuildQuery, IdentifySshKey, LivingApps, PushGrant, SshIdentity},
};
use pvdify_types::{AppId, AppName};
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// How the next build goes.
pub(crate) enum Answer {
    Release,
    Fail(&'static str),
    /// Some lines, then the connection breaks.
    Die,
    /// No build begins.
    Refuse(StatusCode, &'static str),
    /// Goes on when the gate opens.
    Hold(watch::Receiver<bool>, Box<Answer>),
    /// Fails at once, without reading the source.
    FailUnread,
}

/// What a build was given.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) app: String,
    pub(crate) commit: String,
    pub(crate) fingerprint: String,
    /// `None`: the source broke off.
    pub(crate) tar: Option<Vec<u8>>,
}

#[derive(Default)]
pub(crate) struct Script {
    pub(crate) keys: HashMap<String, String>,
    pub(crate) apps: HashMap<String, String>,
    pub(crate) answers: VecDeque<Answer>,
    pub(crate) builds: Vec<Build>,
    pub(crate) identified: Vec<String>,
    pub(crate) authorised: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Control(Arc<Inner>);

#[derive(Default)]
struct Inner {
    script: Mutex<Script>,
    changed: tokio::sync::Notify,
}

impl Control {
    pub(crate) fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.script.lock().unwrap()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.script().answers.push_back(answer);
    }

    pub(crate) fn builds(&self) -> Vec<Build> {
        self.script().builds.clone()
    }

    /// Waits until the script shows what is looked for.
    pub(crate) async fn until(&self, met: impl Fn(&Script) -> bool) {
        tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                let changed = self.0.changed.notified();
                if met(&self.script()) {
                    return;
                }
                changed.await;
            }
        })
        .await
        .expect("the control plane was not asked");
    }

    fn record(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script());
        self.0.changed.notify_waiters();
    }

    pub(crate) fn serve(&self, socket: &Path) -> tokio::task::JoinHandle<()> {
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let routes = Router::new()
            .route("/control/v1/ssh-key", post(identify))
            .route("/control/v1/push", post(authorise))
            .route("/control/v1/apps", get(living))
            .route("/control/v1/apps/{name}/builds", post(build))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() })
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    let body = ErrorBody {
        error: error.to_owned(),
        code: "refused".to_owned(),
        hint: "To see your apps: pvdify apps".to_owned(),
        request_id: String::new(),
    };
    (status, Json(body)).into_response()
}

async fn identify(State(control): State<Control>, Json(asked): Json<IdentifySshKey>) -> Response {
    control.record(|script| script.identified.push(asked.fingerprint.clone()));
    let name = control.script().keys.get(&asked.fingerprint).cloned();
    match name {
        Some(name) => Json(SshIdentity {
            name,
            fingerprint: asked.fingerprint,
        })
        .into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such key"),
    }
}

async fn authorise(State(control): State<Control>, Json(asked): Json<AuthorisePush>) -> Response {
    control.record(|script| script.authorised.push(asked.app.clone()));
    let script = control.script();
    let id = script
        .apps
        .get(&asked.app)
        .filter(|_| script.keys.contains_key(&asked.fingerprint));
    match id {
        Some(id) => Json(PushGrant {
            app_id: id.parse::<AppId>().unwrap(),
            app: asked.app.parse::<AppName>().unwrap(),
            deploy_branches: vec!["main".to_owned(), "master".to_owned()],
        })
        .into_response(),
        None => refuse(
            StatusCode::NOT_FOUND,
            &format!("There is no app {:?}.", asked.app),
        ),
    }
}

async fn living(State(control): State<Control>) -> Json<LivingApps> {
    let ids = control
        .script()
        .apps
        .values()
        .map(|id| id.parse().unwrap())
        .collect();
    Json(LivingApps { ids })
}

async fn build(
    State(control): State<Control>,
    UrlPath(app): UrlPath<String>,
    Query(query): Query<BuildQuery>,
    body: Body,
) -> Response {
    let answer = control.script().answers.pop_front().unwrap_or(Answer::Release);
    let BuildQuery { commit, fingerprint } = query;
    match answer {
        Answer::Refuse(status, error) => return refuse(status, error),
        Answer::FailUnread => {
            let line = serde_json::to_string(&BuildEvent::Failed {
                message: "not read".into(),
            })
            .unwrap();
            return Response::new(Body::from(line + "\n"));
        }
        _ => {}
    }
    let tar = axum::body::to_bytes(body, usize::MAX)
        .await
        .ok()
        .map(|bytes: Bytes| bytes.to_vec());
    control.record(|script| {
        script.builds.push(Build {
            app,
            commit,
            fingerprint,
            tar,
        });
    });
    let (events, body) = mpsc::channel::<io::Result<String>>(4);
    tokio::spawn(play(answer, events));
    let stream = tokio_stream(body);
    Response::new(Body::from_stream(stream))
}

fn tokio_stream(
    body: mpsc::Receiver<io::Result<String>>,
) -> impl futures_util::Stream<Item = io::Result<String>> {
    futures_util::stream::unfold(body, |mut body| async move {
        body.recv().await.map(|item| (item, body))
    })
}

async fn play(answer: Answer, events: mpsc::Sender<io::Result<String>>) {
    let send = async |event: BuildEvent| {
        events
            .send(Ok(serde_json::to_string(&event).unwrap() + "\n"))
            .await
            .ok();
    };
    let line = |text: &str| BuildEvent::Line {
        text: text.to_owned(),
    };
    send(line("Building source:")).await;
    send(line("")).await;
    send(line("-----> Test app detected")).await;
    send(BuildEvent::KeepAlive).await;
    let mut answer = answer;
    if let Answer::Hold(mut gate, then) = answer {
        gate.wait_for(|open| *open).await.ok();
        answer = *then;
    }
    match answer {
        Answer::Release => {
            send(line("       Released v1")).await;
            send(BuildEvent::Released {
                version: 1,
                url: "http://demo.localhost".into(),
            })
            .await;
        }
        Answer::Fail(message) => {
            send(BuildEvent::Failed {
                message: message.to_owned(),
            })
            .await;
        }
        Answer::Die => {
            events.send(Err(io::Error::other("died"))).await.ok();
        }
        Answer::Refuse(..) | Answer::Hold(..) | Answer::FailUnread => unreachable!("answered above"),
    }
}

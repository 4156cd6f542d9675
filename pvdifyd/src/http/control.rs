//! The control socket: what git-receiver, the router and `pvdifyd stack` ask. A Unix socket of mode 0600, and the peer's
//! user id must be root's or our own.
//!
//! Streams are newline-delimited JSON. They beat, so that both ends notice a dead one: builds with
//! [`BuildEvent::KeepAlive`], routes with a blank line.

use super::{
    error::{Answer, Refusal},
    extract::{Caller, QueryOf},
    json::JsonBody,
    layers,
};
use crate::app::{App, Principal};
use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, Request, State, connect_info::Connected},
    http::{StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::IncomingStream,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use pvdify_api::control::{
    AuthorisePush, BuildEvent, BuildQuery, IdentifySshKey, KeyRotated, LivingApps, PushGrant, RouterReport,
    SshIdentity,
};
use pvdify_api::stack::StackEvent;
use pvdify_types::{Generation, RouteTable};
use serde::Serialize;
use std::{
    convert::Infallible, fs, io, os::unix::fs::PermissionsExt, path::Path as FilePath, time::Duration,
};
use tokio::net::{UnixListener, UnixStream};
use tower_http::catch_panic::CatchPanicLayer;

const BEAT: Duration = Duration::from_secs(5);

/// The peer's user id; `None` when the kernel does not tell.
#[derive(Clone, Copy, Debug)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|credentials| credentials.uid()))
    }
}

/// Every route of the control socket.
pub fn control_router(app: App) -> Router {
    Router::new()
        .route("/control/v1/ssh-key", post(identify))
        .route("/control/v1/push", post(authorise_push))
        .route("/control/v1/apps", get(living))
        .route("/control/v1/apps/{name}/builds", post(build))
        .route("/control/v1/stack/rebase", post(rebase_stack))
        .route("/control/v1/key/rotate", post(rotate_key))
        .route("/control/v1/routes", get(routes))
        .route("/control/v1/routes/report", post(report))
        .route_layer(from_fn_with_state(app.clone(), check_peer))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::finish))
        .with_state(app)
}

/// Opens the socket for its owner alone; takes the place of one that a dead process left.
///
/// # Errors
/// When another process listens there, or the folder can't be written.
pub async fn bind_control(path: &FilePath) -> io::Result<UnixListener> {
    if path.exists() {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another pvdifyd answers at {}", path.display()),
            ));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the control socket until `shutdown`. Open streams end with [`App::close`].
///
/// # Errors
/// Of the listener.
pub async fn serve_control(
    listener: UnixListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = control_router(app).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service)
        .with_graceful_shutdown(shutdown)
        .await
}

async fn check_peer(State(app): State<App>, mut request: Request, next: Next) -> Answer<Response> {
    let own = rustix::process::geteuid().as_raw();
    let peer = request
        .extensions()
        .get::<ConnectInfo<Peer>>()
        .and_then(|info| info.0.0);
    if !peer.is_some_and(|uid| uid == 0 || uid == own) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "the control socket is for Pvdify's own processes",
        ));
    }
    request
        .extensions_mut()
        .insert(app.acting(Principal::ControlPeer));
    Ok(next.run(request).await)
}

async fn identify(
    Caller(caller): Caller,
    JsonBody(body): JsonBody<IdentifySshKey>,
) -> Answer<Json<SshIdentity>> {
    Ok(Json(caller.identify_key(&body.fingerprint).await?))
}

async fn authorise_push(
    Caller(caller): Caller,
    JsonBody(body): JsonBody<AuthorisePush>,
) -> Answer<Json<PushGrant>> {
    Ok(Json(caller.authorise_push(&body.fingerprint, &body.app).await?))
}

async fn living(Caller(caller): Caller) -> Answer<Json<LivingApps>> {
    Ok(Json(caller.living_apps().await?))
}

async fn build(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    QueryOf(query): QueryOf<BuildQuery>,
    body: Body,
) -> Answer<Response> {
    let mut source = caller.receive_source(&name, &query).await?;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "the source broke off; nothing was changed",
            )
        })?;
        source.write(&piece).await?;
    }
    let events = source.build().await?;
    let beating = with_beat(events, || BuildEvent::KeepAlive).map(|event| line(&event));
    Ok(ndjson(&app, beating))
}

async fn rebase_stack(State(app): State<App>, Caller(caller): Caller) -> Answer<Response> {
    let beating = with_beat(caller.rebase_stack()?, || StackEvent::KeepAlive).map(|event| line(&event));
    Ok(ndjson(&app, beating))
}

async fn rotate_key(Caller(caller): Caller) -> Answer<Json<KeyRotated>> {
    Ok(Json(caller.rotate_key().await?))
}

async fn routes(State(app): State<App>, Caller(caller): Caller) -> Answer<Response> {
    let tables = tokio_stream::wrappers::WatchStream::new(caller.routes()?);
    // Before the reconciler's first look there is no table: an empty one would take every app off the air.
    let tables = tables.filter(|table| std::future::ready(table.generation != Generation(0)));
    let lines = tables.map(|table| line::<RouteTable>(&table));
    Ok(ndjson(&app, with_beat(lines, || Bytes::from_static(b"\n"))))
}

async fn report(
    Caller(caller): Caller,
    JsonBody(report): JsonBody<RouterReport>,
) -> Answer<Json<serde_json::Value>> {
    caller.report_routes(report)?;
    Ok(Json(serde_json::json!({})))
}

fn line<T: Serialize>(value: &T) -> Bytes {
    let mut line = serde_json::to_vec(value).expect("wire types always serialise");
    line.push(b'\n');
    line.into()
}

fn ndjson(app: &App, lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let lines = lines.take_until(app.closing().cancelled_owned());
    let body = Body::from_stream(lines.map(Ok::<_, Infallible>));
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// The items, and a beat whenever none came for a while.
fn with_beat<T>(
    items: impl Stream<Item = T> + Send + 'static,
    beat: impl Fn() -> T + Send + 'static,
) -> impl Stream<Item = T> + Send {
    stream::unfold((Box::pin(items), beat), |(mut items, beat)| async move {
        let item = match tokio::time::timeout(BEAT, items.next()).await {
            Ok(item) => item?,
            Err(_) => beat(),
        };
        Some((item, (items, beat)))
    })
}

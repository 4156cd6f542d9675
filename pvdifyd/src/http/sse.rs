//! Server-sent events that end when the server stops.

use crate::app::App;
use axum::response::{
    IntoResponse, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use std::time::Duration;

/// Below the idle limits of common proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Each item as one event's JSON.
pub(super) fn events<T: Serialize>(app: &App, items: impl Stream<Item = T> + Send + 'static) -> Response {
    let items = items.take_until(app.closing().cancelled_owned());
    let events = items.map(|item| Event::default().json_data(item));
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

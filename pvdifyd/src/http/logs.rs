//! `/apps/{name}/logs`.

use super::{
    Web,
    error::Answer,
    extract::{AppPath, Caller, QueryOf},
    sse,
};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use pvdify_api::logs::LogQuery;

pub(super) async fn show(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<LogQuery>,
) -> Answer<Response> {
    let follow = query.follow;
    let tail = caller.logs(&path.name, query).await?;
    if follow {
        Ok(sse::events(&web.app, tail.follow()))
    } else {
        Ok(Json(tail.lines).into_response())
    }
}

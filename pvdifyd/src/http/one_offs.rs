//! `/apps/{name}/one-offs`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::{Json, http::StatusCode};
use pvdify_api::one_offs::{OneOff, RunOneOff};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<OneOff>>> {
    Ok(Json(caller.one_offs(&path.name).await?))
}

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<OneOff>> {
    Ok(Json(caller.one_off(&path.name, &path.second).await?))
}

pub(super) async fn run(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<RunOneOff>,
) -> Answer<(StatusCode, Json<OneOff>)> {
    let started = caller.run_detached(&path.name, body.command).await?;
    Ok((StatusCode::CREATED, Json(started)))
}

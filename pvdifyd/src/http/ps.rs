//! `/apps/{name}/ps`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::Json;
use pvdify_api::ps::{Process, Scale};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Process>>> {
    Ok(Json(caller.processes(&path.name).await?))
}

pub(super) async fn scale(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<Scale>,
) -> Answer<Json<Vec<Process>>> {
    Ok(Json(caller.scale(&path.name, body).await?))
}

pub(super) async fn restart(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Process>>> {
    Ok(Json(caller.restart(&path.name).await?))
}

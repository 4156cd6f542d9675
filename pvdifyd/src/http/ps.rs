//! `/apps/{name}/ps`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::{JsonBody, OptionalJson},
};
use axum::Json;
use pvdify_api::ps::{Process, Restart, Scale, Stop};

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

pub(super) async fn restart(
    Caller(caller): Caller,
    path: AppPath,
    OptionalJson(body): OptionalJson<Restart>,
) -> Answer<Json<Vec<Process>>> {
    Ok(Json(caller.restart(&path.name, body.unwrap_or_default()).await?))
}

pub(super) async fn stop(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<Stop>,
) -> Answer<Json<Vec<Process>>> {
    Ok(Json(caller.stop(&path.name, body).await?))
}

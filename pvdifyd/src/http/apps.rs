//! `/apps`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::{Json, http::StatusCode};
use pvdify_api::apps::{App, CreateApp, UpdateApp};

pub(super) async fn list(Caller(caller): Caller) -> Answer<Json<Vec<App>>> {
    Ok(Json(caller.apps().await?))
}

pub(super) async fn create(
    Caller(caller): Caller,
    JsonBody(body): JsonBody<CreateApp>,
) -> Answer<(StatusCode, Json<App>)> {
    Ok((StatusCode::CREATED, Json(caller.create_app(body).await?)))
}

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<App>> {
    Ok(Json(caller.app(&path.name).await?))
}

pub(super) async fn update(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<UpdateApp>,
) -> Answer<Json<App>> {
    Ok(Json(caller.update_app(&path.name, body).await?))
}

pub(super) async fn remove(Caller(caller): Caller, path: AppPath) -> Answer<StatusCode> {
    caller.delete_app(&path.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

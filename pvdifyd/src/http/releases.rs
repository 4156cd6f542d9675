//! `/apps/{name}/releases` and `/apps/{name}/rollback`.

use super::{
    Web,
    error::Answer,
    extract::{AppPath, Caller},
    json::{JsonBody, OptionalJson},
    sse,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use pvdify_api::releases::{CreateRelease, Release, Rollback};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Release>>> {
    Ok(Json(caller.releases(&path.name).await?))
}

pub(super) async fn create(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<CreateRelease>,
) -> Answer<(StatusCode, Json<Release>)> {
    let release = caller.deploy_image(&path.name, &body.image).await?;
    Ok((StatusCode::CREATED, Json(release)))
}

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<Release>> {
    Ok(Json(caller.release(&path.name, &path.second).await?))
}

pub(super) async fn events(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
) -> Answer<Response> {
    let events = caller.release_events(&path.name, &path.second).await?;
    Ok(sse::events(&web.app, events))
}

pub(super) async fn rollback(
    Caller(caller): Caller,
    path: AppPath,
    OptionalJson(body): OptionalJson<Rollback>,
) -> Answer<(StatusCode, Json<Release>)> {
    let version = body.unwrap_or_default().version;
    let release = caller.rollback(&path.name, version).await?;
    Ok((StatusCode::CREATED, Json(release)))
}

//! `/apps/{name}/volumes` and what is below.

use super::{
    Web,
    error::Answer,
    extract::{AppPath, Caller, QueryOf},
    json::{JsonBody, OptionalJson},
    sse,
};
use crate::app::VolumeChanged;
use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use pvdify_api::{
    config::RELEASE_HEADER,
    volumes::{
        ConfirmQuery, CreateSnapshot, CreateVolume, MountVolume, RestoreVolume, Snapshot, UnmountQuery,
        Volume,
    },
};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Volume>>> {
    Ok(Json(caller.volumes(&path.name).await?))
}

pub(super) async fn create(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<CreateVolume>,
) -> Answer<(StatusCode, Json<Volume>)> {
    let volume = caller.create_volume(&path.name, body).await?;
    Ok((StatusCode::CREATED, Json(volume)))
}

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<Volume>> {
    Ok(Json(caller.volume(&path.name, &path.second).await?))
}

pub(super) async fn destroy(
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<ConfirmQuery>,
) -> Answer<StatusCode> {
    caller
        .destroy_volume(&path.name, &path.second, &query.confirm)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn mount(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<MountVolume>,
) -> Answer<Response> {
    Ok(changed(
        caller.mount_volume(&path.name, &path.second, body).await?,
    ))
}

pub(super) async fn unmount(
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<UnmountQuery>,
) -> Answer<Response> {
    Ok(changed(
        caller.unmount_volume(&path.name, &path.second, query).await?,
    ))
}

fn changed(changed: VolumeChanged) -> Response {
    let mut response = Json(changed.volume).into_response();
    if let Some(version) = changed.release {
        response
            .headers_mut()
            .insert(RELEASE_HEADER, HeaderValue::from(version.0));
    }
    response
}

pub(super) async fn snapshots(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Snapshot>>> {
    Ok(Json(caller.snapshots(&path.name, &path.second).await?))
}

pub(super) async fn snapshot(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
    OptionalJson(body): OptionalJson<CreateSnapshot>,
) -> Answer<Response> {
    let body = body.unwrap_or_default();
    let events = caller.create_snapshot(&path.name, &path.second, body).await?;
    Ok(sse::events(&web.app, events))
}

pub(super) async fn destroy_snapshot(
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<ConfirmQuery>,
) -> Answer<StatusCode> {
    caller
        .destroy_snapshot(&path.name, &path.second, &path.third, &query.confirm)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn restore(
    State(web): State<Web>,
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<RestoreVolume>,
) -> Answer<Response> {
    let events = caller.restore_volume(&path.name, &path.second, body).await?;
    Ok(sse::events(&web.app, events))
}

//! `/apps/{name}/releases` and `/apps/{name}/rollback`.

use super::{
    Web,
    error::{Answer, Refusal},
    extract::{AppPath, Caller},
    json::{JsonBody, OptionalJson},
    sse,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use pvdify_api::{
    one_offs::OneOff,
    releases::{CreateRelease, Release, Rollback},
};
use pvdify_types::{ImageName, image_name::ImageNameError};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Release>>> {
    Ok(Json(caller.releases(&path.name).await?))
}

pub(super) async fn create(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<CreateRelease>,
) -> Answer<(StatusCode, Json<Release>)> {
    let image: ImageName = body.image.parse().map_err(|error| no_image(&error))?;
    let release = caller.deploy_image(&path.name, image).await?;
    Ok((StatusCode::CREATED, Json(release)))
}

/// A name that can't be read makes no release.
fn no_image(error: &ImageNameError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "invalid_image", error.to_string())
        .hint("name it as registry.example.com/team/tool:1.2")
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

pub(super) async fn output(Caller(caller): Caller, path: AppPath) -> Answer<Json<OneOff>> {
    Ok(Json(caller.release_output(&path.name, &path.second).await?))
}

pub(super) async fn cancel(Caller(caller): Caller, path: AppPath) -> Answer<Json<Release>> {
    Ok(Json(caller.cancel_release(&path.name, &path.second).await?))
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

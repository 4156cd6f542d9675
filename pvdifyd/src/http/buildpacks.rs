//! `/apps/{name}/buildpacks`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::Json;
use pvdify_api::buildpacks::{Buildpacks, SetBuildpacks};

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<Buildpacks>> {
    Ok(Json(caller.buildpacks(&path.name).await?))
}

pub(super) async fn set(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<SetBuildpacks>,
) -> Answer<Json<Buildpacks>> {
    Ok(Json(caller.set_buildpacks(&path.name, &body.buildpacks).await?))
}

//! `/apps/{name}/domains`.

use super::{
    error::Answer,
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::{Json, http::StatusCode};
use pvdify_api::domains::{AddDomain, Domain};

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Domain>>> {
    Ok(Json(caller.domains(&path.name).await?))
}

pub(super) async fn add(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<AddDomain>,
) -> Answer<(StatusCode, Json<Domain>)> {
    let domain = caller.add_domain(&path.name, &body.domain).await?;
    Ok((StatusCode::CREATED, Json(domain)))
}

pub(super) async fn remove(Caller(caller): Caller, path: AppPath) -> Answer<StatusCode> {
    caller.remove_domain(&path.name, &path.second).await?;
    Ok(StatusCode::NO_CONTENT)
}

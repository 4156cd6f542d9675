//! `/keys`.

use super::{error::Answer, extract::Caller, json::JsonBody};
use axum::{Json, extract::Path, http::StatusCode};
use pvdify_api::keys::{AddKey, SshKey};

pub(super) async fn list(Caller(caller): Caller) -> Answer<Json<Vec<SshKey>>> {
    Ok(Json(caller.keys().await?))
}

pub(super) async fn add(
    Caller(caller): Caller,
    JsonBody(body): JsonBody<AddKey>,
) -> Answer<(StatusCode, Json<SshKey>)> {
    Ok((StatusCode::CREATED, Json(caller.add_key(&body).await?)))
}

pub(super) async fn remove(Caller(caller): Caller, Path(fingerprint): Path<String>) -> Answer<StatusCode> {
    caller.remove_key(&fingerprint).await?;
    Ok(StatusCode::NO_CONTENT)
}

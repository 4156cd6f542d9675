//! `/health` and the OpenAPI document.

use axum::{Json, response::IntoResponse};
use pvdify_api::{health::Health, openapi};

pub(super) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

pub(super) async fn openapi() -> impl IntoResponse {
    Json(openapi::document())
}

//! `/apps/{name}/config`. Values stand in answers to those who may change them, and nowhere else.

use super::{
    error::{Answer, Refusal},
    extract::{AppPath, Caller},
    json::JsonBody,
};
use crate::app::ConfigChanged;
use axum::{
    Json,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use pvdify_api::config::{Config, ConfigChange, RELEASE_HEADER};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Json<Config>> {
    Ok(Json(caller.config(&path.name).await?))
}

pub(super) async fn merge(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<BTreeMap<String, Value>>,
) -> Answer<Response> {
    let change = body.into_iter().map(entry).collect::<Answer<ConfigChange>>()?;
    Ok(changed(caller.change_config(&path.name, change).await?))
}

/// By hand, as serde's errors would repeat the value, which is a secret.
fn entry((key, value): (String, Value)) -> Answer<(String, Option<String>)> {
    match value {
        Value::String(value) => Ok((key, Some(value))),
        Value::Null => Ok((key, None)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let key: String = key.chars().take(128).collect();
            let error = format!("{key:?} is neither a string nor null");
            Err(
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", error)
                    .hint("a config value is a string; null removes it"),
            )
        }
    }
}

pub(super) async fn remove(Caller(caller): Caller, path: AppPath) -> Answer<Response> {
    let change = ConfigChange::from([(path.second, None)]);
    Ok(changed(caller.change_config(&path.name, change).await?))
}

fn changed(changed: ConfigChanged) -> Response {
    let mut response = Json(changed.config).into_response();
    if let Some(version) = changed.release {
        response
            .headers_mut()
            .insert(RELEASE_HEADER, HeaderValue::from(version.0));
    }
    response
}

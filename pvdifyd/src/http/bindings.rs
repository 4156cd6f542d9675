//! `/apps/{name}/bindings`. What is in an entry stands in no answer.

use super::{
    error::{Answer, Refusal},
    extract::{AppPath, Caller},
    json::JsonBody,
};
use axum::{Json, extract::DefaultBodyLimit, http::StatusCode};
use pvdify_api::bindings::{Binding, SetBinding};
use serde::Deserialize;
use serde_json::Value;

/// The largest body: 1 MiB of entries is a third more in base64, and there are names beside it.
pub(super) fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(3 << 19)
}

/// [`SetBinding`], whose entries are read by hand: serde's errors would repeat them, and they are secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    #[serde(rename = "type")]
    kind: String,
    provider: Option<String>,
    entries: Value,
}

pub(super) async fn list(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Binding>>> {
    Ok(Json(caller.bindings(&path.name).await?))
}

pub(super) async fn set(
    Caller(caller): Caller,
    path: AppPath,
    JsonBody(body): JsonBody<Body>,
) -> Answer<Json<Binding>> {
    let Value::Object(entries) = body.entries else {
        return Err(no_strings("entries"));
    };
    let entry = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        _ => Err(no_strings(&format!(
            "{:?}",
            name.chars().take(64).collect::<String>()
        ))),
    };
    let body = SetBinding {
        kind: body.kind,
        provider: body.provider,
        entries: entries.into_iter().map(entry).collect::<Answer<_>>()?,
    };
    Ok(Json(caller.set_binding(&path.name, &path.second, body).await?))
}

pub(super) async fn remove(Caller(caller): Caller, path: AppPath) -> Answer<StatusCode> {
    caller.remove_binding(&path.name, &path.second).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_strings(what: &str) -> Refusal {
    let error = format!("{what} does not fit");
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", error)
        .hint("entries is an object of strings: each file's name, and what is in it in base64")
}

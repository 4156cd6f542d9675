//! `/apps/{name}/config` and what is below it. Values stand in answers to those who may change them, and nowhere else.

use super::{
    error::{Answer, Refusal},
    extract::{AppPath, Caller, QueryOf},
    json::JsonBody,
};
use crate::app::{ConfigChanged, Expected, Versioned};
use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete},
};
use pvdify_api::config::{
    ChangeQuery, ConfigChange, ConfigDiff, ConfigVersion as Listed, DiffQuery, NEXT_BUILD_HEADER,
    RELEASE_HEADER,
};
use pvdify_types::{AppName, ConfigVersion};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) async fn show(Caller(caller): Caller, path: AppPath) -> Answer<Response> {
    Ok(versioned(caller.config(&path.name).await?))
}

pub(super) async fn merge(
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<ChangeQuery>,
    IfMatch(expected): IfMatch,
    JsonBody(body): JsonBody<BTreeMap<String, Value>>,
) -> Answer<Response> {
    let change = body.into_iter().map(entry).collect::<Answer<ConfigChange>>()?;
    let changed = caller.change_config(&path.name, change, query.scope, expected);
    let changed = changed.await?;
    Ok(told(&changed, changed.config()))
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

pub(super) async fn remove(
    Caller(caller): Caller,
    path: AppPath,
    IfMatch(expected): IfMatch,
) -> Answer<Response> {
    unset(caller, &path.name, path.second, expected).await
}

/// Removes a var whose name is also that of a resource below `/config`.
pub(super) fn removes<S: Clone + Send + Sync + 'static>(key: &'static str) -> MethodRouter<S> {
    delete(
        async move |Caller(caller): Caller, path: AppPath, IfMatch(expected): IfMatch| {
            unset(caller, &path.name, key.to_owned(), expected).await
        },
    )
}

async fn unset(
    caller: crate::app::Acting,
    name: &AppName,
    key: String,
    expected: Expected,
) -> Answer<Response> {
    let change = ConfigChange::from([(key, None)]);
    let changed = caller.change_config(name, change, None, expected).await?;
    Ok(told(&changed, changed.config()))
}

pub(super) async fn scopes(Caller(caller): Caller, path: AppPath) -> Answer<Response> {
    Ok(versioned(caller.config_scopes(&path.name).await?))
}

pub(super) async fn set_scopes(
    Caller(caller): Caller,
    path: AppPath,
    IfMatch(expected): IfMatch,
    JsonBody(body): JsonBody<BTreeMap<String, String>>,
) -> Answer<Response> {
    let scopes = body.into_iter().collect();
    let changed = caller.change_scopes(&path.name, scopes, expected).await?;
    Ok(told(&changed, changed.scopes()))
}

pub(super) async fn versions(Caller(caller): Caller, path: AppPath) -> Answer<Json<Vec<Listed>>> {
    Ok(Json(caller.config_versions(&path.name).await?))
}

pub(super) async fn diff(
    Caller(caller): Caller,
    path: AppPath,
    QueryOf(query): QueryOf<DiffQuery>,
) -> Answer<Json<ConfigDiff>> {
    Ok(Json(caller.config_diff(&path.name, query).await?))
}

/// The versions in `If-Match`, as [`versioned`] gives them. What is no version of ours is one that is not there.
pub(super) struct IfMatch(Expected);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        Ok(Self(expected(&parts.headers)))
    }
}

fn expected(headers: &HeaderMap) -> Expected {
    let lists: Vec<&str> = headers
        .get_all(header::IF_MATCH)
        .iter()
        .map(|list| list.to_str().unwrap_or_default())
        .collect();
    if lists.is_empty() || lists == ["*"] {
        return None;
    }
    let tags = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
    let version = |tag: &str| {
        let number = tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()?;
        Some(ConfigVersion(number))
    };
    Some(tags.filter_map(version).collect())
}

fn versioned<T: Serialize>(answer: Versioned<T>) -> Response {
    let mut response = Json(answer.value).into_response();
    let tag = HeaderValue::try_from(format!("\"{}\"", answer.version.0)).expect("digits are header text");
    response.headers_mut().insert(header::ETAG, tag);
    response
}

fn told<T: Serialize>(changed: &ConfigChanged, value: T) -> Response {
    let mut response = versioned(Versioned {
        value,
        version: changed.version,
    });
    let headers = response.headers_mut();
    if let Some(version) = changed.release {
        headers.insert(RELEASE_HEADER, HeaderValue::from(version.0));
    }
    if let Some(keys) = &changed.next_build {
        let keys = HeaderValue::try_from(keys).expect("config keys are letters, digits and _");
        headers.insert(NEXT_BUILD_HEADER, keys);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_expected_by_the_tag_that_an_answer_had() {
        let table: [(&[&'static str], Expected); 7] = [
            (&[], None),
            (&["*"], None),
            (&["\"3\""], Some(vec![ConfigVersion(3)])),
            (
                &["\"3\", \"4\"", "\"5\""],
                Some([3, 4, 5].map(ConfigVersion).into()),
            ),
            // Weak tags never match (RFC 9110 section 13.1.1).
            (&["W/\"3\""], Some(vec![])),
            (&["3"], Some(vec![])),
            (&[""], Some(vec![])),
        ];
        for (lists, versions) in table {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(header::IF_MATCH, HeaderValue::from_static(list));
            }
            assert_eq!(expected(&headers), versions, "{lists:?}");
        }
    }
}

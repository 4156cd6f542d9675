//! What handlers take from a request beside its body.

use super::error::{Answer, Refusal};
use crate::app::{self, Acting};
use axum::{
    extract::{FromRequestParts, Path, Query},
    http::{StatusCode, request::Parts},
};
use pvdify_types::AppName;
use serde::de::DeserializeOwned;

/// The application in the caller's hands; put there by `auth`. A route without it refuses.
pub(super) struct Caller(pub(super) Acting);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Answer<Self> {
        let acting = parts.extensions.get::<Acting>().cloned();
        acting.map(Self).ok_or_else(Refusal::internal)
    }
}

/// `{name}` and what follows it in the path. A text that can't be an app's name is an app that is not there.
pub(super) struct AppPath {
    pub(super) name: AppName,
    /// The path's second parameter, as typed; empty where there is none.
    pub(super) second: String,
    /// The third.
    pub(super) third: String,
}

impl<S: Send + Sync> FromRequestParts<S> for AppPath {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let path = Path::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let parameters = path.map(|Path(parameters)| parameters).unwrap_or_default();
        let mut values = parameters.into_iter().map(|(_, value)| value);
        let typed = values.next().unwrap_or_default();
        let unknown = |_| app::Error::NoApp(typed.chars().take(64).collect());
        Ok(Self {
            name: typed.parse().map_err(unknown)?,
            second: values.next().unwrap_or_default(),
            third: values.next().unwrap_or_default(),
        })
    }
}

/// The query.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|rejection| {
            let source = std::error::Error::source(&rejection);
            let reason = source.map_or_else(|| rejection.body_text(), ToString::to_string);
            let error = format!("the query does not fit: {reason}");
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_params", error)
        })
    }
}

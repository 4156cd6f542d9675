//! What is here: `/v2/`, the catalog, tags and referrers. Pages are capped whatever `n` says.

use super::{Code, Failure, Registry, header_value, path::Endpoint};
use crate::{
    manifest::{OCI_INDEX, References},
    store::Manifest,
};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};

/// The most names in one answer.
const MAX_PAGE: usize = 1000;

pub(super) async fn respond(
    registry: &Registry,
    endpoint: &Endpoint,
    text: Option<&str>,
) -> Result<Response, Failure> {
    match endpoint {
        Endpoint::Catalog => {
            let names = registry.store.repositories().await?;
            let page = Page::read(text)?;
            let (names, next) = page.cut(names.iter().map(ToString::to_string).collect());
            Ok(listed(&json!({"repositories": names}), "/v2/_catalog", next))
        }
        Endpoint::Tags(name) => {
            let page = Page::read(text)?;
            if !registry.store.has_repository(name).await? {
                return Err(Failure::new(
                    Code::NameUnknown,
                    "there is no repository of this name",
                ));
            }
            let (tags, next) = page.cut(registry.store.tags(name).await?);
            let path = format!("/v2/{name}/tags/list");
            Ok(listed(&json!({"name": name.as_str(), "tags": tags}), &path, next))
        }
        Endpoint::Referrers(name, subject) => {
            let wanted = query(text).find(|(key, _)| key == "artifactType");
            let wanted = wanted.map(|(_, value)| value);
            let manifests = registry.store.referrers(name, subject).await?;
            Ok(referrers(&manifests, wanted.as_deref()))
        }
        _ => Ok(axum::Json(json!({})).into_response()),
    }
}

fn referrers(manifests: &[Manifest], wanted: Option<&str>) -> Response {
    let descriptors: Vec<Value> = manifests
        .iter()
        .filter_map(descriptor)
        .filter(|descriptor| wanted.is_none_or(|wanted| descriptor["artifactType"] == wanted))
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors});
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if wanted.is_some() {
        let applied = HeaderName::from_static("oci-filters-applied");
        headers.insert(applied, HeaderValue::from_static("artifactType"));
    }
    (headers, index.to_string()).into_response()
}

fn descriptor(manifest: &Manifest) -> Option<Value> {
    let references = References::parse(&manifest.bytes, Some(&manifest.media_type)).ok()?;
    let mut descriptor = json!({
        "mediaType": manifest.media_type,
        "digest": manifest.digest.as_str(),
        "size": manifest.bytes.len(),
    });
    if let Some(artifact_type) = references.artifact_type {
        descriptor["artifactType"] = artifact_type.into();
    }
    if !references.annotations.is_empty() {
        descriptor["annotations"] = references.annotations.into();
    }
    Some(descriptor)
}

fn listed(body: &Value, path: &str, next: Option<String>) -> Response {
    let mut response = axum::Json(body).into_response();
    if let Some(next) = next {
        let link = header_value(format!("<{path}?{next}>; rel=\"next\""));
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

/// Which part of a sorted list is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    limit: usize,
    last: Option<String>,
}

impl Page {
    fn read(text: Option<&str>) -> Result<Self, Failure> {
        let mut page = Self {
            limit: MAX_PAGE,
            last: None,
        };
        for (key, value) in query(text) {
            match key.as_str() {
                "n" => {
                    let asked: u64 = value.parse().map_err(|_| {
                        Failure::new(Code::PaginationInvalid, "n is a number of names, 0 or more")
                    })?;
                    page.limit = usize::try_from(asked).unwrap_or(MAX_PAGE).min(MAX_PAGE);
                }
                "last" => page.last = Some(value),
                _ => {}
            }
        }
        Ok(page)
    }

    /// The page, and the query of the next one if there is more.
    fn cut(&self, sorted: Vec<String>) -> (Vec<String>, Option<String>) {
        let mut rest: Vec<String> = sorted
            .into_iter()
            .filter(|name| self.last.as_ref().is_none_or(|last| name > last))
            .collect();
        let more = rest.len() > self.limit;
        rest.truncate(self.limit);
        let next = rest
            .last()
            .filter(|_| more)
            .map(|last| format!("n={}&last={}", self.limit, last.replace('/', "%2F")));
        (rest, next)
    }
}

/// The pairs of a query, decoded; pairs that can't be are left out.
pub(super) fn query(text: Option<&str>) -> impl Iterator<Item = (String, String)> {
    text.unwrap_or_default().split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let plain = |text: &str| super::path::percent_decode(&text.replace('+', " "));
        Some((plain(key)?, plain(value)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_capped_and_says_how_to_go_on() {
        let names: Vec<String> = ["a", "b/c", "d"].map(str::to_owned).to_vec();
        let cut = |text| Page::read(Some(text)).unwrap().cut(names.clone());
        assert_eq!(cut(""), (names.clone(), None));
        assert_eq!(
            cut("n=2"),
            (vec!["a".into(), "b/c".into()], Some("n=2&last=b%2Fc".into()))
        );
        assert_eq!(cut("n=2&last=b%2Fc"), (vec!["d".into()], None));
        assert_eq!(cut("n=0"), (vec![], None));
        assert_eq!(Page::read(Some("n=1000000000000")).unwrap().limit, MAX_PAGE);
        for bad in ["n=x", "n=-1", "n="] {
            assert_eq!(Page::read(Some(bad)).unwrap_err().code(), Code::PaginationInvalid);
        }
    }
}

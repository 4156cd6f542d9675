//! Images on their way between Podman's storage and a registry.

use super::{Libpod, PodmanError, Query, empty_body, json_lines, percent_encode, transport::limited};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pvdify_types::Digest;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// Of a push or pull of the largest image, from or to this host's own disk.
const TRANSFER_LIMIT: Duration = Duration::from_secs(15 * 60);
const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// A registry's user and password, sent in a header and never shown.
#[derive(Clone, Serialize)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegistryAuth({}, ***)", self.username)
    }
}

/// One line of a push's or pull's progress.
#[derive(Deserialize)]
struct Progress {
    #[serde(default)]
    error: String,
    #[serde(default)]
    id: String,
    #[serde(default, rename = "manifestdigest")]
    manifest_digest: String,
}

impl Libpod {
    /// Pushes an image to `destination`. Podman before 4.4 does not say the manifest's digest.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn push_image(
        &self,
        name: &str,
        destination: &str,
        auth: Option<&RegistryAuth>,
        tls_verify: bool,
    ) -> Result<Option<Digest>, PodmanError> {
        let path = format!("/libpod/images/{}/push", percent_encode(name));
        let path = Query::default()
            .with("destination", destination)
            .with("tlsVerify", tls_verify)
            .with("quiet", false)
            .on(&path);
        let progress = self.transfer(&path, auth).await?;
        Ok(progress.iter().find_map(|line| line.manifest_digest.parse().ok()))
    }

    /// Pulls an image and gives its id.
    ///
    /// # Errors
    /// As [`Libpod::get`].
    pub async fn pull_image(
        &self,
        reference: &str,
        auth: Option<&RegistryAuth>,
        tls_verify: bool,
    ) -> Result<String, PodmanError> {
        let path = Query::default()
            .with("reference", reference)
            .with("tlsVerify", tls_verify)
            .with("quiet", true)
            .on("/libpod/images/pull");
        let progress = self.transfer(&path, auth).await?;
        let id = progress.into_iter().find(|line| !line.id.is_empty());
        id.map(|line| line.id)
            .ok_or_else(|| PodmanError::Answer("a pull that gave no image id".to_owned()))
    }

    /// A push or pull to its end; the lines that say more than progress.
    async fn transfer(&self, path: &str, auth: Option<&RegistryAuth>) -> Result<Vec<Progress>, PodmanError> {
        let headers = auth.map(auth_header).transpose()?.unwrap_or_default();
        let ended = async {
            let response = self.request(Method::POST, path, headers, empty_body()).await?;
            let mut lines = std::pin::pin!(json_lines::<Progress>(response));
            let mut said = Vec::new();
            while let Some(line) = lines.try_next().await? {
                if !line.error.is_empty() {
                    // The status said that it began.
                    let error = line.error.trim().as_bytes();
                    return Err(PodmanError::refusal(StatusCode::INTERNAL_SERVER_ERROR, error));
                }
                if !line.id.is_empty() || !line.manifest_digest.is_empty() {
                    said.push(line);
                }
            }
            Ok(said)
        };
        limited(TRANSFER_LIMIT, &Method::POST, path, ended).await
    }
}

/// The header by which a registry's password goes to Podman.
fn auth_header(auth: &RegistryAuth) -> Result<HeaderMap, PodmanError> {
    let json = serde_json::to_vec(auth).map_err(|error| PodmanError::Answer(error.to_string()))?;
    let mut value = HeaderValue::from_str(&URL_SAFE.encode(json))
        .map_err(|error| PodmanError::Answer(error.to_string()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(REGISTRY_AUTH, value)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let auth = RegistryAuth {
            username: "me".into(),
            password: "secret".into(),
        };
        assert_eq!(format!("{auth:?}"), "RegistryAuth(me, ***)");
        assert!(auth_header(&auth).unwrap()[REGISTRY_AUTH].is_sensitive());
    }
}

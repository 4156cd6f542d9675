//! Why an image could not be had from its registry.

use crate::BuildError;
use oci_client::{
    Reference,
    errors::{OciDistributionError, OciErrorCode},
};

/// One line for the person who named the image.
pub(super) fn explain(image: &Reference, error: &OciDistributionError) -> BuildError {
    let is_missing = |code: &OciErrorCode| {
        matches!(
            code,
            OciErrorCode::ManifestUnknown | OciErrorCode::NameUnknown | OciErrorCode::NotFound
        )
    };
    match error {
        OciDistributionError::ImageManifestNotFoundError(_)
        | OciDistributionError::ServerError { code: 404, .. } => {
            BuildError::refused(format!("{image} does not exist in its registry"))
        }
        OciDistributionError::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|error| is_missing(&error.code)) =>
        {
            BuildError::refused(format!("{image} does not exist in its registry"))
        }
        OciDistributionError::ServerError { code: 429, .. } => too_many(image),
        OciDistributionError::RegistryError { envelope, .. }
            if envelope
                .errors
                .iter()
                .any(|error| error.code == OciErrorCode::Toomanyrequests) =>
        {
            too_many(image)
        }
        OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::RegistryError { .. }
        | OciDistributionError::ServerError { code: 401 | 403, .. } => {
            BuildError::refused(format!("{image} is private or does not exist"))
        }
        OciDistributionError::RequestError(error) if error.is_connect() => BuildError::unavailable(format!(
            "the registry {} can't be reached",
            image.resolve_registry()
        )),
        other => BuildError::unavailable(format!("{image} can't be fetched: {other}")),
    }
}

/// Public registries count what an address asks for.
fn too_many(image: &Reference) -> BuildError {
    BuildError::unavailable(format!(
        "{image} can't be fetched now: its registry takes no more requests from this server for a while"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_that_has_enough_is_asked_again_later_and_one_that_says_no_is_not() {
        let image: Reference = "h.example/acme/builder:1".parse().unwrap();
        let told = |code: &str| {
            let json = format!(r#"{{"errors":[{{"code":"{code}","message":"m","detail":null}}]}}"#);
            let url = String::new();
            let envelope = serde_json::from_str(&json).unwrap();
            explain(&image, &OciDistributionError::RegistryError { envelope, url })
        };
        assert!(matches!(told("TOOMANYREQUESTS"), BuildError::Unavailable(_)));
        assert!(matches!(told("DENIED"), BuildError::Refused(_)));
        let plain = OciDistributionError::ServerError {
            code: 429,
            url: String::new(),
            message: String::new(),
        };
        insta::assert_snapshot!(explain(&image, &plain), @"h.example/acme/builder:1 can't be fetched now: its registry takes no more requests from this server for a while");
    }
}

//! What a path means. Pure; a repository's name may hold slashes, so a path is read from its end.

use super::error::{Code, Failure};
use crate::name::Repository;
use pvdify_types::Digest;
use uuid::Uuid;

/// The endpoints of the OCI Distribution spec.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `/v2/`: is this a registry, and am I let in?
    Base,
    Catalog,
    Tags(Repository),
    /// The reference stays a text here: an impossible tag is 404 when read and 400 when written.
    Manifest(Repository, String),
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, Uuid),
    Referrers(Repository, Digest),
}

impl Endpoint {
    /// The repository whose access is asked for.
    pub(super) fn repository(&self) -> Option<&Repository> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags(name)
            | Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Uploads(name)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// Reads a request's path.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let path = percent_decode(path).ok_or_else(not_found)?;
        let rest = path.strip_prefix("/v2").ok_or_else(not_found)?;
        let parts: Vec<&str> = rest.strip_prefix('/').unwrap_or(rest).split('/').collect();
        match parts.as_slice() {
            [""] => Ok(Self::Base),
            ["_catalog"] => Ok(Self::Catalog),
            [name @ .., "tags", "list"] => Ok(Self::Tags(repository(name)?)),
            [name @ .., "blobs", "uploads"] | [name @ .., "blobs", "uploads", ""] => {
                Ok(Self::Uploads(repository(name)?))
            }
            [name @ .., "blobs", "uploads", id] => {
                let id = id
                    .parse()
                    .map_err(|_| Failure::new(Code::BlobUploadUnknown, "there is no such upload"))?;
                Ok(Self::Upload(repository(name)?, id))
            }
            [name @ .., "blobs", text] => Ok(Self::Blob(repository(name)?, digest(text)?)),
            [name @ .., "manifests", reference] => {
                Ok(Self::Manifest(repository(name)?, (*reference).to_owned()))
            }
            [name @ .., "referrers", text] => Ok(Self::Referrers(repository(name)?, digest(text)?)),
            _ => Err(not_found()),
        }
    }
}

fn not_found() -> Failure {
    Failure::new(Code::NotFound, "the registry has no such path")
}

fn repository(parts: &[&str]) -> Result<Repository, Failure> {
    parts
        .join("/")
        .parse()
        .map_err(|error: crate::NameError| Failure::new(Code::NameInvalid, error.to_string()))
}

/// Reads a digest out of a path or a query.
pub(super) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|error: pvdify_types::image::DigestError| {
        Failure::new(Code::DigestInvalid, error.to_string())
    })
}

/// Clients may write `sha256%3A`; a decoded text that is no UTF-8 is no path here.
pub(super) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        if *byte == b'%' {
            let escaped = std::str::from_utf8(tail.get(..2)?).ok()?;
            decoded.push(u8::from_str_radix(escaped, 16).ok()?);
            rest = &tail[2..];
        } else {
            decoded.push(*byte);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_its_end() {
        let hex = "0".repeat(64);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let name = |text: &str| text.parse::<Repository>().unwrap();
        let table = [
            ("/v2/".to_owned(), Endpoint::Base),
            ("/v2".to_owned(), Endpoint::Base),
            ("/v2/_catalog".to_owned(), Endpoint::Catalog),
            ("/v2/a/b/tags/list".to_owned(), Endpoint::Tags(name("a/b"))),
            (
                "/v2/a/manifests/manifests/x".to_owned(),
                Endpoint::Manifest(name("a/manifests"), "x".into()),
            ),
            (
                format!("/v2/a/blobs/sha256%3a{hex}"),
                Endpoint::Blob(name("a"), digest.clone()),
            ),
            ("/v2/a/blobs/uploads/".to_owned(), Endpoint::Uploads(name("a"))),
            (
                format!("/v2/a/referrers/{digest}"),
                Endpoint::Referrers(name("a"), digest),
            ),
        ];
        for (path, endpoint) in table {
            assert_eq!(Endpoint::parse(&path).ok(), Some(endpoint), "{path}");
        }
    }

    #[test]
    fn a_bad_path_says_which_part_is_bad() {
        let long = format!("/v2/{}/tags/list", "a".repeat(300));
        let table = [
            ("/v2/../x/tags/list", Code::NameInvalid),
            ("/v2/%2e%2e/tags/list", Code::NameInvalid),
            ("/v2/A/tags/list", Code::NameInvalid),
            (&long, Code::NameInvalid),
            ("/v2/tags/list", Code::NameInvalid),
            ("/v2/a/blobs/sha512:00", Code::DigestInvalid),
            ("/v2/a/blobs/uploads/x", Code::BlobUploadUnknown),
            ("/v2/a/other", Code::NotFound),
            ("/v2/%zz", Code::NotFound),
            ("/v2/%ff", Code::NotFound),
        ];
        for (path, code) in table {
            assert_eq!(Endpoint::parse(path).unwrap_err().code(), code, "{path}");
        }
    }
}

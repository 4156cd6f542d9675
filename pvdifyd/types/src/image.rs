//! Images, always pinned: a release names content, never a tag that can move.

use crate::newtype::string_newtype;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A content digest: `sha256:` and 64 lower-case hex digits (OCI image spec, descriptor.md, "Digests").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);
string_newtype!(Digest, DigestError);

/// Why a text is no digest that we take.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("a digest is \"sha256:\" and 64 lower-case hex digits")]
pub struct DigestError;

impl Digest {
    fn check(text: &str) -> Result<(), DigestError> {
        let hex = text.strip_prefix("sha256:").ok_or(DigestError)?;
        let plain = hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if hex.len() == 64 && plain {
            Ok(())
        } else {
            Err(DigestError)
        }
    }

    /// The 64 hex digits alone.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// The first twelve hex digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

/// An image by repository and digest, as `repository@sha256:...`; the repository may hold `host:port/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    /// Where the content is found, without tag and digest.
    pub repository: String,
    /// What the content is.
    pub digest: Digest,
}

/// Why a text is no pinned image.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImageRefError {
    /// There is no `@` in it.
    #[error("an image is pinned by its digest, as in name@sha256:...")]
    NotPinned,
    /// The part before the `@` is empty or holds a character no reference has.
    #[error("{0:?} is no image repository")]
    Repository(String),
    /// The part after the `@`.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl FromStr for ImageRef {
    type Err = ImageRefError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (repository, digest) = text.split_once('@').ok_or(ImageRefError::NotPinned)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':');
        if repository.is_empty() || repository.starts_with('-') || !repository.chars().all(plain) {
            return Err(ImageRefError::Repository(repository.to_owned()));
        }
        Ok(Self {
            repository: repository.to_owned(),
            digest: digest.parse()?,
        })
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ImageRefError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_digest_is_no_image() {
        let hex = "a".repeat(64);
        let image: ImageRef = format!("127.0.0.1:5000/demo@sha256:{hex}").parse().unwrap();
        assert_eq!(image.repository, "127.0.0.1:5000/demo");
        assert_eq!(image.digest.short(), "aaaaaaaaaaaa");
        assert_eq!("demo:latest".parse::<ImageRef>(), Err(ImageRefError::NotPinned));
        assert!(
            format!("demo@sha256:{}", "A".repeat(64))
                .parse::<ImageRef>()
                .is_err()
        );
        assert!(format!("demo@sha512:{hex}").parse::<ImageRef>().is_err());
        assert!(format!("--x@sha256:{hex}").parse::<ImageRef>().is_err());
    }
}

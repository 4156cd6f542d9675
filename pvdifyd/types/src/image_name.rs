//! An image as a person names it: `[registry/]repository[:tag][@digest]`.
//!
//! The grammar is that of the OCI Distribution spec, with Docker's rule for where a registry ends and Docker's
//! defaults (`nginx` is `docker.io/library/nginx`). A name may move from one content to another; what a release
//! holds is an [`ImageRef`](crate::ImageRef). Whatever parses here can be asked of a registry: no name can be an
//! option, a path or a URL of its own further in.

use crate::image::{Digest, DigestError};
use std::{fmt, net::Ipv6Addr, num::NonZeroU16, str::FromStr};
use thiserror::Error;

/// The registry of a name that has none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// Its name of old.
const DEFAULT_REGISTRY_LEGACY: &str = "index.docker.io";
/// The folder of that registry's own images, left out by people.
const DEFAULT_FOLDER: &str = "library";
/// Registry and repository together, as Docker and distribution bound them.
const MAX_NAME: usize = 255;
/// A tag (OCI Distribution spec).
const MAX_TAG: usize = 128;
/// `name:tag@sha256:...`: the parts, and the two marks between them.
const MAX_LENGTH: usize = MAX_NAME + 1 + MAX_TAG + 1 + "sha256:".len() + 64;

/// What a person calls an image.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// As typed; `None` is [`DEFAULT_REGISTRY`].
    registry: Option<String>,
    /// As typed.
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image name.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ImageNameError {
    #[error("an image name can't be empty")]
    Empty,
    #[error("an image name has at most {MAX_LENGTH} characters, this one has {0}")]
    TooLong(usize),
    #[error("an image name has no scheme: leave out {0:?}")]
    Scheme(String),
    #[error("an image name can't hold {0:?}")]
    Character(char),
    #[error("an image name starts with a letter or digit, not with {0:?}")]
    Start(char),
    #[error("registry and repository have at most {MAX_NAME} characters together, these have {0}")]
    NameTooLong(usize),
    #[error("{0:?} is no registry: give a host name or an IP address, and a port where it has one")]
    Registry(String),
    #[error("{0:?} has an empty part beside a slash")]
    EmptyPart(String),
    #[error("a repository is lower case: try {0:?}")]
    UpperCase(String),
    #[error("{0:?} is no part of a repository: it holds a-z and 0-9, joined by '.', '_', '__' or hyphens")]
    Part(String),
    #[error("64 hex digits are an image's id: give its name, or name@sha256:...")]
    Id,
    #[error(
        "{0:?} is no tag: it has 1 to {MAX_TAG} letters, digits, '_', '.' and '-', and starts with neither '.' nor '-'"
    )]
    Tag(String),
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl ImageName {
    /// The registry's host, and its port where one was given.
    #[must_use]
    pub fn registry(&self) -> &str {
        match self.registry.as_deref() {
            None | Some(DEFAULT_REGISTRY_LEGACY) => DEFAULT_REGISTRY,
            Some(registry) => registry,
        }
    }

    /// The repository as the registry knows it.
    #[must_use]
    pub fn repository(&self) -> String {
        if self.registry() == DEFAULT_REGISTRY && !self.repository.contains('/') {
            format!("{DEFAULT_FOLDER}/{}", self.repository)
        } else {
            self.repository.clone()
        }
    }

    /// The tag, if one was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The content, if it was given.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name on a line for people: a digest by its first twelve digits.
    #[must_use]
    pub fn short(&self) -> String {
        match &self.digest {
            None => self.to_string(),
            Some(digest) => format!("{}@sha256:{}", self.without_digest(), digest.short()),
        }
    }

    fn without_digest(&self) -> String {
        let mut text = String::new();
        if let Some(registry) = &self.registry {
            text.push_str(registry);
            text.push('/');
        }
        text.push_str(&self.repository);
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        text
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;
    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        check_text(text)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon before a slash belongs to the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(parse_tag(tag)?)),
            _ => (rest, None),
        };
        if name.len() > MAX_NAME {
            return Err(ImageNameError::NameTooLong(name.len()));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(parse_registry(first)?), rest),
            _ => (None, name),
        };
        check_repository(repository, name)?;
        Ok(Self {
            registry,
            repository: repository.to_owned(),
            tag,
            digest,
        })
    }
}

/// What can be said before the parts are known.
fn check_text(text: &str) -> Result<(), ImageNameError> {
    let Some(first) = text.chars().next() else {
        return Err(ImageNameError::Empty);
    };
    let length = text.chars().count();
    if length > MAX_LENGTH {
        return Err(ImageNameError::TooLong(length));
    }
    if let Some(at) = text.find("://") {
        return Err(ImageNameError::Scheme(text[..at + 3].to_owned()));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@[]".contains(c);
    if let Some(bad) = text.chars().find(|c| !plain(*c)) {
        return Err(ImageNameError::Character(bad));
    }
    if !(first.is_ascii_alphanumeric() || first == '[') {
        return Err(ImageNameError::Start(first));
    }
    Ok(())
}

/// Docker's rule for the part before the first slash: without one of these marks it is a folder.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':', '[']) || first == "localhost"
}

fn parse_registry(text: &str) -> Result<String, ImageNameError> {
    let refused = || ImageNameError::Registry(text.to_owned());
    let (host_fits, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or_else(refused)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err(refused()),
            port => port,
        };
        (address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (host, port) = text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)));
        (host.split('.').all(is_label), port)
    };
    let port_fits = port.is_none_or(|port| port.parse::<NonZeroU16>().is_ok());
    if host_fits && port_fits {
        Ok(text.to_owned())
    } else {
        Err(refused())
    }
}

/// A DNS label (RFC 1035 section 2.3.4).
fn is_label(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    (1..=63).contains(&label.len())
        && label.chars().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn check_repository(text: &str, name: &str) -> Result<(), ImageNameError> {
    if text.split('/').any(str::is_empty) {
        return Err(ImageNameError::EmptyPart(name.to_owned()));
    }
    if text.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(ImageNameError::UpperCase(text.to_ascii_lowercase()));
    }
    if let Some(bad) = text.split('/').find(|part| !is_part(part)) {
        return Err(ImageNameError::Part(bad.to_owned()));
    }
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ImageNameError::Id);
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_part(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separators = part.split(alphanumeric).filter(|run| !run.is_empty());
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && separators.all(|run| matches!(run, "." | "_" | "__") || run.chars().all(|c| c == '-'))
}

fn parse_tag(text: &str) -> Result<String, ImageNameError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let fits = (1..=MAX_TAG).contains(&text.len());
    if fits && text.chars().all(plain) && !text.starts_with(['.', '-']) {
        Ok(text.to_owned())
    } else {
        Err(ImageNameError::Tag(text.to_owned()))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_digest())?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_docker_reads_it_and_shown_as_it_was_typed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let table = [
            ("nginx", "docker.io", "library/nginx", None),
            ("team/tool:1.2", "docker.io", "team/tool", Some("1.2")),
            ("docker.io/nginx", "docker.io", "library/nginx", None),
            ("index.docker.io/nginx", "docker.io", "library/nginx", None),
            ("a.b", "docker.io", "library/a.b", None),
            (
                "example.com:5000",
                "docker.io",
                "library/example.com",
                Some("5000"),
            ),
            ("localhost/x", "localhost", "x", None),
            ("127.0.0.1:5000/a/b:_v", "127.0.0.1:5000", "a/b", Some("_v")),
            ("[::1]:5000/x:1", "[::1]:5000", "x", Some("1")),
            ("[fd00::1]/x", "[fd00::1]", "x", None),
            (
                "Registry.Example.COM/a__b.c---d/e_f",
                "Registry.Example.COM",
                "a__b.c---d/e_f",
                None,
            ),
        ];
        for (text, registry, repository, tag) in table {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(
                (name.registry(), name.repository().as_str(), name.tag()),
                (registry, repository, tag),
                "{text}"
            );
            assert_eq!((name.to_string().as_str(), name.digest()), (text, None));
            assert_eq!(name.short(), text);
            let pinned: ImageName = format!("{text}@{digest}").parse().unwrap();
            assert_eq!(pinned.digest().map(Digest::as_str), Some(digest.as_str()));
            assert_eq!(pinned.to_string(), format!("{text}@{digest}"));
            assert_eq!(pinned.short(), format!("{text}@sha256:aaaaaaaaaaaa"));
        }
    }

    #[test]
    fn each_rule_has_its_refusal() {
        use ImageNameError as E;
        let (registry, part, tag) = (
            |text: &str| E::Registry(text.into()),
            |text: &str| E::Part(text.into()),
            |text: &str| E::Tag(text.into()),
        );
        let table = [
            ("", E::Empty),
            ("--privileged", E::Start('-')),
            ("/x", E::Start('/')),
            (":x", E::Start(':')),
            ("@sha256:00", E::Start('@')),
            ("https://example.com/x", E::Scheme("https://".into())),
            ("docker://x", E::Scheme("docker://".into())),
            ("x; id", E::Character(';')),
            ("a b", E::Character(' ')),
            ("a\nb", E::Character('\n')),
            ("a\0", E::Character('\0')),
            ("$(id)", E::Character('$')),
            ("n\u{430}me", E::Character('\u{430}')),
            ("UPPER/x", E::UpperCase("upper/x".into())),
            ("example.com/Team/x:V1", E::UpperCase("team/x".into())),
            ("a//b", E::EmptyPart("a//b".into())),
            ("a/", E::EmptyPart("a/".into())),
            ("example.com/", E::EmptyPart("example.com/".into())),
            ("a/../b", part("..")),
            ("a..b", part("a..b")),
            ("a___b", part("a___b")),
            ("a-", part("a-")),
            ("a/-b", part("-b")),
            ("a/_b", part("_b")),
            ("a/b]", part("b]")),
            ("x:", tag("")),
            ("x:.1", tag(".1")),
            ("x:-1", tag("-1")),
            ("x:1]", tag("1]")),
            ("x:1:2", part("x:1")),
            ("x@", E::Digest(DigestError)),
            ("x@sha256:abc", E::Digest(DigestError)),
            ("x@latest", E::Digest(DigestError)),
            ("x@y@z", E::Digest(DigestError)),
            ("-a.example.com/x", E::Start('-')),
            ("a-.example.com/x", registry("a-.example.com")),
            ("a..example.com/x", registry("a..example.com")),
            ("example.com:/x", registry("example.com:")),
            ("example.com:0/x", registry("example.com:0")),
            ("example.com:65536/x", registry("example.com:65536")),
            ("example.com:1:2/x", registry("example.com:1:2")),
            ("::1/x", E::Start(':')),
            ("[::1/x", registry("[::1")),
            ("[::1]5000/x", registry("[::1]5000")),
            ("[localhost]/x", registry("[localhost]")),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<ImageName>(), Err(error), "{text:?}");
        }
        let longest = "a".repeat(255);
        assert!(longest.parse::<ImageName>().is_ok());
        let whole = format!("{longest}:{}@sha256:{}", "t".repeat(128), "a".repeat(64));
        assert_eq!(whole.len(), MAX_LENGTH);
        assert!(whole.parse::<ImageName>().is_ok());
        let table = [
            (format!("{longest}a"), E::NameTooLong(256)),
            (format!("x:{}", "t".repeat(129)), tag(&"t".repeat(129))),
            (format!("{whole}a"), E::TooLong(457)),
            ("0".repeat(64), E::Id),
            (
                format!("{}.example/x", "a".repeat(64)),
                registry(&format!("{}.example", "a".repeat(64))),
            ),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<ImageName>(), Err(error), "{text:?}");
        }
    }
}

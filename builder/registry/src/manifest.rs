//! What a manifest says: its kind, the blobs and manifests it names, and its subject. Pure.
//!
//! A manifest is stored as the very bytes that came; this module only decides whether to take them. The media
//! type must be said once and be the same everywhere it is said, and a manifest can't be both an image and an
//! index (CVE-2021-41190): two clients would read two different images under one digest.

use pvdify_types::Digest;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// The largest manifest taken, the size that the Distribution spec asks every registry to take at least.
pub const MAX_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Which of the two shapes a manifest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One image, or one artifact: a config and layers.
    Image,
    /// A list of manifests, as for several platforms.
    Index,
}

/// What a manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Its shape.
    pub kind: Kind,
    /// The media type it goes by.
    pub media_type: String,
    /// The config and layers that must be stored beside it.
    pub blobs: Vec<Digest>,
    /// An index's manifests; they may be absent.
    pub manifests: Vec<Digest>,
    /// The manifest that this one is about, as a signature is; it may be absent.
    pub subject: Option<Digest>,
    /// What kind of artifact this is, for the referrers list.
    pub artifact_type: Option<String>,
    /// The annotations, for the referrers list.
    pub annotations: Map<String, Value>,
}

/// Why a manifest is refused.
#[derive(Debug, Error, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ManifestError {
    #[error("the manifest is no JSON of the expected shape: {0}")]
    Json(String),
    #[error("the manifest's media type is not known: {0:?}")]
    MediaType(String),
    #[error("the manifest was sent as {sent:?} but calls itself {own:?}")]
    MediaTypeDiffers { sent: String, own: String },
    #[error("the manifest has both layers and manifests: it is an image or an index, not both")]
    Confused,
    #[error("an image manifest needs a config and layers")]
    NoConfig,
    #[error("an index needs manifests")]
    NoManifests,
    #[error("only sha256 digests are taken, not {0:?}")]
    Digest(String),
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(rename = "mediaType", default)]
    media_type: String,
    #[serde(default)]
    urls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<Map<String, Value>>,
}

impl References {
    /// Reads a manifest that was sent with a media type, or without one.
    ///
    /// # Errors
    /// [`ManifestError`], whose text is for the person who pushes.
    pub fn parse(bytes: &[u8], sent: Option<&str>) -> Result<Self, ManifestError> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Json(error.to_string()))?;
        let media_type = agreed_media_type(sent, document.media_type.as_deref())?;
        let kind = match media_type.as_str() {
            OCI_MANIFEST | DOCKER_MANIFEST => Kind::Image,
            OCI_INDEX | DOCKER_LIST => Kind::Index,
            _ => return Err(ManifestError::MediaType(media_type)),
        };
        let has_image_part = document.config.is_some() || document.layers.is_some();
        match kind {
            Kind::Image if document.manifests.is_some() => return Err(ManifestError::Confused),
            Kind::Index if has_image_part => return Err(ManifestError::Confused),
            _ => {}
        }
        let (mut blobs, mut manifests, mut config_type) = (Vec::new(), Vec::new(), None);
        if kind == Kind::Image {
            let (Some(config), Some(layers)) = (document.config, document.layers) else {
                return Err(ManifestError::NoConfig);
            };
            blobs.push(digest(&config.digest)?);
            config_type = Some(config.media_type).filter(|text| !text.is_empty());
            // A layer with URLs is fetched from there: it need not be here (image spec, "urls").
            for layer in layers.iter().filter(|layer| layer.urls.is_empty()) {
                blobs.push(digest(&layer.digest)?);
            }
        } else {
            for child in document.manifests.ok_or(ManifestError::NoManifests)? {
                manifests.push(digest(&child.digest)?);
            }
        }
        Ok(Self {
            kind,
            media_type,
            blobs,
            manifests,
            subject: document
                .subject
                .map(|subject| digest(&subject.digest))
                .transpose()?,
            artifact_type: document
                .artifact_type
                .filter(|text| !text.is_empty())
                .or(config_type),
            annotations: document.annotations.unwrap_or_default(),
        })
    }
}

fn digest(text: &str) -> Result<Digest, ManifestError> {
    text.parse().map_err(|_| ManifestError::Digest(text.to_owned()))
}

/// The one media type that header and body agree on; parameters such as a charset don't count.
fn agreed_media_type(sent: Option<&str>, own: Option<&str>) -> Result<String, ManifestError> {
    let sent = sent
        .map(|text| text.split(';').next().unwrap_or_default().trim())
        .filter(|text| !text.is_empty());
    match (sent, own) {
        (Some(sent), Some(own)) if sent != own => Err(ManifestError::MediaTypeDiffers {
            sent: sent.to_owned(),
            own: own.to_owned(),
        }),
        (Some(one), _) | (None, Some(one)) => Ok(one.to_owned()),
        (None, None) => Err(ManifestError::MediaType(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(c: char) -> String {
        format!("sha256:{}", c.to_string().repeat(64))
    }

    #[test]
    fn an_image_names_its_config_and_the_layers_that_have_no_url() {
        let json = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c/t","digest":"{}","size":1}},"subject":{{"digest":"{}"}},
               "layers":[{{"digest":"{}"}},{{"digest":"{}","urls":["https://x"]}}],"annotations":{{"k":"v"}}}}"#,
            hex('a'),
            hex('d'),
            hex('b'),
            hex('c')
        );
        let read =
            References::parse(json.as_bytes(), Some(&format!("{OCI_MANIFEST}; charset=utf-8"))).unwrap();
        assert_eq!(read.kind, Kind::Image);
        assert_eq!(read.media_type, OCI_MANIFEST);
        assert_eq!(read.blobs, [hex('a').parse().unwrap(), hex('b').parse().unwrap()]);
        assert_eq!(read.subject, Some(hex('d').parse().unwrap()));
        assert_eq!(read.artifact_type.as_deref(), Some("c/t"));
        assert_eq!(read.annotations["k"], "v");
    }

    #[test]
    fn a_manifest_of_two_meanings_is_refused() {
        let a = hex('a');
        let image = format!(r#""config":{{"digest":"{a}"}},"layers":[]"#);
        let index = r#""manifests":[]"#;
        let table = [
            (
                OCI_MANIFEST,
                format!("{{{image},{index}}}"),
                "the manifest has both layers and manifests: it is an image or an index, not both",
            ),
            (
                OCI_INDEX,
                format!("{{{image},{index}}}"),
                "the manifest has both layers and manifests: it is an image or an index, not both",
            ),
            (
                OCI_MANIFEST,
                format!(r#"{{"mediaType":"{OCI_INDEX}",{index}}}"#),
                "the manifest was sent as \"application/vnd.oci.image.manifest.v1+json\" but calls itself \"application/vnd.oci.image.index.v1+json\"",
            ),
            (
                OCI_MANIFEST,
                "{}".to_owned(),
                "an image manifest needs a config and layers",
            ),
            (OCI_INDEX, "{}".to_owned(), "an index needs manifests"),
            (
                "text/plain",
                "{}".to_owned(),
                "the manifest's media type is not known: \"text/plain\"",
            ),
            (
                "",
                "{}".to_owned(),
                "the manifest's media type is not known: \"\"",
            ),
            (
                OCI_MANIFEST,
                r#"{"config":{"digest":"md5:1"},"layers":[]}"#.to_owned(),
                "only sha256 digests are taken, not \"md5:1\"",
            ),
        ];
        for (sent, body, message) in table {
            let error = References::parse(body.as_bytes(), Some(sent)).unwrap_err();
            assert_eq!(error.to_string(), message, "{body}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(
            References::parse(deep.as_bytes(), Some(OCI_MANIFEST)),
            Err(ManifestError::Json(_))
        ));
    }
}

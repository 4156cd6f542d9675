//! Buildpacks in an OCI image: copied by the builder's own client, and of their layers only `/cnb/buildpacks` and
//! `/cnb/extensions` taken.

use super::{Fetcher, MAX_BYTES, TIME};
use crate::{
    BuildError,
    buildpacks::{extensions::note_order, take_out::TakeOut, whole::facts},
    import::{self, Purpose},
};
use oci_spec::image::{ImageConfiguration, ImageManifest};
use pvdify_cnb::id::{BuildpackId, BuildpackVersion};
use pvdify_registry::{Reference, Repository};
use pvdify_types::{BuildpackName, Digest, ImageName};
use serde::Deserialize;
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// What a buildpack's image says of the buildpack that is meant.
const PACKAGE_LABEL: &str = "io.buildpacks.buildpackage.metadata";
const EXTENSION_LABEL: &str = "io.buildpacks.extension.metadata";
const EXTENSION_LAYERS_LABEL: &str = "io.buildpacks.extension.layers";

impl Fetcher<'_> {
    /// The buildpacks of an image, and which of them is meant.
    pub(super) async fn image(
        &self,
        name: &BuildpackName,
        image: &str,
        to: &Path,
    ) -> Result<(String, Option<(BuildpackId, BuildpackVersion)>), BuildError> {
        let image: ImageName = image
            .parse()
            .map_err(|error| BuildError::Refused(format!("the buildpack {name}: {error}")))?;
        let (store, repository) = (&self.builder.store, Repository::from(self.request.app));
        let copying = import::copy(
            store,
            &repository,
            &image,
            Purpose::Buildpacks,
            &self.builder.resolver,
            MAX_BYTES,
        );
        let digest = tokio::time::timeout(TIME, copying)
            .await
            .unwrap_or_else(|_| Err(BuildError::unavailable(format!("fetching {image} took too long"))))?;
        let whole = || BuildError::unavailable(format!("{image} is not whole in the registry: push again"));
        let manifest = store
            .manifest(&repository, &Reference::Digest(digest.clone()))
            .await?
            .ok_or_else(whole)?;
        let manifest: ImageManifest = serde_json::from_slice(&manifest.bytes).map_err(BuildError::refused)?;
        let blob = |descriptor: &oci_spec::image::Descriptor| {
            let digest: Option<Digest> = descriptor.digest().to_string().parse().ok();
            let path = digest.and_then(|digest| store.blob_path(&digest));
            Ok::<_, BuildError>((descriptor.media_type().to_string(), path.ok_or_else(whole)?))
        };
        let layers = manifest
            .layers()
            .iter()
            .map(blob)
            .collect::<Result<Vec<_>, _>>()?;
        let (_, config) = blob(manifest.config())?;
        let (to, shown) = (to.to_owned(), name.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let config = fs::read(config)?;
            let top = meant(&config)?;
            let mut out = TakeOut::new(&to, MAX_BYTES)?;
            for (media_type, layer) in &layers {
                out.archive(
                    unpacked(media_type, File::open(layer)?)?,
                    Path::new("cnb/buildpacks"),
                )?;
            }
            extensions(&config, &layers, &to)?;
            Ok::<_, io::Error>(top)
        });
        let top = taken
            .await
            .map_err(BuildError::unavailable)?
            .map_err(|error| BuildError::Refused(format!("the buildpack {shown}: {error}")))?;
        Ok((digest.to_string(), top))
    }
}

/// The image extensions of an image, and their order.
fn extensions(config: &[u8], layers: &[(String, PathBuf)], to: &Path) -> io::Result<()> {
    let labels = labels(config)?;
    if !labels.contains_key(EXTENSION_LAYERS_LABEL) && !labels.contains_key(EXTENSION_LABEL) {
        return Ok(());
    }
    let mut out = TakeOut::new(&to.join("extensions"), MAX_BYTES)?;
    for (media_type, layer) in layers {
        out.archive(
            unpacked(media_type, File::open(layer)?)?,
            Path::new("cnb/extensions"),
        )?;
    }
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    note_order(&labels.collect(), to)
}

fn labels(config: &[u8]) -> io::Result<HashMap<String, String>> {
    let config: ImageConfiguration = serde_json::from_slice(config)?;
    let labels = config
        .config()
        .as_ref()
        .and_then(|config| config.labels().clone());
    Ok(labels.unwrap_or_default())
}

/// Which buildpack of an image is meant, by its label.
fn meant(config: &[u8]) -> io::Result<Option<(BuildpackId, BuildpackVersion)>> {
    #[derive(Deserialize)]
    struct Package {
        id: BuildpackId,
        version: BuildpackVersion,
    }
    let labels = labels(config)?;
    if labels.contains_key(facts::LABEL) {
        return Err(io::Error::other(
            "it is a whole builder, which stands alone: set it as the app's first buildpack, and behind it none but its own",
        ));
    }
    let package = labels
        .get(PACKAGE_LABEL)
        .or_else(|| labels.get(EXTENSION_LABEL))
        .map(|json| serde_json::from_str::<Package>(json));
    Ok(package.transpose()?.map(|package| (package.id, package.version)))
}

/// A layer's tar.
pub(crate) fn unpacked(media_type: &str, layer: File) -> io::Result<Box<dyn Read>> {
    Ok(if media_type.ends_with("gzip") {
        Box::new(flate2::read::MultiGzDecoder::new(layer))
    } else if media_type.ends_with("zstd") {
        Box::new(zstd::stream::read::Decoder::new(layer)?)
    } else {
        Box::new(layer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(labels: &serde_json::Value) -> Vec<u8> {
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": []}, "history": []
        });
        serde_json::to_vec(&config).unwrap()
    }

    #[test]
    fn an_image_says_which_buildpack_is_meant() {
        let label = serde_json::json!({PACKAGE_LABEL: r#"{"id":"a/b","version":"1.2","stacks":[]}"#});
        let (id, version) = meant(&config(&label)).unwrap().unwrap();
        assert_eq!((id.as_str(), version.as_str()), ("a/b", "1.2"));
        assert_eq!(meant(&config(&serde_json::json!({}))).unwrap(), None);
        let builder = meant(&config(&serde_json::json!({facts::LABEL: "{}"}))).unwrap_err();
        assert!(builder.to_string().contains("whole builder"), "{builder}");
    }

    #[test]
    fn image_extensions_are_taken_out_with_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in [("cnb/extensions/a_x/1/extension.toml", "x"), ("etc/passwd", "p")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let layer = dir.path().join("layer.tar");
        fs::write(&layer, archive.into_inner().unwrap()).unwrap();
        let layers = [("application/vnd.oci.image.layer.v1.tar".to_owned(), layer)];
        let plain = dir.path().join("plain");
        extensions(&config(&serde_json::json!({})), &layers, &plain).unwrap();
        assert!(!plain.exists());
        let order = r#"[{"group":[{"id":"a/x","version":"1"}]}]"#;
        let labels = serde_json::json!({EXTENSION_LAYERS_LABEL: "{}", "io.buildpacks.buildpack.order-extensions": order});
        let to = dir.path().join("to");
        extensions(&config(&labels), &layers, &to).unwrap();
        assert!(to.join("extensions/a_x/1/extension.toml").is_file() && !to.join("etc").exists());
        assert!(fs::read_to_string(to.join("order.toml")).unwrap().contains("a/x"));
        let label = serde_json::json!({EXTENSION_LABEL: r#"{"id":"a/x","version":"1"}"#});
        assert_eq!(meant(&config(&label)).unwrap().unwrap().0.as_str(), "a/x");
    }
}

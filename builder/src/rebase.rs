//! A rebase: an app's image on a newer run image, without a build. Only the manifest and the config are written
//! anew, no layer is read, so it takes milliseconds however large the app is.
//!
//! It is refused when the app may have been built for something else: another system, processor or distribution, or
//! when it says itself that it can't be rebased. An app that stands on another run image than those its label names,
//! as one that a whole builder built, is left alone.

use crate::{
    BuildError,
    export::{
        RunImage, StoredImage,
        finish::{mount_layers, store_image},
        image::{CREATED, is_layer, object, whole_history},
    },
};
use pvdify_cnb::{
    api::Api,
    image::{LIFECYCLE_METADATA, LifecycleMetadata, REBASABLE},
};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::Digest;
use serde_json::{Map, Value, json};

/// Labels that are the run image's to say.
const OF_THE_RUN_IMAGE: [&str; 2] = ["io.buildpacks.base.", "io.buildpacks.stack."];
/// Since this Platform API an image tells its target; before, it named a stack.
const WITH_TARGET: Api = Api::new(0, 12);

/// Puts an app's image on another run image; gives the new image's digest, which is the old one when it stands on
/// that run image already.
///
/// # Errors
/// [`BuildError::Refused`] when the app has to be built anew instead, [`BuildError::Unavailable`] when the run
/// image or the registry is at fault. Nothing is changed then.
pub async fn rebase(
    store: &Store,
    repository: &Repository,
    image: &Digest,
    run: &RunImage,
) -> Result<Digest, BuildError> {
    let app = StoredImage::read(store, repository, &Reference::Digest(image.clone())).await?;
    let app = app.ok_or_else(|| BuildError::Refused(format!("the image {image} is not in {repository}")))?;
    let base = run.read(store).await?;
    let (config, layers) = rebased(&app, &base, run).map_err(|why| {
        BuildError::Refused(match why {
            Why::Other(own) => format!(
                "{repository} stays on a run image of its own: it was built on {own}, not on {}. Deploy it again to renew that",
                run.image
            ),
            Why::Not(why) => format!(
                "{repository} can't be put on {}: {why}. Deploy it again instead",
                run.image
            ),
        })
        .for_a_terminal()
    })?;
    mount_layers(&base, &run.repository, repository, store).await?;
    Ok(store_image(store, repository, &config, layers).await?.0)
}

/// Why an app is not put on a run image.
enum Why {
    /// It stands on another one.
    Other(String),
    /// It could not run there.
    Not(String),
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self::Not(text)
    }
}

/// The new config and the new manifest's layers. Pure.
fn rebased(
    app: &StoredImage,
    base: &StoredImage,
    run: &RunImage,
) -> Result<(Value, Vec<crate::export::Descriptor>), Why> {
    let label = app
        .label(LIFECYCLE_METADATA)
        .ok_or_else(|| "no buildpack built it".to_owned())?;
    let odd = |error: serde_json::Error| format!("its label is not understood: {error}");
    let metadata: LifecycleMetadata = serde_json::from_str(label).map_err(odd)?;
    check_names(run, &metadata).map_err(Why::Other)?;
    check(app, base)?;
    let top = &metadata.run_image.top_layer;
    let own = app
        .layers
        .iter()
        .position(|layer| layer.diff_id == *top)
        .ok_or_else(|| "its label names a run image that it does not stand on".to_owned())?
        + 1;
    let layers: Vec<_> = base.layers.iter().chain(&app.layers[own..]).collect();
    // As it stands, for what a newer lifecycle may have written into it.
    let mut label: Map<String, Value> = serde_json::from_str(label).map_err(odd)?;
    let run_image = object(&mut label, "runImage");
    run_image.insert("topLayer".to_owned(), base.top_layer().into());
    run_image.insert("reference".to_owned(), run.pinned(&base.digest).into());
    let mut config = app.config.as_object().cloned().unwrap_or_default();
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.diff_id.as_str()).collect();
    config.insert("created".to_owned(), CREATED.into());
    config.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids}),
    );
    config.insert("history".to_owned(), history(app, base, own).into());
    relabel(
        object(object(&mut config, "config"), "Labels"),
        base,
        &label.into(),
    );
    Ok((
        config.into(),
        layers.into_iter().map(|layer| layer.blob.clone()).collect(),
    ))
}

fn check(app: &StoredImage, base: &StoredImage) -> Result<(), String> {
    let api = app
        .env("CNB_PLATFORM_API")
        .and_then(|text| text.parse::<Api>().ok());
    if api.is_none_or(|api| api < WITH_TARGET) {
        return Err("it was built by a platform that is too old".to_owned());
    }
    if app.label(REBASABLE) == Some("false") {
        return Err(
            "it says of itself that it can't be rebased, as apps on an extended run image do".to_owned(),
        );
    }
    for part in ["os", "architecture", "variant"] {
        let (own, new) = (app.platform(part), base.platform(part));
        // A variant that one of them does not name is no difference.
        if own != new && (part != "variant" || !(own.is_empty() || new.is_empty())) {
            return Err(format!(
                "it was built for the {part} {own:?} and that one is for {new:?}"
            ));
        }
    }
    for part in ["name", "version"] {
        let label = format!("io.buildpacks.base.distro.{part}");
        let (own, new) = (
            app.label(&label).unwrap_or_default(),
            base.label(&label).unwrap_or_default(),
        );
        if own != new && !new.is_empty() {
            return Err(format!(
                "it was built for the distribution {part} {own:?} and that one is {new:?}"
            ));
        }
    }
    Ok(())
}

/// An error is the name of the run image that it stands on.
fn check_names(run: &RunImage, metadata: &LifecycleMetadata) -> Result<(), String> {
    let label = &metadata.run_image;
    let stack = metadata.stack.as_ref().map(|stack| &stack.run_image);
    let names = std::iter::once(&label.image).chain(&label.mirrors);
    let of_stack = stack
        .into_iter()
        .flat_map(|stack| std::iter::once(&stack.image).chain(&stack.mirrors));
    if !names
        .chain(of_stack)
        .any(|name| without_host(name) == without_host(&run.image))
    {
        return Err(label.image.clone());
    }
    Ok(())
}

/// The name within a registry: it is our registry whatever address it had when the app was built.
fn without_host(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or(name);
    match name.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => rest,
        _ => name,
    }
}

/// The run image's history, then the app's own part.
fn history(app: &StoredImage, base: &StoredImage, own: usize) -> Vec<Value> {
    let mut history = whole_history(&base.config, base.layers.len());
    let mut below = 0;
    for entry in whole_history(&app.config, app.layers.len()) {
        if below == own {
            history.push(entry);
        } else if is_layer(&entry) {
            below += 1;
        }
    }
    history
}

fn relabel(labels: &mut Map<String, Value>, base: &StoredImage, metadata: &Value) {
    let is_base = |name: &str| OF_THE_RUN_IMAGE.iter().any(|prefix| name.starts_with(prefix));
    labels.retain(|name, _| !is_base(name));
    let of_base = base.config.pointer("/config/Labels").and_then(Value::as_object);
    let of_base = of_base.into_iter().flatten().filter(|(name, _)| is_base(name));
    labels.extend(of_base.map(|(name, value)| (name.clone(), value.clone())));
    labels.insert(LIFECYCLE_METADATA.to_owned(), metadata.to_string().into());
}

//! The end of an export: the run image's layers in the app's repository, the labels, the config, the manifest.

use super::{
    Export, MANIFEST_TYPE, StoredImage,
    image::{self, Added, Additions, EXEC_ENV},
    layers::Made,
    plan::{Plan, Role},
};
use crate::BuildError;
use bytes::Bytes;
use futures_util::stream;
use pvdify_cnb::{
    id::ProcessName,
    image::{
        BUILD_METADATA, BuildpackLayers, LIFECYCLE_METADATA, LayerMetadata, LifecycleMetadata,
        PROJECT_METADATA, REBASABLE, RunImage, Sha, Stack, StackRunImage, StoreMetadata,
    },
    launch::Process,
};
use pvdify_registry::{Reference, Repository, Store};
use pvdify_types::Digest;
use std::collections::BTreeMap;

/// Lets the app's repository read the run image's layers.
pub(crate) async fn mount(run: &StoredImage, export: &Export, store: &Store) -> Result<(), BuildError> {
    let from = match export.extended {
        Some(_) => &export.repository,
        None => &export.run_image.repository,
    };
    mount_layers(run, from, &export.repository, store).await
}

/// Lets one repository read an image's layers that another one has.
pub(crate) async fn mount_layers(
    image: &StoredImage,
    from: &Repository,
    to: &Repository,
    store: &Store,
) -> Result<(), BuildError> {
    for layer in image.layers.iter().filter(|layer| layer.blob.urls.is_empty()) {
        let damaged = || {
            BuildError::Unavailable(format!(
                "the run image in {from} lacks its layer {}: make it again with pvdifyd stack build",
                layer.blob.digest
            ))
        };
        let digest: Digest = layer.blob.digest.parse().map_err(|_| damaged())?;
        if !store.has_blob(to, &digest).await? && !store.mount_blob(from, to, &digest).await? {
            return Err(damaged());
        }
    }
    Ok(())
}

/// Writes config and manifest; gives the manifest's digest and size.
pub(crate) async fn write(
    export: &Export,
    plan: &Plan,
    run: &StoredImage,
    made: &[Made],
    store: &Store,
) -> Result<(Digest, u64), BuildError> {
    let added: Vec<Added> = plan
        .parts
        .iter()
        .zip(made)
        .map(|(part, made)| Added {
            layer: made.layer.clone(),
            created_by: part.created_by.clone(),
        })
        .collect();
    let additions = Additions {
        layers: &added,
        labels: labels(export, plan, run, made).map_err(BuildError::unavailable)?,
        layers_dir: &export.layers_dir,
        app_dir: &export.app_dir,
        default_process: plan.default_process(export),
        platform_api: export.platform_api,
        owner: export.owner,
    };
    let mut config = image::config(&run.config, &run.layers, additions);
    if export.extended.is_some() {
        image::forget_podman(&mut config);
    }
    let layers = run.layers.iter().chain(added.iter().map(|added| &added.layer));
    let layers: Vec<_> = layers.map(|layer| layer.blob.clone()).collect();
    store_image(store, &export.repository, &config, layers).await
}

/// Writes a config and a manifest of it.
pub(crate) async fn store_image(
    store: &Store,
    repository: &Repository,
    config: &serde_json::Value,
    layers: Vec<super::Descriptor>,
) -> Result<(Digest, u64), BuildError> {
    let bytes = serde_json::to_vec(config).map_err(BuildError::unavailable)?;
    let whole = stream::iter([Ok(Bytes::from(bytes))]);
    let (digest, size) = store.write_blob(repository, None, whole).await?;
    let manifest =
        image::manifest(image::config_descriptor(&digest, size), layers).map_err(BuildError::unavailable)?;
    let size = manifest.len() as u64;
    let digest = digest_of(&manifest)?;
    let reference = Reference::Digest(digest.clone());
    store
        .put_manifest(repository, &reference, Some(MANIFEST_TYPE), manifest)
        .await?;
    Ok((digest, size))
}

fn digest_of(bytes: &[u8]) -> Result<Digest, BuildError> {
    use sha2::Digest as _;
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
        .parse()
        .map_err(BuildError::unavailable)
}

fn labels(
    export: &Export,
    plan: &Plan,
    run: &StoredImage,
    made: &[Made],
) -> serde_json::Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::from([(REBASABLE.to_owned(), "true".to_owned())]);
    labels.extend(image::buildpack_labels(&plan.metadata.labels));
    if export.extended.as_ref().is_some_and(|it| !it.rebasable) {
        // Not for a buildpack to say otherwise.
        labels.insert(REBASABLE.to_owned(), "false".to_owned());
    }
    let build = image::build_label(&plan.metadata, &export.launcher_version);
    labels.insert(
        LIFECYCLE_METADATA.to_owned(),
        serde_json::to_string(&lifecycle(export, plan, run, made))?,
    );
    labels.insert(BUILD_METADATA.to_owned(), serde_json::to_string(&build)?);
    labels.insert(
        PROJECT_METADATA.to_owned(),
        serde_json::to_string(&export.project)?,
    );
    labels.insert(EXEC_ENV.to_owned(), export.exec_env.clone());
    Ok(labels)
}

fn lifecycle(export: &Export, plan: &Plan, run: &StoredImage, made: &[Made]) -> LifecycleMetadata {
    let (image, mirrors, top_layer, reference) = below(export, run);
    let mut metadata = LifecycleMetadata {
        run_image: RunImage {
            top_layer,
            reference,
            image: image.clone(),
            mirrors: mirrors.clone(),
        },
        stack: Some(Stack {
            run_image: StackRunImage { image, mirrors },
        }),
        ..LifecycleMetadata::default()
    };
    for part in &plan.buildpacks {
        metadata.buildpacks.push(BuildpackLayers {
            key: part.buildpack.id.to_string(),
            version: part.buildpack.version.to_string(),
            layers: BTreeMap::new(),
            store: part.store.clone().map(|metadata| StoreMetadata { metadata }),
        });
    }
    for (part, made) in plan.parts.iter().zip(made) {
        let sha = made.layer.diff_id.clone();
        match &part.role {
            Role::Sbom => metadata.sbom = Some(Sha { sha }),
            Role::App => metadata.app.push(Sha { sha }),
            Role::Launcher => metadata.launcher = Sha { sha },
            Role::Config => metadata.config = Sha { sha },
            Role::ProcessTypes => metadata.process_types = Sha { sha },
            Role::Buildpack(of, name) => {
                let types = plan.buildpacks[*of].layers[name].types;
                let layer = LayerMetadata {
                    sha,
                    data: plan.buildpacks[*of].layers[name].metadata.clone(),
                    build: types.build,
                    launch: types.launch,
                    cache: types.cache,
                };
                metadata.buildpacks[*of].layers.insert(name.clone(), layer);
            }
        }
    }
    metadata
}

/// What a rebase exchanges: the run image's name and mirrors, its last layer, its name with its digest. Layers that
/// extensions added are the app's own.
fn below(export: &Export, run: &StoredImage) -> (String, Vec<String>, String, String) {
    let own = &export.run_image;
    let Some(extended) = &export.extended else {
        let reference = own.pinned(&run.digest);
        return (
            own.image.clone(),
            own.mirrors.clone(),
            run.top_layer().to_owned(),
            reference,
        );
    };
    let top_layer = extended.below.checked_sub(1).and_then(|at| run.layers.get(at));
    let top_layer = top_layer.map_or_else(String::new, |layer| layer.diff_id.clone());
    let reference = extended.reference.clone();
    match &extended.other {
        Some(other) => (other.clone(), Vec::new(), top_layer, reference),
        None => (own.image.clone(), own.mirrors.clone(), top_layer, reference),
    }
}

/// The process types and what each runs, for people. Of several of one name the first counts, as it does for the
/// launcher.
pub(crate) fn processes(processes: &[Process]) -> BTreeMap<ProcessName, String> {
    let mut texts = BTreeMap::new();
    for process in processes {
        texts
            .entry(process.name.clone())
            .or_insert_with(|| command(process));
    }
    texts
}

/// The command as a person would type it: of `bash -c TEXT` only the text.
fn command(process: &Process) -> String {
    let words: Vec<&str> = process
        .command
        .iter()
        .chain(&process.args)
        .map(String::as_str)
        .collect();
    match words.as_slice() {
        [shell, option, text] if is_shell(shell) && matches!(*option, "-c" | "-lc") => (*text).to_owned(),
        // Without a shell of its own a lone text is one already.
        [text] if !process.direct => (*text).to_owned(),
        words => words
            .iter()
            .map(|word| quoted(word))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("bash" | "sh"))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_as_a_person_would_type_it() {
        let text = |command: &[&str], args: &[&str], direct| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            super::command(&Process {
                name: "web".parse().unwrap(),
                command: owned(command),
                args: owned(args),
                direct,
                default: false,
                working_dir: None,
                exec_env: Vec::new(),
                buildpack_id: None,
            })
        };
        assert_eq!(
            text(&["bash", "-c", "npm start && x"], &[], true),
            "npm start && x"
        );
        assert_eq!(
            text(&["node"], &["server.js", "--port=$PORT"], true),
            "node server.js --port=$PORT"
        );
        assert_eq!(text(&["run it"], &[], false), "run it");
        assert_eq!(text(&["run it"], &["it's"], true), r"'run it' 'it'\''s'");
        assert_eq!(text(&["/bin/sh"], &["-c", "x y"], true), "x y");
    }
}

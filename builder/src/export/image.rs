//! The app image's config and manifest, made from the run image's and what the build left. Pure.
//!
//! Nothing in it tells when it was made, so the same layers and the same metadata have the same digest.

use super::{
    archive::Owner,
    stored::{CONFIG_TYPE, Descriptor, Layer, MANIFEST_TYPE, Manifest},
};
use pvdify_cnb::{
    api::Api,
    extension,
    id::ProcessName,
    image::{BUILD_METADATA, BuildLabel, LIFECYCLE_METADATA, LauncherLabel, PROJECT_METADATA, ProcessLabel},
    launch::{BuildMetadata, Label},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The time that stands wherever an image has one.
pub(crate) const CREATED: &str = "1980-01-01T00:00:01Z";
/// The label that names the execution environment (platform.md, API 0.15).
pub(crate) const EXEC_ENV: &str = "io.buildpacks.exec-env";
/// Where the launcher is.
pub(crate) const LAUNCHER: &str = "/cnb/lifecycle/launcher";
/// Where a process type's link is.
pub(crate) const PROCESSES: &str = "/cnb/process";
/// Where programs are when the run image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the app image's config has beside the run image's.
pub(crate) struct Additions<'a> {
    pub(crate) layers: &'a [Added],
    pub(crate) labels: BTreeMap<String, String>,
    /// Where the layers are in the image.
    pub(crate) layers_dir: &'a str,
    /// Where the app is.
    pub(crate) app_dir: &'a str,
    pub(crate) default_process: Option<&'a ProcessName>,
    /// What the launcher is to speak.
    pub(crate) platform_api: Api,
    /// As whom the app runs where the run image does not say.
    pub(crate) owner: Owner,
}

/// A layer on top of the run image.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    pub(crate) layer: Layer,
    pub(crate) created_by: String,
}

/// The app image's config: the run image's, but for what must be otherwise.
pub(crate) fn config(run: &Value, run_layers: &[Layer], additions: Additions<'_>) -> Value {
    let mut config = run.as_object().cloned().unwrap_or_default();
    config.insert("created".to_owned(), CREATED.into());
    for gone in ["container", "container_config", "docker_version", "id", "parent"] {
        config.remove(gone);
    }
    let diff_ids = |layers: &mut dyn Iterator<Item = &Layer>| -> Vec<Value> {
        layers.map(|layer| layer.diff_id.clone().into()).collect()
    };
    let mut all = run_layers
        .iter()
        .chain(additions.layers.iter().map(|added| &added.layer));
    config.insert(
        "rootfs".to_owned(),
        json!({"type": "layers", "diff_ids": diff_ids(&mut all)}),
    );
    let mut history = whole_history(run, run_layers.len());
    history.extend(
        additions
            .layers
            .iter()
            .map(|added| json!({"created": CREATED, "created_by": added.created_by})),
    );
    config.insert("history".to_owned(), history.into());
    let running = object(&mut config, "config");
    let mut env = env(running);
    let path = value_of(&env, "PATH").unwrap_or(DEFAULT_PATH).to_owned();
    for (name, value) in [
        ("CNB_LAYERS_DIR", additions.layers_dir.to_owned()),
        ("CNB_APP_DIR", additions.app_dir.to_owned()),
        ("CNB_PLATFORM_API", additions.platform_api.to_string()),
        ("CNB_DEPRECATION_MODE", "quiet".to_owned()),
        ("PATH", format!("{PROCESSES}:/cnb/lifecycle:{path}")),
    ] {
        env.retain(|entry| entry.split_once('=').is_none_or(|(own, _)| own != name));
        env.push(format!("{name}={value}"));
    }
    running.insert("Env".to_owned(), env.into());
    let entrypoint = match additions.default_process {
        Some(process) => format!("{PROCESSES}/{process}"),
        None => LAUNCHER.to_owned(),
    };
    running.insert("Entrypoint".to_owned(), json!([entrypoint]));
    running.remove("Cmd");
    running.insert("WorkingDir".to_owned(), additions.app_dir.into());
    // A run image's user has to be another than root (platform.md, "Run Image").
    if extension::is_root(running.get("User").and_then(Value::as_str).unwrap_or_default()) {
        let Owner { uid, gid } = additions.owner;
        running.insert("User".to_owned(), format!("{uid}:{gid}").into());
    }
    let labels = object(running, "Labels");
    labels.extend(
        additions
            .labels
            .into_iter()
            .map(|(key, value)| (key, value.into())),
    );
    config.into()
}

/// Takes away what Podman and our own build wrote into an image that extensions made.
pub(crate) fn forget_podman(config: &mut Value) {
    const OF_THE_BUILD: [&str; 3] = ["pvdify.installation", "pvdify.app", "io.buildah.version"];
    if let Some(labels) = config
        .pointer_mut("/config/Labels")
        .and_then(Value::as_object_mut)
    {
        labels.retain(|name, _| !OF_THE_BUILD.contains(&name.as_str()));
    }
}

/// The history, with one entry that is no empty layer for each of `layers`.
pub(crate) fn whole_history(config: &Value, layers: usize) -> Vec<Value> {
    let history = config
        .get("history")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    if history.iter().filter(|entry| is_layer(entry)).count() == layers {
        return history;
    }
    vec![json!({"created": CREATED}); layers]
}

/// Whether an entry of the history stands for a layer.
pub(crate) fn is_layer(entry: &Value) -> bool {
    !entry.get("empty_layer").and_then(Value::as_bool).unwrap_or(false)
}

/// A member that is an object, made one when it is not.
pub(crate) fn object<'m>(map: &'m mut Map<String, Value>, key: &str) -> &'m mut Map<String, Value> {
    let member = map.entry(key).or_insert_with(|| json!({}));
    if !member.is_object() {
        *member = json!({});
    }
    member.as_object_mut().expect("it was made one just now")
}

fn env(running: &Map<String, Value>) -> Vec<String> {
    let env = running.get("Env").and_then(Value::as_array);
    env.into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str().map(str::to_owned))
        .collect()
}

fn value_of<'e>(env: &'e [String], name: &str) -> Option<&'e str> {
    env.iter()
        .filter_map(|entry| entry.split_once('='))
        .find(|(own, value)| *own == name && !value.is_empty())
        .map(|(_, value)| value)
}

/// The label that tells what was built with what.
pub(crate) fn build_label(metadata: &BuildMetadata, launcher_version: &str) -> BuildLabel {
    let process = |process: &pvdify_cnb::launch::Process| ProcessLabel {
        buildpack_id: process
            .buildpack_id
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        process: pvdify_cnb::launch::Process {
            buildpack_id: None,
            ..process.clone()
        },
    };
    BuildLabel {
        bom: None,
        buildpacks: metadata.buildpacks.clone(),
        launcher: LauncherLabel {
            version: launcher_version.to_owned(),
            source: BTreeMap::new(),
        },
        processes: metadata.processes.iter().map(process).collect(),
    }
}

/// The labels that buildpacks asked for: the last of a name counts, and none may pass for one of ours, by which
/// the next build and whoever finds a container by its labels go.
pub(crate) fn buildpack_labels(labels: &[Label]) -> BTreeMap<String, String> {
    let ours = [LIFECYCLE_METADATA, BUILD_METADATA, PROJECT_METADATA, EXEC_ENV];
    labels
        .iter()
        .filter(|label| {
            !label.key.is_empty() && !ours.contains(&&*label.key) && !label.key.starts_with("pvdify.")
        })
        .map(|label| (label.key.clone(), label.value.clone()))
        .collect()
}

/// The manifest's bytes.
pub(crate) fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config,
        layers,
    })
}

/// A descriptor of a config.
pub(crate) fn config_descriptor(digest: &pvdify_types::Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: CONFIG_TYPE.to_owned(),
        digest: digest.to_string(),
        size,
        urls: Vec::new(),
        annotations: BTreeMap::new(),
    }
}

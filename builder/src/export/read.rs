//! What a build left for the export: `config/metadata.toml`, and of each buildpack its layers' metadata and its
//! store. All of it was written by code that may be hostile.

use super::{beneath::Beneath, known::MAX_TOML};
use pvdify_cnb::{
    api::Api,
    group::GroupElement,
    id::LayerName,
    launch::BuildMetadata,
    layer::{LayerToml, LayerTypes},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

/// Files of a buildpack's folder that are no layers'.
const NO_LAYERS: [&str; 3] = ["launch", "build", "store"];
/// Layers that all buildpacks together may have.
const MAX_LAYERS: usize = 1000;
/// Since when layers may be for some execution environments only.
const WITH_EXEC_ENV: Api = Api::new(0, 12);

/// One buildpack's part.
#[derive(Debug)]
pub(crate) struct BuildpackPart {
    pub(crate) buildpack: GroupElement,
    /// Sorted by their names, the ignored ones left out.
    pub(crate) layers: BTreeMap<String, LayerPart>,
    /// Its `store.toml`.
    pub(crate) store: Option<Value>,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerPart {
    pub(crate) types: LayerTypes,
    pub(crate) metadata: Value,
    pub(crate) has_folder: bool,
}

/// Reads `config/metadata.toml`.
pub(crate) fn build_metadata(layers: &Beneath) -> Result<BuildMetadata, String> {
    let path = Path::new("config/metadata.toml");
    let text = layers
        .text_if_there(path, MAX_TOML)
        .map_err(|error| named(path, error))?
        .ok_or("the build left no config/metadata.toml")?;
    toml::from_str(&text).map_err(|error| named(path, error))
}

/// Reads what each buildpack of the group left.
pub(crate) fn buildpacks(
    layers: &Beneath,
    group: &[GroupElement],
    exec_env: &str,
) -> Result<Vec<BuildpackPart>, String> {
    let (mut parts, mut malformed, mut count) = (Vec::new(), Vec::new(), 0);
    for buildpack in group {
        let path = PathBuf::from(buildpack.id.folder());
        let folder = layers
            .folder_if_there(&path)
            .map_err(|error| named(&path, error))?;
        let mut part = BuildpackPart {
            buildpack: buildpack.clone(),
            layers: BTreeMap::new(),
            store: None,
        };
        if let Some(folder) = folder {
            part.store = store(&folder).map_err(|error| named(&path.join("store.toml"), error))?;
            for name in layer_names(&folder).map_err(|error| named(&path, error))? {
                match layer(&folder, &name, buildpack.api, exec_env) {
                    Ok(None) => {}
                    Ok(Some(layer)) => {
                        part.layers.insert(name, layer);
                        count += 1;
                    }
                    Err(error) => malformed.push(format!("{}:{name}: {error}", buildpack.id)),
                }
            }
        }
        parts.push(part);
    }
    if !malformed.is_empty() {
        return Err(format!(
            "the metadata of layers is not understood: {}",
            malformed.join("; ")
        ));
    }
    if count > MAX_LAYERS {
        return Err(format!(
            "the buildpacks made {count} layers; {MAX_LAYERS} are the most"
        ));
    }
    Ok(parts)
}

fn layer_names(folder: &Beneath) -> io::Result<Vec<String>> {
    let names = folder.names()?;
    let stems = names
        .iter()
        .filter_map(|name| name.to_str()?.strip_suffix(".toml"));
    Ok(stems
        .filter(|stem| !NO_LAYERS.contains(stem))
        .map(str::to_owned)
        .collect())
}

fn layer(folder: &Beneath, name: &str, api: Api, exec_env: &str) -> Result<Option<LayerPart>, String> {
    name.parse::<LayerName>().map_err(|error| error.to_string())?;
    let text = folder
        .text_if_there(Path::new(&format!("{name}.toml")), MAX_TOML)
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    let table: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    if ["launch", "build", "cache"]
        .iter()
        .any(|flag| table.contains_key(*flag))
    {
        return Err("launch, build and cache belong into its [types]".to_owned());
    }
    let toml: LayerToml = table
        .try_into()
        .map_err(|error: toml::de::Error| error.to_string())?;
    let types = toml.types.unwrap_or_default();
    if types.is_ignored() || (api >= WITH_EXEC_ENV && !is_for(&toml, exec_env)) {
        return Ok(None);
    }
    Ok(Some(LayerPart {
        types,
        metadata: to_json(toml::Value::Table(toml.metadata)),
        has_folder: folder.has_folder(OsStr::new(name)),
    }))
}

/// Whether a layer counts in an execution environment; the specification has the list in its metadata.
fn is_for(layer: &LayerToml, exec_env: &str) -> bool {
    let listed = layer.metadata.get("exec-env").and_then(toml::Value::as_array);
    let listed = listed.into_iter().flatten().filter_map(toml::Value::as_str);
    let mut all = layer.exec_env.iter().map(String::as_str).chain(listed).peekable();
    all.peek().is_none() || all.any(|one| one == "*" || one == exec_env)
}

fn store(folder: &Beneath) -> Result<Option<Value>, String> {
    let text = folder
        .text_if_there(Path::new("store.toml"), MAX_TOML)
        .map_err(|error| error.to_string())?;
    let Some(text) = text else { return Ok(None) };
    let mut table: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    let metadata = table
        .remove("metadata")
        .unwrap_or(toml::Value::Table(toml::Table::new()));
    Ok(Some(to_json(metadata)))
}

/// TOML's dates become texts, as JSON has none; numbers that JSON can't write become null.
pub(crate) fn to_json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(flag) => Value::Bool(flag),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(list) => list.into_iter().map(to_json).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key, to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// The way back; TOML has no null, so what is null is left out.
pub(crate) fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => toml::Value::Boolean(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(number) => toml::Value::Integer(number),
            None => toml::Value::Float(number.as_f64()?),
        },
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Array(list) => toml::Value::Array(list.iter().filter_map(to_toml).collect()),
        Value::Object(map) => {
            let entries = map
                .iter()
                .filter_map(|(key, value)| Some((key.clone(), to_toml(value)?)));
            toml::Value::Table(entries.collect())
        }
    })
}

fn named(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_goes_from_toml_to_json_and_back() {
        let text = "a = 1\nb = 1.5\nc = [true, 'x']\nd = 1979-05-27T07:32:00Z\n[e]\nf = {}\n";
        let json = to_json(toml::Value::Table(toml::from_str(text).unwrap()));
        assert_eq!(
            json.to_string(),
            r#"{"a":1,"b":1.5,"c":[true,"x"],"d":"1979-05-27T07:32:00Z","e":{"f":{}}}"#
        );
        let back = to_toml(&json).unwrap();
        assert_eq!(to_json(back), json);
        assert_eq!(
            to_toml(&serde_json::json!({"a": null, "b": [null, 1]}))
                .unwrap()
                .to_string(),
            "{ b = [1] }"
        );
    }

    #[test]
    fn a_layer_is_for_the_execution_environments_it_names() {
        let is_for = |text: &str| super::is_for(&toml::from_str(text).unwrap(), "production");
        assert!(is_for(""));
        assert!(is_for("[metadata]\nexec-env = ['test', 'production']"));
        assert!(is_for("[metadata]\nexec-env = ['*']"));
        assert!(!is_for("[metadata]\nexec-env = ['test']"));
        assert!(!is_for("exec-env = ['test']"));
    }
}

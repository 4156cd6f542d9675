//! `launch.toml`, which a buildpack writes, and `metadata.toml`, which gathers those of all for the launcher and the
//! export (buildpack.md, "launch.toml"; platform.md, "metadata.toml").

use crate::{
    api::Api,
    group::GroupElement,
    id::{BuildpackId, ProcessName},
};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// `launch.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct LaunchToml {
    /// Image labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Process types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// Parts of the app's folder that become layers of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
}

/// A text that is no launch.toml of its Buildpack API.
#[derive(Debug, Error)]
pub enum BadLaunchToml {
    /// Not TOML, or a field of another kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A list where the API has a text, or the reverse.
    #[error("the command of the process {name:?} must be {wanted} in Buildpack API {api}")]
    Command {
        /// The process type.
        name: String,
        /// What is wanted.
        wanted: &'static str,
        /// The buildpack's API.
        api: Api,
    },
    /// A key that the API no longer has.
    #[error("the process {name:?} has the key \"direct\", which Buildpack API {api} does not know")]
    Direct {
        /// The process type.
        name: String,
        /// The buildpack's API.
        api: Api,
    },
    /// More than one process is the default.
    #[error("the processes {first:?} and {second:?} are both the default; one buildpack may name one")]
    Defaults {
        /// The process type.
        first: String,
        /// The process type.
        second: String,
    },
}

impl LaunchToml {
    /// Reads a launch.toml as a buildpack of this API means it. A working directory that the API does not know is
    /// dropped; its process types come as the second value, to warn of.
    pub fn parse(api: Api, text: &str) -> Result<(Self, Vec<ProcessName>), BadLaunchToml> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Raw {
            processes: Vec<RawProcess>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct RawProcess {
            command: Option<toml::Value>,
            direct: Option<bool>,
        }
        let mut launch: Self = toml::from_str(text)?;
        let raw: Raw = toml::from_str(text)?;
        let mut without_dir = Vec::new();
        for (process, raw) in launch.processes.iter_mut().zip(raw.processes) {
            let name = || process.name.to_string();
            let is_list = raw.command.is_some_and(|it| it.is_array());
            if is_list != api.has_command_lists() {
                let wanted = if is_list { "one text" } else { "a list of texts" };
                return Err(BadLaunchToml::Command {
                    name: name(),
                    wanted,
                    api,
                });
            }
            if api.has_command_lists() {
                if raw.direct.is_some() {
                    return Err(BadLaunchToml::Direct { name: name(), api });
                }
                process.direct = true;
            }
            if !api.has_working_dir() && process.working_dir.take().is_some() {
                without_dir.push(process.name.clone());
            }
        }
        let mut defaults = launch
            .processes
            .iter()
            .filter(|it| it.default)
            .map(|it| it.name.to_string());
        if let (Some(first), Some(second)) = (defaults.next(), defaults.next()) {
            return Err(BadLaunchToml::Defaults { first, second });
        }
        Ok((launch, without_dir))
    }
}

/// An image label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Label {
    /// The name.
    pub key: String,
    /// The text.
    pub value: String,
}

/// Files of the app's folder, as patterns of Go's `filepath.Match`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Slice {
    /// The patterns, relative to the app's folder.
    #[serde(alias = "paths")]
    pub paths: Vec<String>,
}

/// A process type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// Its name.
    #[serde(rename = "type")]
    pub name: ProcessName,
    /// The program and the arguments that nobody replaces; one text in Buildpack APIs below 0.9.
    #[serde(deserialize_with = "text_or_list")]
    pub command: Vec<String>,
    /// The arguments that a person may replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Whether it runs without a shell. Buildpack API 0.9 and newer: always, whatever stands here.
    #[serde(default)]
    pub direct: bool,
    /// Whether it is the image's default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Where it starts; the app's folder if nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The execution environments it belongs to; empty: all (Buildpack API 0.12).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exec_env: Vec<String>,
    /// Whose it is; only in `metadata.toml`.
    #[serde(default, rename = "buildpack-id", skip_serializing_if = "Option::is_none")]
    pub buildpack_id: Option<BuildpackId>,
}

/// `<layers>/config/metadata.toml`: what the build left for the launcher and the export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct BuildMetadata {
    /// The group that built, with the API of each.
    pub buildpacks: Vec<GroupElement>,
    /// Image extensions that took part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<GroupElement>,
    /// Labels, the last of a name counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// All process types; a later buildpack's replaced an earlier one's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// Slices in group order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// The image's default process, if a buildpack named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buildpack_default_process_type: Option<ProcessName>,
}

fn text_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        List(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) => vec![text],
        Either::List(list) => list,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_text_in_old_apis_and_a_list_in_new_ones() {
        let read = |text: &str| toml::from_str::<LaunchToml>(text).unwrap().processes.remove(0);
        let old = read("[[processes]]\ntype = 'web'\ncommand = 'run me'\nargs = ['a']\ndirect = true\n");
        assert_eq!((old.command, old.direct), (vec!["run me".to_owned()], true));
        let new =
            read("[[processes]]\ntype = 'web'\ncommand = ['run', 'me']\nworking-dir = '/x'\nnew-field = 1\n");
        assert_eq!((new.command.len(), new.working_dir.as_deref()), (2, Some("/x")));
    }
}

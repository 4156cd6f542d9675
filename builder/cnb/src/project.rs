//! `project.toml` (extensions/project-descriptor.md): schema 0.2, in which all is under `io.buildpacks`, and the old
//! 0.1, in which it is under `build`.

use crate::{api::Api, id::BuildpackId};
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// What a project says of its build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Project {
    /// The builder image.
    pub builder: Option<String>,
    /// Which files of the source are built.
    pub files: Files,
    /// The buildpacks, instead of detection; empty: as detected.
    pub group: Vec<ProjectBuildpack>,
    /// Buildpacks before all others.
    pub pre: Vec<ProjectBuildpack>,
    /// Buildpacks after all others.
    pub post: Vec<ProjectBuildpack>,
    /// Variables of the build.
    pub env: BTreeMap<String, String>,
}

/// Which files of the source are built, as patterns of `.gitignore`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// All.
    #[default]
    All,
    /// These.
    Include(Vec<String>),
    /// All but these.
    Exclude(Vec<String>),
}

/// A buildpack that a project names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectBuildpack {
    /// Its ID, if the project says it.
    pub id: Option<BuildpackId>,
    /// Where it is.
    pub source: ProjectSource,
}

/// Where a project's buildpack is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectSource {
    /// Among those that are there, in this version or the only one.
    Known {
        /// The version.
        version: Option<String>,
    },
    /// At an address, or at a path in the project.
    Uri(String),
    /// In project.toml itself.
    Inline(InlineScript),
}

/// A buildpack whose bin/build stands in project.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineScript {
    /// The Buildpack API it speaks.
    pub api: Api,
    /// The shell that runs it.
    pub shell: String,
    /// Its text.
    pub script: String,
}

/// A text that is no project.toml.
#[derive(Debug, Error)]
pub enum ProjectError {
    /// Not TOML, or a field of another kind.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A schema that is not known.
    #[error("schema-version {0:?} is not known; 0.1 and 0.2 are")]
    Schema(String),
    /// Both lists of files.
    #[error("it has both include and exclude; one of them must go")]
    Both,
    /// More than one way to find a buildpack, or none.
    #[error("the buildpack {which} has {found}; it needs an id, or one of uri and script")]
    Buildpack {
        /// Its ID or its place.
        which: String,
        /// What it has.
        found: &'static str,
    },
    /// A shell that can't stand in a script's first line.
    #[error("the shell {0:?} of an inline buildpack must be an absolute path without line breaks")]
    Shell(String),
    /// A variable with a name that is none.
    #[error("{0:?} in build.env is no name of a variable")]
    Variable(String),
}

impl Project {
    /// Reads a project.toml of either schema.
    pub fn parse(text: &str) -> Result<Self, ProjectError> {
        let file: File = toml::from_str(text)?;
        let section = match file
            .own
            .map(|it| it.schema_version.unwrap_or_else(|| "0.2".to_owned()))
        {
            Some(version) if version == "0.2" => file.io.buildpacks,
            Some(version) if version != "0.1" => return Err(ProjectError::Schema(version)),
            // Some projects have the new tables and no `[_]`.
            _ if file.build == Section::default() => file.io.buildpacks,
            _ => file.build,
        };
        section.check()
    }
}

impl InlineScript {
    /// The files of the buildpack: path, whether it is a program, text. It takes part always.
    #[must_use]
    pub fn files(&self, id: &BuildpackId) -> [(&'static str, bool, String); 3] {
        let mut info = toml::Table::new();
        info.insert("id".to_owned(), id.as_str().into());
        info.insert("version".to_owned(), "0.0.0".into());
        let mut file = toml::Table::new();
        file.insert("api".to_owned(), self.api.to_string().into());
        file.insert("buildpack".to_owned(), info.into());
        [
            ("buildpack.toml", false, file.to_string()),
            ("bin/detect", true, "#!/bin/sh\nexit 0\n".to_owned()),
            (
                "bin/build",
                true,
                format!("#!{}\n\n{}\n", self.shell, self.script),
            ),
        ]
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    #[serde(rename = "_")]
    own: Option<Own>,
    io: Io,
    build: Section,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Own {
    schema_version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Io {
    buildpacks: Section,
}

/// `[io.buildpacks]` and the old `[build]`: the same fields but for the names of two.
#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Section {
    builder: Option<String>,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
    #[serde(alias = "buildpacks")]
    group: Vec<Buildpack>,
    pre: Ends,
    post: Ends,
    build: Env,
    env: Vec<Variable>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Ends {
    #[serde(alias = "buildpacks")]
    group: Vec<Buildpack>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Env {
    env: Vec<Variable>,
}

#[derive(Deserialize, PartialEq)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
struct Buildpack {
    id: Option<BuildpackId>,
    version: Option<String>,
    uri: Option<String>,
    script: Option<Script>,
}

#[derive(Deserialize, PartialEq)]
struct Script {
    api: Api,
    shell: Option<String>,
    inline: String,
}

impl Section {
    fn check(self) -> Result<Project, ProjectError> {
        let given = |list: Option<Vec<String>>| list.filter(|it| !it.is_empty());
        let files = match (given(self.include), given(self.exclude)) {
            (Some(_), Some(_)) => return Err(ProjectError::Both),
            (Some(include), None) => Files::Include(include),
            (None, Some(exclude)) => Files::Exclude(exclude),
            (None, None) => Files::All,
        };
        let mut env = BTreeMap::new();
        for variable in self.build.env.into_iter().chain(self.env) {
            let is_file_name = |c: char| !matches!(c, '=' | '/' | '\0');
            let name = &variable.name;
            if name.is_empty() || matches!(name.as_str(), "." | "..") || !name.chars().all(is_file_name) {
                return Err(ProjectError::Variable(variable.name));
            }
            env.insert(variable.name, variable.value);
        }
        let all = |list: Vec<Buildpack>| -> Result<Vec<ProjectBuildpack>, ProjectError> {
            list.into_iter()
                .enumerate()
                .map(|(at, it)| it.check(at))
                .collect()
        };
        Ok(Project {
            builder: self.builder.filter(|it| !it.is_empty()),
            files,
            group: all(self.group)?,
            pre: all(self.pre.group)?,
            post: all(self.post.group)?,
            env,
        })
    }
}

impl Buildpack {
    fn check(self, at: usize) -> Result<ProjectBuildpack, ProjectError> {
        let which = self
            .id
            .as_ref()
            .map_or_else(|| format!("number {}", at + 1), ToString::to_string);
        let wrong = |found| ProjectError::Buildpack { which, found };
        let version = self.version.filter(|it| !it.is_empty());
        let uri = self.uri.filter(|it| !it.is_empty());
        let source = match (version, uri, self.script) {
            (Some(_), Some(_), _) => return Err(wrong("both a version and a uri")),
            (_, Some(_), Some(_)) => return Err(wrong("both a uri and a script")),
            (_, Some(uri), None) => ProjectSource::Uri(uri),
            // An inline buildpack's version says nothing.
            (_, None, Some(script)) => ProjectSource::Inline(script.check()?),
            (_, None, None) if self.id.is_none() => return Err(wrong("neither")),
            (version, None, None) => ProjectSource::Known {
                version: version.filter(|it| it != "latest"),
            },
        };
        Ok(ProjectBuildpack { id: self.id, source })
    }
}

impl Script {
    fn check(self) -> Result<InlineScript, ProjectError> {
        let shell = self
            .shell
            .filter(|it| !it.is_empty())
            .unwrap_or_else(|| "/bin/sh".to_owned());
        if !shell.starts_with('/') || shell.chars().any(char::is_control) {
            return Err(ProjectError::Shell(shell));
        }
        Ok(InlineScript {
            api: self.api,
            shell,
            script: self.inline,
        })
    }
}

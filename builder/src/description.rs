//! What a source says of itself beside its Dockerfile: process types and the readiness check of `web`. Pure.

use crate::{BuildError, Built, image_config::Facts, source::Source};
use pvdify_cnb::{id::ProcessName, project::Project};
use pvdify_types::{ImageRef, ProcessType, Setup, app_json, app_json::AppJson, procfile};
use std::collections::BTreeMap;

/// What the source says about running it; read first, so that a mistake in it costs no build.
pub(crate) struct Description {
    processes: BTreeMap<ProcessType, String>,
    healthcheck_path: Option<String>,
    healthcheck_timeout: Option<u64>,
    has_procfile: bool,
    pub(crate) app_json: AppJson,
    pub(crate) setup: Setup,
    pub(crate) project: Project,
}

impl Description {
    pub(crate) fn read(source: &Source) -> Result<Self, BuildError> {
        let processes = match &source.procfile {
            None => own_command(),
            Some(bytes) => procfile::parse(bytes).map_err(BuildError::refused)?,
        };
        let app_json = match &source.app_json {
            None => AppJson::default(),
            Some(bytes) => app_json::parse(bytes).map_err(BuildError::refused)?,
        };
        let project = match &source.project_toml {
            None => Project::default(),
            Some(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| BuildError::refused("project.toml is no text"))
                .and_then(|text| {
                    Project::parse(text)
                        .map_err(|error| BuildError::refused(format!("project.toml: {error}")))
                })?,
        };
        let setup = Setup::of(&app_json).map_err(BuildError::Refused)?;
        let check = app_json.web_healthcheck();
        Ok(Self {
            processes,
            healthcheck_path: check.and_then(|check| check.path.clone()),
            healthcheck_timeout: check.and_then(|check| check.timeout),
            has_procfile: source.procfile.is_some(),
            app_json,
            setup,
            project,
        })
    }

    /// What the pusher is told of the process types of a Dockerfile's image, in Heroku's words.
    pub(crate) fn lines(&self) -> Vec<String> {
        let declared = if self.has_procfile {
            declared("Procfile", &self.processes)
        } else {
            "       No Procfile: the image's own command is the type web".to_owned()
        };
        told(declared, &self.processes)
    }

    /// The same of an image that buildpacks made.
    pub(crate) fn lines_of_launch(&self, processes: &BTreeMap<ProcessType, String>) -> Vec<String> {
        let own = self.processes.keys().filter(|_| self.has_procfile);
        let unread: Vec<&str> = own
            .filter(|name| !processes.contains_key(name))
            .map(ProcessType::as_str)
            .collect();
        let by = if self.has_procfile && unread.is_empty() {
            "Procfile"
        } else {
            "Buildpack"
        };
        let declared = match processes.is_empty() {
            true => "       No process types".to_owned(),
            false => declared(by, processes),
        };
        let mut lines = told(declared, processes);
        if !unread.is_empty() {
            lines.push(format!(
                " !     Not of the image, for no buildpack that built it read the Procfile: {}",
                unread.join(", ")
            ));
        }
        lines
    }

    /// Whether a process runs what the image says by itself.
    pub(crate) fn needs_own_command(&self) -> bool {
        self.processes.values().any(String::is_empty)
    }

    /// What the caller gets, with what only the image tells.
    pub(crate) fn with(self, image: ImageRef, facts: &Facts) -> Built {
        let processes = self.processes.clone();
        self.built(image, facts, processes, false)
    }

    /// The same of an image that buildpacks made.
    pub(crate) fn with_launch(
        self,
        image: ImageRef,
        facts: &Facts,
        processes: BTreeMap<ProcessType, String>,
    ) -> Built {
        self.built(image, facts, processes, true)
    }

    fn built(
        self,
        image: ImageRef,
        facts: &Facts,
        processes: BTreeMap<ProcessType, String>,
        launcher: bool,
    ) -> Built {
        Built {
            image,
            processes,
            launcher,
            exposed_port: facts.exposed_port,
            healthcheck_path: self.healthcheck_path,
            healthcheck_timeout: self.healthcheck_timeout,
            setup: self.setup,
        }
    }
}

/// The process types of an image that buildpacks made. One that can't be a process type of an app is no part of it.
pub(crate) fn of_launch(processes: &BTreeMap<ProcessName, String>) -> BTreeMap<ProcessType, String> {
    let known =
        |(name, command): (&ProcessName, &String)| Some((name.as_str().parse().ok()?, command.clone()));
    processes.iter().filter_map(known).collect()
}

fn declared(by: &str, processes: &BTreeMap<ProcessType, String>) -> String {
    let types: Vec<&str> = processes.keys().map(ProcessType::as_str).collect();
    format!("       {by} declares types -> {}", types.join(", "))
}

fn told(declared: String, processes: &BTreeMap<ProcessType, String>) -> Vec<String> {
    let mut lines = vec!["-----> Discovering process types".to_owned(), declared];
    if !processes.contains_key(&ProcessType::web()) {
        lines.push(" !     No web type: this app answers no HTTP requests".to_owned());
    }
    lines
}

/// `web`, run by the command that is in the image.
fn own_command() -> BTreeMap<ProcessType, String> {
    BTreeMap::from([(ProcessType::web(), String::new())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(procfile: Option<&str>) -> String {
        let source = Source {
            procfile: procfile.map(|text| text.as_bytes().to_vec()),
            ..Source::default()
        };
        Description::read(&source).map_or_else(|error| error.to_string(), |read| read.lines().join("\n"))
    }

    #[test]
    fn what_no_buildpack_read_of_a_procfile_is_said() {
        let source = Source {
            procfile: Some(b"web: a\nworker: b\n".to_vec()),
            ..Source::default()
        };
        let description = Description::read(&source).unwrap();
        let mut of_image = BTreeMap::from([(ProcessType::web(), "x".to_owned())]);
        insta::assert_snapshot!(description.lines_of_launch(&of_image).join("\n"), @r"
        -----> Discovering process types
               Buildpack declares types -> web
         !     Not of the image, for no buildpack that built it read the Procfile: worker
        ");
        of_image.insert("worker".parse().unwrap(), "b".to_owned());
        insta::assert_snapshot!(description.lines_of_launch(&of_image).join("\n"), @r"
        -----> Discovering process types
               Procfile declares types -> web, worker
        ");
    }

    #[test]
    fn the_process_types_are_told_and_a_missing_web_is_said() {
        insta::assert_snapshot!(read(None), @r"
        -----> Discovering process types
               No Procfile: the image's own command is the type web
        ");
        insta::assert_snapshot!(read(Some("web: a\nworker: b")), @r"
        -----> Discovering process types
               Procfile declares types -> web, worker
        ");
        insta::assert_snapshot!(read(Some("worker: b\nrelease: c")), @r"
        -----> Discovering process types
               Procfile declares types -> release, worker
         !     No web type: this app answers no HTTP requests
        ");
        insta::assert_snapshot!(read(Some("web")), @r#"Procfile line 1: no colon; a line reads "type: command""#);
    }
}

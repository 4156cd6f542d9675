//! What a source says of itself beside its Dockerfile: process types and the readiness check of `web`. Pure.

use crate::{BuildError, Built, image_config::Facts, source::Source};
use pvdify_types::{ImageRef, ProcessType, app_json, procfile};
use std::collections::BTreeMap;

/// What the source says about running it; read first, so that a mistake in it costs no build.
pub(crate) struct Description {
    processes: BTreeMap<ProcessType, String>,
    healthcheck_path: Option<String>,
    healthcheck_timeout: Option<u64>,
    has_procfile: bool,
}

impl Description {
    pub(crate) fn read(source: &Source) -> Result<Self, BuildError> {
        let processes = match &source.procfile {
            None => own_command(),
            Some(bytes) => procfile::parse(bytes).map_err(BuildError::refused)?,
        };
        let app_json = match &source.app_json {
            None => app_json::AppJson::default(),
            Some(bytes) => app_json::parse(bytes).map_err(BuildError::refused)?,
        };
        let check = app_json.web_healthcheck();
        Ok(Self {
            processes,
            healthcheck_path: check.and_then(|check| check.path.clone()),
            healthcheck_timeout: check.and_then(|check| check.timeout),
            has_procfile: source.procfile.is_some(),
        })
    }

    /// What the pusher is told of the process types, in Heroku's words.
    pub(crate) fn lines(&self) -> Vec<String> {
        let types: Vec<&str> = self.processes.keys().map(ProcessType::as_str).collect();
        let declared = if self.has_procfile {
            format!("       Procfile declares types -> {}", types.join(", "))
        } else {
            "       No Procfile: the image's own command is the type web".to_owned()
        };
        let mut lines = vec!["-----> Discovering process types".to_owned(), declared];
        if self.processes.keys().any(ProcessType::is_release_phase) {
            lines.push(" !     The release command is not run by this version of Pvdify".to_owned());
        }
        if !self.processes.contains_key(&ProcessType::web()) {
            lines.push(" !     No web type: this app answers no HTTP requests".to_owned());
        }
        lines
    }

    /// Whether a process runs what the image says by itself.
    pub(crate) fn needs_own_command(&self) -> bool {
        self.processes.values().any(String::is_empty)
    }

    /// What the caller gets, with what only the image tells.
    pub(crate) fn with(self, image: ImageRef, facts: &Facts) -> Built {
        Built {
            image,
            processes: self.processes,
            exposed_port: facts.exposed_port,
            healthcheck_path: self.healthcheck_path,
            healthcheck_timeout: self.healthcheck_timeout,
        }
    }
}

/// `web`, run by the command that is in the image.
fn own_command() -> BTreeMap<ProcessType, String> {
    BTreeMap::from([(ProcessType::web(), String::new())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(procfile: Option<&str>) -> String {
        let source = Source {
            procfile: procfile.map(|text| text.as_bytes().to_vec()),
            ..Source::default()
        };
        Description::read(&source).map_or_else(|error| error.to_string(), |read| read.lines().join("\n"))
    }

    #[test]
    fn the_process_types_are_told_and_a_missing_web_is_said() {
        insta::assert_snapshot!(told(None), @r"
        -----> Discovering process types
               No Procfile: the image's own command is the type web
        ");
        insta::assert_snapshot!(told(Some("web: a\nworker: b")), @r"
        -----> Discovering process types
               Procfile declares types -> web, worker
        ");
        insta::assert_snapshot!(told(Some("worker: b\nrelease: c")), @r"
        -----> Discovering process types
               Procfile declares types -> release, worker
         !     The release command is not run by this version of Pvdify
         !     No web type: this app answers no HTTP requests
        ");
        insta::assert_snapshot!(told(Some("web")), @r#"Procfile line 1: no colon; a line reads "type: command""#);
    }
}

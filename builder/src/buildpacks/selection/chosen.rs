//! One group after the other: each buildpack that was named, found by its name.

use super::{Came, ours::Found};
use crate::{BuildError, buildpacks::owned::write_new};
use pvdify_cnb::{
    group::OrderElement,
    id::{BuildpackId, BuildpackVersion},
    project::{InlineScript, ProjectBuildpack, ProjectSource},
};
use pvdify_types::{BuildpackKind, BuildpackName};
use std::{fs, path::Path};

/// Ours that reads Procfiles.
const PROCFILE: &str = "pvdify/procfile";

/// The work of one selection.
pub(super) struct Chosen<'a> {
    pub(super) ours: &'a [Found],
    pub(super) came: &'a Came,
    pub(super) own: &'a Path,
    pub(super) inline: usize,
}

impl Chosen<'_> {
    pub(super) fn all(&mut self, buildpacks: &[ProjectBuildpack]) -> Result<Vec<OrderElement>, BuildError> {
        let named = buildpacks.iter().map(|one| self.of_project(one));
        Ok(named
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect())
    }

    /// Nothing for a source of image extensions alone.
    fn of_project(&mut self, buildpack: &ProjectBuildpack) -> Result<Option<OrderElement>, BuildError> {
        match (&buildpack.source, &buildpack.id) {
            (ProjectSource::Known { version }, Some(id)) => {
                let name = match version {
                    Some(version) => format!("{id}@{version}"),
                    None => id.to_string(),
                };
                self.named(&name.parse().map_err(BuildError::refused)?)
            }
            (ProjectSource::Known { .. }, None) => Err(BuildError::refused(
                "project.toml names a buildpack without an id",
            )),
            (ProjectSource::Uri(uri), _) if self.came.contains_key(uri) => Ok(self.came[uri].element.clone()),
            (ProjectSource::Uri(uri), _) => self.named(&uri.parse().map_err(|error| {
                BuildError::Refused(format!("project.toml: the buildpack {uri}: {error}"))
            })?),
            (ProjectSource::Inline(script), id) => self.inline(script, id.as_ref()).map(Some),
        }
    }

    /// As [`Chosen::of_project`].
    pub(super) fn named(&mut self, name: &BuildpackName) -> Result<Option<OrderElement>, BuildError> {
        if let Some(one) = self.came.get(name.as_str()) {
            return Ok(one.element.clone());
        }
        let BuildpackKind::Id { id, version } = name.kind() else {
            return Err(BuildError::Refused(format!(
                "the buildpack {name} is not on this server; there are: {}",
                self.listed()
            )));
        };
        let fits = |one: &&Found| {
            one.descriptor.id.as_str() == id
                && version
                    .as_ref()
                    .is_none_or(|version| one.descriptor.version.as_str() == version)
        };
        let Some(one) = self.ours.iter().find(fits) else {
            return Err(BuildError::Refused(format!(
                "the buildpack {name} is not on this server; there are: {}",
                self.listed()
            )));
        };
        let element = element(one.descriptor.id.clone(), one.descriptor.version.clone());
        Ok(Some(element))
    }

    fn inline(
        &mut self,
        script: &InlineScript,
        id: Option<&BuildpackId>,
    ) -> Result<OrderElement, BuildError> {
        self.inline += 1;
        let id = match id {
            Some(id) => id.clone(),
            None => format!("project/inline-{}", self.inline)
                .parse()
                .map_err(BuildError::refused)?,
        };
        let version: BuildpackVersion = "0.0.0".parse().map_err(BuildError::unavailable)?;
        let folder = self.own.join(id.folder()).join(version.as_str());
        let write = || {
            fs::create_dir_all(folder.join("bin"))?;
            for (name, is_program, text) in script.files(&id) {
                write_new(
                    &folder.join(name),
                    text.as_bytes(),
                    if is_program { 0o755 } else { 0o644 },
                )?;
            }
            Ok(())
        };
        write().map_err(BuildError::disk)?;
        Ok(element(id, version))
    }

    /// Ours for Procfiles, unless it is there already.
    pub(super) fn procfile(&self, group: &[OrderElement]) -> Option<OrderElement> {
        let one = self
            .ours
            .iter()
            .find(|one| one.descriptor.id.as_str() == PROCFILE)?;
        let is_there = group.iter().any(|element| element.id == one.descriptor.id);
        (!is_there).then(|| OrderElement {
            optional: true,
            ..element(one.descriptor.id.clone(), one.descriptor.version.clone())
        })
    }

    fn listed(&self) -> String {
        let ids: Vec<&str> = self.ours.iter().map(|one| one.descriptor.id.as_str()).collect();
        ids.join(", ")
    }
}

fn element(id: BuildpackId, version: BuildpackVersion) -> OrderElement {
    OrderElement {
        id,
        version: Some(version),
        optional: false,
        exec_env: Vec::new(),
    }
}

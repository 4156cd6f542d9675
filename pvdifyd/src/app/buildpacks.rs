//! The buildpacks that an app was given; its next build uses them.

use super::{
    Acting, Action,
    authorise::{known_app, living_app},
    error::{Error, Result},
};
use crate::store::buildpacks;
use pvdify_api::buildpacks as wire;
use pvdify_types::{AppName, BuildpackKind, BuildpackName, buildpack::MAX_BUILDPACKS};

impl Acting {
    /// All of an app's, in the order they run.
    ///
    /// # Errors
    /// When refused or unknown.
    pub async fn buildpacks(&self, name: &AppName) -> Result<wire::Buildpacks> {
        self.may(Action::ReadBuildpacks)?;
        let name = name.clone();
        let listed = self.app.store().read(move |reader| {
            let app = known_app(reader, &name)?;
            Ok::<_, Error>(buildpacks::list(reader, &app.id)?)
        });
        Ok(wire::Buildpacks {
            buildpacks: listed.await?,
        })
    }

    /// Puts these in place of all before.
    ///
    /// # Errors
    /// When refused, unknown, no buildpack's name, named twice, or too many.
    pub async fn set_buildpacks(&self, name: &AppName, typed: &[String]) -> Result<wire::Buildpacks> {
        self.may(Action::ChangeBuildpacks)?;
        let wanted = parse(typed)?;
        let is_folder = |one: &BuildpackName| matches!(one.kind(), BuildpackKind::Folder { .. });
        if wanted.iter().any(is_folder) {
            self.may(Action::UseServerFolders)?;
        }
        let (name, new) = (name.clone(), wanted.clone());
        self.app
            .store()
            .write(move |tx| {
                let app = living_app(tx, &name)?;
                Ok::<_, Error>(buildpacks::replace(tx, &app.id, &new)?)
            })
            .await?;
        Ok(wire::Buildpacks { buildpacks: wanted })
    }
}

fn parse(typed: &[String]) -> Result<Vec<BuildpackName>> {
    if typed.len() > MAX_BUILDPACKS {
        return Err(Error::Invalid(format!(
            "an app has at most {MAX_BUILDPACKS} buildpacks"
        )));
    }
    let mut names: Vec<BuildpackName> = Vec::new();
    for text in typed {
        let name = text.parse::<BuildpackName>().map_err(Error::invalid)?;
        if names.contains(&name) {
            return Err(Error::Invalid(format!("the buildpack {name} is named twice")));
        }
        names.push(name);
    }
    Ok(names)
}

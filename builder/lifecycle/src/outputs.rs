//! What one bin/build left in its folder: layers, SBOM files, launch.toml, build.toml.

use crate::files;
use pvdify_cnb::{
    descriptor::Descriptor,
    env::{Env, Phase},
    exec_env,
    id::{LayerName, ProcessName},
    launch::LaunchToml,
    layer::LayerToml,
    plan::{BuildToml, BuildpackPlan},
    sbom::{self, Format, Owner},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What one bin/build left.
pub(crate) struct Outputs<'a> {
    descriptor: &'a Descriptor,
    folder: &'a Path,
    layers: BTreeMap<LayerName, LayerToml>,
    sboms: Vec<Sbom>,
    pub(crate) launch: LaunchToml,
    pub(crate) build: BuildToml,
    /// Processes whose working directory its API does not know.
    pub(crate) without_working_dir: Vec<ProcessName>,
}

struct Sbom {
    path: PathBuf,
    /// Nothing: of the launch or the build as a whole.
    layer: Option<LayerName>,
    is_launch: bool,
    format: Format,
}

impl<'a> Outputs<'a> {
    /// Reads all of it and checks what can be wrong.
    pub(crate) fn read(
        descriptor: &'a Descriptor,
        folder: &'a Path,
        given: &BuildpackPlan,
    ) -> Result<Self, String> {
        let names = files::names(folder)?;
        let mut layers = BTreeMap::new();
        for name in names.iter().filter_map(|it| files::layer_of_toml(it)) {
            let path = folder.join(format!("{name}.toml"));
            let text = files::text(&path)?.unwrap_or_default();
            let toml = LayerToml::parse(&text)
                .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
            layers.insert(name, toml);
        }
        let build_path = folder.join("build.toml");
        let build: BuildToml = files::toml(&build_path)?.unwrap_or_default();
        if let Some(name) = build.unknown(given) {
            let path = build_path.display();
            return Err(format!("{path} leaves {name:?} unmet, which nobody asked it for"));
        }
        let launch_path = folder.join("launch.toml");
        let launch = files::text(&launch_path)?.unwrap_or_default();
        let (launch, without_working_dir) = LaunchToml::parse(descriptor.api, &launch)
            .map_err(|error| format!("{} can't be read: {error}", launch_path.display()))?;
        let mut outputs = Self {
            descriptor,
            folder,
            layers,
            sboms: Vec::new(),
            launch,
            build,
            without_working_dir,
        };
        for name in names.iter().filter_map(|it| it.to_str()) {
            outputs.sboms.extend(outputs.sbom(name)?);
        }
        Ok(outputs)
    }

    /// The SBOM file of this name, if it is one and of something.
    fn sbom(&self, name: &str) -> Result<Option<Sbom>, String> {
        let Some((owner, format)) = sbom::parse(name) else {
            return Ok(None);
        };
        let path = self.folder.join(name);
        let (layer, is_launch) = match owner {
            Owner::Launch => (None, true),
            Owner::Build => (None, false),
            Owner::Layer(layer) => match self.layers.iter().find(|(it, _)| it.as_str() == layer) {
                Some((layer, toml)) => (Some(layer.clone()), toml.flags().launch),
                None => return Ok(None),
            },
        };
        let shown = path.display();
        let format = format.ok_or_else(|| format!("{shown} is an SBOM of a format that is not known"))?;
        let media_type = format.media_type();
        if !self.descriptor.declares_sbom(media_type) {
            return Err(format!(
                "{shown} is of the type {media_type}, which its buildpack.toml does not list"
            ));
        }
        Ok(Some(Sbom {
            path,
            layer,
            is_launch,
            format,
        }))
    }

    /// Renames the folders of layers that are for nothing, so that no later buildpack comes to need them.
    pub(crate) fn put_ignored_away(&self) -> Result<(), String> {
        for (name, _) in self.layers.iter().filter(|(_, toml)| toml.flags().is_ignored()) {
            let path = self.folder.join(name.as_str());
            let away = self.folder.join(format!("{name}.ignore"));
            let renamed = files::remove_tree(&away).and_then(|()| match fs::rename(&path, &away) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                renamed => renamed,
            });
            renamed.map_err(|error| format!("{} can't be renamed: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Copies the SBOM files to `<layers>/sbom/{launch,build}/<buildpack>/[<layer>/]`.
    pub(crate) fn copy_sboms(&self, to: &Path) -> Result<(), String> {
        for it in &self.sboms {
            let folder = to
                .join(if it.is_launch { "launch" } else { "build" })
                .join(self.descriptor.id.folder());
            let folder = it
                .layer
                .as_ref()
                .map_or(folder.clone(), |layer| folder.join(layer.as_str()));
            let copy = || {
                fs::create_dir_all(&folder)?;
                let mut copy = fs::File::create(folder.join(it.format.file_name()))?;
                io::copy(&mut files::open(&it.path, false)?, &mut copy)
            };
            copy().map_err(|error| format!("{} can't be copied: {error}", it.path.display()))?;
        }
        Ok(())
    }

    /// Adds the build layers to the environment of the buildpacks after this one.
    pub(crate) fn apply(&self, env: &mut Env, current: Option<&str>) -> Result<(), String> {
        let counts = |toml: &LayerToml| {
            let has = self.descriptor.api.has_exec_env();
            toml.flags().build && current.is_none_or(|it| !has || exec_env::applies(&toml.exec_envs(), it))
        };
        for (name, _) in self.layers.iter().filter(|(_, toml)| counts(toml)) {
            let layer = self.folder.join(name.as_str());
            env.apply_layer_root(Phase::Build, &layer, Path::exists);
            env.apply_env_dir(files::env_dir(&layer.join("env"))?);
            env.apply_env_dir(files::env_dir(&layer.join("env.build"))?);
        }
        Ok(())
    }
}

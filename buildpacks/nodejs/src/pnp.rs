//! Yarn's Plug'n'Play: packages stay in their archives, and `.pnp.cjs` tells Node.js where each is.
//!
//! With a committed cache ("zero install") all is in the source. Otherwise the archives, and what has to be
//! unpacked, are in a layer of the image, to which `.pnp.cjs` refers by its place.

use crate::{
    install::{self, Wanted},
    key, modules, problems,
    project::Project,
    steps,
};
use buildpack_support::{
    Failure, Result, files,
    layer::{self, Spec},
    output,
};
use libcnb::{build::BuildContext, data::layer_name, layer_env::LayerEnv};
use std::{fs, path::Path};

type Context = BuildContext<crate::NodejsBuildpack>;

const LOADERS: [&str; 3] = [".pnp.cjs", ".pnp.js", ".pnp.loader.mjs"];

/// Installs, builds and prunes.
pub(crate) fn prepare(context: &Context, project: &mut Project) -> Result<()> {
    steps::before_install(project)?;
    if install::has_own_cache(&project.app) {
        let step =
            output::step("Installing dependencies with Yarn (from the cache that is part of the source)");
        modules::run_install(project, Wanted::Everything)?;
        step.done();
        build(context, project)?;
        return steps::cleanup(project);
    }
    let step = output::step("Installing dependencies with Yarn (Plug'n'Play)");
    let spec = Spec {
        name: layer_name!("pnp"),
        title: "Packages",
        build: true,
        launch: project.launch,
        key: key::of(project)?,
    };
    let has_scripts = steps::has_scripts(project)?;
    let layer = layer::keyed(context, &spec, |path| {
        use_folders(project, path);
        let wanted = if has_scripts {
            Wanted::Everything
        } else {
            Wanted::Production
        };
        modules::run_install(project, wanted)?;
        save_loaders(&project.app, path)?;
        Ok(LayerEnv::new())
    })?;
    use_folders(project, &layer.path);
    if layer.reused && !has_scripts {
        restore_loaders(&layer.path, &project.app)?;
    } else if layer.reused {
        // Dev dependencies were pruned from the layer: they come back from Yarn's own cache.
        modules::run_install(project, Wanted::Everything)?;
    }
    step.done();
    if has_scripts {
        build(context, project)?;
        prune(project)?;
        save_loaders(&project.app, &layer.path)?;
    }
    steps::cleanup(project)
}

fn build(context: &Context, project: &Project) -> Result<()> {
    steps::restore_caches(context, project)?;
    steps::build(project)?;
    steps::keep_caches(context, project)
}

fn use_folders(project: &mut Project, layer: &Path) {
    let env = &mut project.env;
    env.insert("YARN_ENABLE_GLOBAL_CACHE", "false");
    env.insert("YARN_CACHE_FOLDER", layer.join("cache"));
    env.insert("YARN_PNP_UNPLUGGED_FOLDER", layer.join("unplugged"));
}

fn prune(project: &Project) -> Result<()> {
    if !project.package_json.has_any(&["devDependencies"]) || project.is_helper {
        return Ok(());
    }
    let Some(command) = install::prune(project)? else {
        output::detail("Dev dependencies stay: this Yarn has no `workspaces focus`");
        return Ok(());
    };
    let step = output::step("Removing dev dependencies");
    output::detail(format!("$ {}", command.shown()));
    command
        .quiet()
        .run()
        .map_err(|error| problems::install(error, project))?;
    step.done();
    Ok(())
}

fn save_loaders(app: &Path, layer: &Path) -> Result<()> {
    for name in LOADERS {
        let new = fs::read(app.join(name)).unwrap_or_default();
        let place = layer.join("loaders").join(name);
        // Written only if it changed: an unchanged layer is not packed again.
        if !new.is_empty() && fs::read(&place).ok().as_ref() != Some(&new) {
            files::write(&place, new)?;
        }
    }
    Ok(())
}

fn restore_loaders(layer: &Path, app: &Path) -> Result<()> {
    for name in LOADERS {
        let from = layer.join("loaders").join(name);
        if from.is_file() {
            let place = app.join(name);
            fs::copy(&from, &place).map_err(|error| Failure::io("write", &place, &error))?;
        }
    }
    Ok(())
}

//! Dependencies in `node_modules`: installed once per key, restored, built with, pruned, linked.
//!
//! Two layers. `modules` is the image's: production dependencies, with what the build made in them (a database
//! client, say). `modules-all` is for builds only: all dependencies as installed, from which the next build's
//! `node_modules` is copied. When nothing asks for dev dependencies (no scripts to run) there is only the
//! first, and a rebuild without a change copies nothing at all. tree.rs says why copies and links.

use crate::{
    addition,
    install::{self, Wanted},
    key, problems,
    project::Project,
    start, steps,
    tree::{self, Links},
};
use buildpack_support::{
    Failure, Result, env, files,
    layer::{self, Spec},
    output,
};
use libcnb::{build::BuildContext, data::layer_name, layer_env::LayerEnv};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

type Context = BuildContext<crate::NodejsBuildpack>;

#[derive(Serialize, Deserialize, PartialEq, Clone)]
struct Key {
    install: String,
    pruned: bool,
}

/// Installs, builds, prunes and links.
pub(crate) fn prepare(context: &Context, project: &Project) -> Result<()> {
    for folder in tree::module_folders(&project.app) {
        if folder == Path::new("node_modules") {
            output::warning(
                "node_modules is part of the source: it is not used, packages are installed anew.\n\
                 Remove it: `git rm -r --cached node_modules`, and add it to .gitignore.",
            );
        }
        files::remove(&project.app.join(folder))?;
    }
    // A server.js alone: npm would refuse to install nothing.
    if !files::exists(&project.app, "package.json") {
        output::detail("No package.json: nothing to install");
        return Ok(());
    }
    steps::before_install(project)?;
    if steps::has_scripts(project)? {
        with_scripts(context, project)
    } else {
        without_scripts(context, project)
    }
}

// Nothing runs but the packages' own install scripts: production dependencies will do.
fn without_scripts(context: &Context, project: &Project) -> Result<()> {
    let step = output::step(format!("Installing dependencies with {}", project.manager.kind));
    let key = Key {
        install: key::of(project)?,
        pruned: true,
    };
    let spec = Spec {
        name: layer_name!("modules"),
        title: "Production dependencies",
        build: true,
        launch: project.launch,
        key,
    };
    let modules = layer::keyed(context, &spec, |layer| {
        run_install(project, Wanted::Production)?;
        let folders = tree::module_folders(&project.app);
        tree::copy(
            &project.app,
            &layer.join("tree"),
            &folders,
            Links::IntoApp(&project.app),
        )?;
        Ok(LayerEnv::new())
    })?;
    tree::link(
        &project.app,
        &tree::module_folders(&project.app),
        &modules.path.join("tree"),
    )?;
    step.done();
    Ok(())
}

fn with_scripts(context: &Context, project: &Project) -> Result<()> {
    let app = &project.app;
    let step = output::step(format!("Installing dependencies with {}", project.manager.kind));
    let install = key::of(project)?;
    let spec = Spec {
        name: layer_name!("modules-all"),
        title: "All dependencies",
        build: false,
        launch: false,
        key: install.clone(),
    };
    let all = layer::keyed(context, &spec, |layer| {
        run_install(project, Wanted::Everything)?;
        tree::copy(app, &layer.join("tree"), &tree::module_folders(app), Links::Keep)?;
        Ok(LayerEnv::new())
    })?;
    let full = all.path.join("tree");
    let folders = tree::module_folders(&full);
    if all.reused {
        tree::copy(&full, app, &folders, Links::Keep)?;
        steps::lifecycle(project)?;
    }
    step.done();

    steps::restore_caches(context, project)?;
    let adapter = addition::adapter(context, project)?;
    steps::build(project)?;
    drop(adapter);
    steps::keep_caches(context, project)?;
    if !project.launch && !project.is_helper {
        // What the build made is all that the image gets.
        for folder in &folders {
            files::remove(&app.join(folder))?;
        }
        return steps::cleanup(project);
    }
    let made = tree::difference(app, &full, &folders)?;
    forget_stale(context, &all.path, &made)?;

    let step = output::step("Preparing the image's dependencies");
    let key = Key {
        install,
        pruned: wants_pruning(project)?,
    };
    let prunes = key.pruned;
    let spec = Spec {
        name: layer_name!("modules"),
        title: "Dependencies",
        build: true,
        launch: project.launch,
        key,
    };
    // Pruning may remove what the build made: packages can't know of it.
    let stash = tempfile::tempdir()
        .map_err(|error| Failure::io("make a folder in", &std::env::temp_dir(), &error))?;
    stash_files(&made, app, stash.path())?;
    let modules = layer::keyed(context, &spec, |layer| {
        if prunes {
            prune(project, &full, &folders)?;
        }
        tree::copy(
            app,
            &layer.join("tree"),
            &folders_in(app, &folders),
            Links::IntoApp(app),
        )?;
        Ok(LayerEnv::new())
    })?;
    let image = modules.path.join("tree");
    let written = tree::apply(&made, (stash.path(), &full, &image), &folders, app)?;
    if modules.reused && written > 0 {
        output::detail(format!(
            "Brought in {} that the build made there",
            output::count(written, "file")
        ));
    }
    tree::link(app, &folders, &image)?;
    step.done();
    steps::cleanup(project)
}

/// Runs the package manager.
pub(crate) fn run_install(project: &Project, wanted: Wanted) -> Result<()> {
    let command = install::install(project, wanted);
    output::detail(format!("$ {}", command.shown()));
    command.run().map_err(|error| problems::install(error, project))
}

fn wants_pruning(project: &Project) -> Result<bool> {
    let off = ["NPM_CONFIG_PRODUCTION", "YARN_PRODUCTION"]
        .iter()
        .any(|name| env::is_off(&project.env, name));
    let skip = [
        "PNPM_SKIP_PRUNING",
        "YARN2_SKIP_PRUNING",
        "PVDIFY_NODE_SKIP_PRUNING",
    ]
    .iter()
    .any(|name| env::is_on(&project.env, name));
    // The language that comes after runs the front end's tools itself.
    if off || skip || project.is_helper {
        return Ok(false);
    }
    let has_dev = project.package_json.has_any(&["devDependencies"])
        || key::members(project)?
            .iter()
            .any(|member| member.json.has_any(&["devDependencies"]));
    Ok(has_dev)
}

// Removes dev dependencies from the app's folder, unless a process of the image runs one of them.
fn prune(project: &Project, full: &Path, folders: &[PathBuf]) -> Result<()> {
    let Some(command) = install::prune(project)? else {
        output::detail(format!(
            "Dev dependencies stay: {} {} can't remove them here",
            project.manager.kind, project.manager_version
        ));
        return Ok(());
    };
    output::detail(format!("$ {}", command.shown()));
    let pruned = command.quiet().run();
    let problem = match &pruned {
        Err(error) => Some(format!("{error} Dev dependencies stay in the image.")),
        Ok(()) => start::missing(project, full).map(|(package, role)| {
            format!(
                "`{package}`, which {role}, is a dev dependency: all of them stay in the image.\n\
                 Move it to dependencies in package.json to make the image smaller."
            )
        }),
    };
    let Some(problem) = problem else {
        return Ok(());
    };
    output::warning(problem);
    for folder in folders {
        files::remove(&project.app.join(folder))?;
    }
    tree::copy(full, &project.app, folders, Links::Keep)
}

fn folders_in(app: &Path, folders: &[PathBuf]) -> Vec<PathBuf> {
    folders
        .iter()
        .filter(|folder| app.join(folder).is_dir())
        .cloned()
        .collect()
}

fn stash_files(made: &BTreeSet<PathBuf>, app: &Path, stash: &Path) -> Result<()> {
    for path in made {
        tree::copy_one(app, stash, path)?;
    }
    Ok(())
}

// What an earlier build made in the image's dependencies and this one did not: then they are put together anew.
fn forget_stale(context: &Context, all: &Path, made: &BTreeSet<PathBuf>) -> Result<()> {
    let list: String = made.iter().map(|path| format!("{}\n", path.display())).collect();
    let before = files::read(all, "made")?.unwrap_or_default();
    if before.lines().any(|path| !made.contains(Path::new(path))) {
        files::remove(&context.layers_dir.join("modules"))?;
        files::remove(&context.layers_dir.join("modules.toml"))?;
    }
    files::write(&all.join("made"), list)
}

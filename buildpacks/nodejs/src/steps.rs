//! The scripts of package.json that a build runs, in Heroku's order: `heroku-prebuild`, the install with its
//! own scripts, `heroku-postbuild` or else `build`, `heroku-cleanup`. And the caches that bundlers keep.

use crate::{key, problems, project::Project, tree};
use buildpack_support::{Result, env, files, layer, output};
use libcnb::{build::BuildContext, data::layer_name};
use std::path::{Path, PathBuf};

type Context = BuildContext<crate::NodejsBuildpack>;

fn run(project: &Project, name: &str) -> Result<()> {
    let step = output::step(format!("Running the script `{name}`"));
    let text = project.package_json.script(name).unwrap_or_default();
    output::detail(format!("$ {text}"));
    project
        .run_script(name)
        .run()
        .map_err(|error| problems::script(&error, name, project))?;
    step.done();
    Ok(())
}

/// Whether anything of the app's own runs in the build, and may need dev dependencies.
pub(crate) fn has_scripts(project: &Project) -> Result<bool> {
    let is_own = |name: &str| project.package_json.script(name).is_some();
    Ok(build_script(project).is_some()
        || members_build(project).is_some()
        || is_own("heroku-cleanup")
        || !project.package_json.lifecycle().is_empty()
        || key::members(project)?.iter().any(|member| !member.json.lifecycle().is_empty())
        // A framework's own commands may run from another script, and Rails' from Ruby.
        || project.is_helper)
}

fn build_script(project: &Project) -> Option<&'static str> {
    if env::is_on(&project.env, "PVDIFY_NODE_SKIP_BUILD") {
        return None;
    }
    ["heroku-postbuild", "build"]
        .into_iter()
        .find(|name| project.package_json.script(name).is_some())
}

// The package that is started builds itself where the root does not build all.
fn members_build(project: &Project) -> Option<Project> {
    let started = project.started();
    (project.member.is_some() && build_script(project).is_none() && build_script(&started).is_some())
        .then_some(started)
}

/// `heroku-prebuild`.
pub(crate) fn before_install(project: &Project) -> Result<()> {
    match project.package_json.script("heroku-prebuild") {
        Some(_) => run(project, "heroku-prebuild"),
        None => Ok(()),
    }
}

/// The scripts that an install would run, when dependencies were restored instead: the app's files changed.
pub(crate) fn lifecycle(project: &Project) -> Result<()> {
    for name in project.package_json.lifecycle() {
        run(project, name)?;
    }
    Ok(())
}

/// `heroku-postbuild`, or `build`.
pub(crate) fn build(project: &Project) -> Result<()> {
    let member = members_build(project);
    let project = member.as_ref().unwrap_or(project);
    match build_script(project) {
        Some(name) => run(project, name),
        None => Ok(()),
    }
}

/// `heroku-cleanup`.
pub(crate) fn cleanup(project: &Project) -> Result<()> {
    match project.package_json.script("heroku-cleanup") {
        Some(_) => run(project, "heroku-cleanup"),
        None => Ok(()),
    }
}

// What bundlers keep for their next run; in the image only the second group is of no use.
const CACHES: [&str; 5] = [
    "node_modules/.cache",
    "node_modules/.vite",
    ".next/cache",
    ".angular/cache",
    ".parcel-cache",
];
const USELESS_IN_IMAGE: [&str; 9] = [
    "node_modules/.cache",
    "node_modules/.vite",
    ".next/cache/webpack",
    ".next/cache/swc",
    ".next/cache/turbopack",
    ".next/cache/eslint",
    ".next/cache/.tsbuildinfo",
    ".angular/cache",
    ".parcel-cache",
];

fn cache_folders(project: &Project) -> Vec<String> {
    let own = project.package_json.cache_directories();
    let is_inside = |path: &String| {
        let path = Path::new(path);
        path.is_relative()
            && path
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)))
    };
    // Dependencies are kept otherwise.
    let own = own
        .into_iter()
        .filter(|path| is_inside(path) && !path.ends_with("node_modules"));
    CACHES.iter().map(|path| (*path).to_owned()).chain(own).collect()
}

/// Puts the caches of the last build in place.
pub(crate) fn restore_caches(context: &Context, project: &Project) -> Result<()> {
    let kept = kept(context)?;
    let mut restored = Vec::new();
    for folder in cache_folders(project) {
        let from = kept.join(&folder);
        if from.is_dir() && !project.app.join(&folder).exists() {
            tree::copy_folder(&from, &project.app.join(&folder))?;
            restored.push(folder);
        }
    }
    if !restored.is_empty() {
        output::detail(format!("Caches of the last build: {}", restored.join(", ")));
    }
    Ok(())
}

/// Keeps the caches for the next build, and takes from the app what is of no use in the image.
pub(crate) fn keep_caches(context: &Context, project: &Project) -> Result<()> {
    let kept = kept(context)?;
    for folder in cache_folders(project) {
        let from = project.app.join(&folder);
        files::remove(&kept.join(&folder))?;
        if from.is_dir() {
            tree::copy_folder(&from, &kept.join(&folder))?;
        }
    }
    for path in USELESS_IN_IMAGE {
        files::remove(&project.app.join(path))?;
    }
    Ok(())
}

fn kept(context: &Context) -> Result<PathBuf> {
    layer::cache(context, layer_name!("build-cache"), 1_u32)
}

//! The Node.js buildpack: npm, pnpm, Yarn 1 to 4 and Bun; engines and version files; build scripts; pruning.
//!
//! What happens, in order: which part Node.js has (`role`); which Node.js and which package manager
//! (`node_version`, `manager`), installed into layers (`toolchain`); dependencies, the app's scripts and
//! pruning (`modules`, or `pnp`); what starts the app (`start`).

mod addition;
mod install;
mod key;
mod manager;
mod modules;
mod node_version;
mod package_json;
mod pnp;
mod problems;
mod project;
mod role;
mod start;
mod steps;
mod toolchain;
mod tree;
mod workspace;

use crate::{
    manager::Kind,
    package_json::PackageJson,
    project::{Project, major},
    role::Role,
};
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    env, failure, files, layer, output,
    process::direct,
    procfile::Procfile,
    toolchain::{Index, npm::Registry, npm_arch},
};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{
        build_plan::BuildPlanBuilder,
        launch::{LaunchBuilder, Process, WorkingDirectory},
        layer_name, process_type,
    },
    detect::{DetectContext, DetectResult, DetectResultBuilder},
    generic::{GenericMetadata, GenericPlatform},
};
use std::path::PathBuf;

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// A later buildpack that requires this serves what the app's build makes: nothing of Node.js is in the image.
const FRONT_END: &str = "pvdify/front-end";

/// The buildpack.
#[derive(Debug)]
pub struct NodejsBuildpack;

impl libcnb::Buildpack for NodejsBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        match role::role(&context.app_dir)? {
            Some((_, why)) => {
                output::reason(why);
                // With or without a later buildpack that asks for it.
                let plan = BuildPlanBuilder::new().provides(FRONT_END).or().build();
                DetectResultBuilder::pass().build_plan(plan).build()
            }
            None => DetectResultBuilder::fail().build(),
        }
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let mut project = set_up(&context)?;
        let is_pnp = key::is_plug_and_play(&project)? && has_dependencies(&project);
        if is_pnp {
            pnp::prepare(&context, &mut project)?;
        } else {
            modules::prepare(&context, &project)?;
        }
        if project.launch && start::is_handler(&project) {
            addition::server(&context, &project)?;
        }
        let mut launch = LaunchBuilder::new();
        if let Some(web) = web_process(&project, is_pnp)? {
            launch.process(web);
        }
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

fn has_dependencies(project: &Project) -> bool {
    project.manager.lockfile.is_some()
        || project
            .package_json
            .has_any(&["dependencies", "devDependencies", "optionalDependencies"])
        || project.package_json.has_workspaces()
}

/// Chooses and installs the tools.
fn set_up(context: &BuildContext<NodejsBuildpack>) -> Result<Project> {
    let app = context.app_dir.clone();
    let mut env = env::of_build(context);
    let step = output::step("Choosing versions");
    let package_json = PackageJson::of(&app)?.unwrap_or_default();
    let procfile = Procfile::of(&app)?.unwrap_or_default();
    let index = layer::cache(context, layer_name!("index"), 1_u32)?;
    let registry = Registry::new(&env, Index::in_folder(&index));
    let available = registry.versions(&format!("node-linux-{}", npm_arch()))?;
    let asked = node_version::asked(&app, &package_json)?;
    let (node, from) = node_version::choose(&asked, &available, &env)?;
    output::detail(format!("Node.js {} ({from})", node.version));
    let manager = manager::choose(&app, &package_json)?;
    let npm = toolchain::npm_version(&registry, &node.version, &manager, &env)?;
    let manager_version = match manager.kind {
        Kind::Npm => npm.clone(),
        _ => toolchain::manager_version(&registry, &manager, &env)?,
    };
    output::detail(format!("{} {manager_version} ({})", manager.kind, manager.from));
    step.quiet();

    let is_helper = matches!(role::role(&app)?, Some((Role::Helper, _)));
    let mut project = Project {
        app,
        package_json,
        member: None,
        procfile,
        manager,
        manager_version,
        node_version: node.version,
        env: env.clone(),
        is_helper,
        launch: true,
    };
    let is_front_end = context
        .buildpack_plan
        .entries
        .iter()
        .any(|entry| entry.name == FRONT_END);
    project.launch = !is_front_end && runs_in_the_image(&project);
    if project.launch {
        project.member = workspace::choose(&project)?;
    }
    warn_of_no_lockfile(&project);

    let step = output::step("Installing tools");
    let downloads = Downloads::of(&env);
    let runs_bun = project.manager.kind == Kind::Bun && starts_with_bun(&project);
    let versions = (project.node_version.as_str(), npm.as_str());
    // Beside Bun too: many a package's program, and many an app's own command, is for `node`.
    let node = toolchain::node(context, &registry, &downloads, versions, project.launch)?;
    env = node.apply(&env);
    if project.manager.kind != Kind::Npm {
        let manager = (&project.manager, project.manager_version.as_str());
        let program = project.manager.kind.program();
        let launch = project.launch && (runs_bun || project.runs(program) || needs_manager(&project));
        env = toolchain::manager(context, &registry, &downloads, manager, launch)?.apply(&env);
    }
    if key::may_compile(&project)? {
        let headers = toolchain::headers(context, &registry, &downloads, &project.node_version)?;
        let manager = (project.manager.kind, project.manager_major());
        toolchain::use_headers(&headers, &project.node_version, manager, &mut env)?;
    }
    step.done();
    let cache = package_cache(context, &project)?;
    install::settings(
        project.manager.kind,
        project.manager_major(),
        &project.app,
        &cache,
        &mut env,
    );
    addition::settings(&project, &mut env);
    project.env = env;
    Ok(project)
}

// A cache grows with every update of a dependency: beyond this it is begun anew, once in many months.
const CACHE_LIMIT: u64 = 4_000_000_000;

fn package_cache(context: &BuildContext<NodejsBuildpack>, project: &Project) -> Result<PathBuf> {
    let format = format!("{} {}", project.manager.kind, major(&project.manager_version));
    let path = layer::cache(context, layer_name!("package-cache"), format)?;
    if files::size(&path) > CACHE_LIMIT {
        output::detail(format!(
            "The package cache had grown beyond {}: begun anew",
            output::size(CACHE_LIMIT)
        ));
        files::remove(&path)?;
        files::make_dir(&path)?;
    }
    Ok(path)
}

fn runs_in_the_image(project: &Project) -> bool {
    !project.is_helper
        || role::other(&project.app) == Some("Ruby")
        || ["node", "npm", "npx", "yarn", "pnpm", "bun"]
            .iter()
            .any(|program| project.runs(program))
}

fn starts_with_bun(project: &Project) -> bool {
    match (
        project.procfile.command("web"),
        project.package_json.script("start"),
    ) {
        (Some(command), _) | (None, Some(command)) => command.split_whitespace().next() == Some("bun"),
        (None, None) => true,
    }
}

// `prestart` and Plug'n'Play start the app through the package manager.
fn needs_manager(project: &Project) -> bool {
    let command = start::web(project, false)
        .map(|web| web.command)
        .unwrap_or_default();
    command
        .first()
        .is_some_and(|program| program == project.manager.kind.program())
        || key::is_plug_and_play(project).unwrap_or_default()
}

fn warn_of_no_lockfile(project: &Project) {
    if project.manager.lockfile.is_none() && has_dependencies(project) {
        let lockfile = project.manager.kind.lockfiles().last().unwrap_or(&"a lockfile");
        output::warning(format!(
            "The app has no lockfile: each build may get other versions of its packages.\n\
             Run `{} install` on your machine and commit {lockfile}.",
            project.manager.kind.program()
        ));
    }
}

fn web_process(project: &Project, is_pnp: bool) -> Result<Option<Process>> {
    if project.procfile.command("web").is_some() || !project.launch {
        return Ok(None);
    }
    // Of an app in another language the web process is that language's.
    if project.is_helper && role::other(&project.app) != Some("Python") {
        return Ok(None);
    }
    let Some(web) = start::web(project, is_pnp) else {
        if project.procfile.entries.is_empty() {
            output::warning(start::nothing(project));
        }
        return Ok(None);
    };
    start::check(&project.started(), &web)?;
    let place = web
        .folder
        .as_ref()
        .map_or_else(String::new, |folder| format!(", in {}", folder.display()));
    output::step(format!(
        "Web process: {} ({}{place})",
        web.command.join(" "),
        web.why
    ))
    .quiet();
    Ok(Some(Process {
        default: true,
        working_directory: web
            .folder
            .map_or(WorkingDirectory::App, WorkingDirectory::Directory),
        ..direct(process_type!("web"), web.command)
    }))
}

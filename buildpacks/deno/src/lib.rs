//! The Deno buildpack.
//!
//! What happens, in order: which Deno (`version`), from the npm registry into a layer; all that the app imports,
//! as `deno.lock` says (`dependencies`); the task `build`; what starts the app (`process`).

mod config;
mod dependencies;
mod detect;
mod jsonc;
mod process;
mod version;

use crate::config::Config;
use buildpack_support::{
    Failure, Result,
    download::Downloads,
    env, failure, files,
    layer::{self, Layer},
    output,
    process::{direct, install_exec_d},
    procfile::Procfile,
    toolchain::{Index, npm::Registry, npm_arch},
};
use libcnb::{
    Env,
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{
        launch::{LaunchBuilder, Process},
        layer_name, process_type,
    },
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct DenoBuildpack;

impl libcnb::Buildpack for DenoBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        buildpack_support::detect::answer(detect::reason(&context.app_dir)?)
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = &context.app_dir;
        let mut env = build_env(env::of_build(&context));
        let config = Config::of(app)?;
        let (deno, version) = install_deno(&context, &env)?;
        env = deno.apply(&env);
        let cache = dependencies::cache(&context, &version, &mut env)?;
        dependencies::install(app, &config, &version, &env)?;
        dependencies::build(app, &config, &env)?;
        dependencies::keep(&context, &cache)?;
        let mut launch = LaunchBuilder::new();
        if let Some(web) = web(app, &config)? {
            launch.process(web);
        }
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

// How Deno is told what other clients are told by names of their own.
fn build_env(mut env: Env) -> Env {
    for (name, other) in [
        ("DENO_CERT", "SSL_CERT_FILE"),
        ("NPM_CONFIG_REGISTRY", "npm_config_registry"),
    ] {
        if env::value(&env, name).is_none()
            && let Some(value) = env::value(&env, other)
        {
            env.insert(name, value);
        }
    }
    for name in ["NO_COLOR", "DENO_NO_PROMPT", "DENO_NO_UPDATE_CHECK", "CI"] {
        env.insert(name, "1");
    }
    env
}

fn install_deno(context: &BuildContext<DenoBuildpack>, env: &Env) -> Result<(Layer, String)> {
    let step = output::step("Installing Deno");
    let index = layer::cache(context, layer_name!("index"), 1_u32)?;
    let registry = Registry::new(env, Index::in_folder(&index));
    let package = format!("@deno/linux-{}-glibc", npm_arch());
    let (version, from) = version::resolve(&context.app_dir, env, &registry, &package)?;
    output::detail(format!("Deno {version} ({from})"));
    let title = format!("Deno {version}");
    let spec = layer::Spec {
        name: layer_name!("deno"),
        title: &title,
        build: true,
        launch: true,
        key: format!("1 {version}"),
    };
    let layer = layer::keyed(context, &spec, |layer| {
        let bin = layer.join("bin");
        let excluded = ["*/package.json", "*/README.md"];
        registry.unpack(&Downloads::of(env), (&package, &version), &bin, &excluded)?;
        let program = bin.join("deno");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .map_err(|error| Failure::io("make a program of", &program, &error))?;
        install_exec_d(layer, "sizes", process::SIZES)?;
        Ok(launch_env())
    })?;
    step.quiet();
    Ok((layer, version))
}

fn launch_env() -> LayerEnv {
    let mut env = LayerEnv::new();
    for (name, value) in [
        ("DENO_NO_PROMPT", "1"),
        ("DENO_NO_UPDATE_CHECK", "1"),
        ("NODE_ENV", "production"),
    ] {
        env.insert(Scope::Launch, ModificationBehavior::Default, name, value);
    }
    env
}

fn web(app: &Path, config: &Config) -> Result<Option<Process>> {
    // A Procfile that can't be read is told by its own buildpack.
    let procfile = Procfile::of(app).unwrap_or_default().unwrap_or_default();
    if procfile.command("web").is_some() {
        return Ok(None);
    }
    let Some(web) = process::web(app, config)? else {
        if procfile.entries.is_empty() {
            let file = config
                .file
                .or_else(|| files::first(app, &config::NAMES))
                .unwrap_or("deno.json");
            output::warning(format!(
                "Nothing says how to start the app: {file} has no task `start`, there is no main.ts and no Procfile.\n\
                 Add `\"tasks\": {{ \"start\": \"deno run --allow-net FILE\" }}` to {file}."
            ));
        }
        return Ok(None);
    };
    output::step(format!("Web process: {} ({})", web.command.join(" "), web.why)).quiet();
    Ok(Some(Process {
        default: true,
        ..direct(process_type!("web"), web.command)
    }))
}

//! The Python buildpack: an interpreter, the app's packages in a virtual environment, a process that serves.
//!
//! As on Heroku: the same files name the packages and the version, `collectstatic` runs, `WEB_CONCURRENCY`
//! follows the memory. Everything is installed by uv, which is told what pip is told on this server. What always
//! holds: the environment is made anew or kept untouched, never patched; its bytecode does not depend on times.

mod asgi;
mod bytecode;
mod dependencies;
mod detect;
mod django;
mod errors;
mod former_parts;
mod framework;
mod inputs;
mod interpreter;
mod libraries;
mod manager;
mod pipfile;
mod poetry;
mod process;
mod requirements;
mod uv;
mod version;

use buildpack_support::{Command, Failure, Result, env, failure, output};
use libcnb::{
    Env,
    build::{BuildContext, BuildResult, BuildResultBuilder},
    detect::{DetectContext, DetectResult, DetectResultBuilder},
    generic::{GenericMetadata, GenericPlatform},
};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct PythonBuildpack;

impl libcnb::Buildpack for PythonBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        match detect::reason(&context.app_dir) {
            Some(reason) => {
                output::reason(reason);
                DetectResultBuilder::pass().build()
            }
            None => DetectResultBuilder::fail().build(),
        }
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app_dir = &context.app_dir;
        let mut env = env::of_build(&context);
        // What runs here leaves no bytecode in the app or in layers that are kept: its times would differ.
        env.insert("PYTHONDONTWRITEBYTECODE", "1");
        let manager = manager::find(app_dir)?;
        output::step("Installing Python").quiet();
        let uv = uv::Uv::provide(&context, &env)?;
        let python = interpreter::provide(&context, &uv, &env)?;
        let env = python.layer.apply(&env);
        hook(app_dir, &env, "bin/pre_compile")?;
        let venv = dependencies::install(&context, &manager, &uv, &python, &env)?;
        let served = framework::find(app_dir, &venv);
        let settings = process::settings(&context, &served)?;
        let env = settings.apply(&venv.layer.apply(&env));
        django::collect_static(app_dir, &venv, &env)?;
        hook(app_dir, &env, "bin/post_compile")?;
        let launch = process::launch(app_dir, &venv, &served)?;
        BuildResultBuilder::new().launch(launch).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

// Classic Python buildpacks run these.
fn hook(app_dir: &Path, env: &Env, name: &str) -> Result<()> {
    let is_program = fs::metadata(app_dir.join(name))
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    if !is_program {
        return Ok(());
    }
    let step = output::step(format!("Running {name}"));
    Command::new(app_dir.join(name))
        .envs(env)
        .dir(app_dir)
        .run()
        .map_err(|error| {
            error.failure(
                format!("{name} failed"),
                "Its output is above. Correct it, commit and push again.",
            )
        })?;
    step.done();
    Ok(())
}

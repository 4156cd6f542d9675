//! The Python buildpack: an interpreter, the app's packages in a virtual environment, a process that serves.
//!
//! As on Heroku: the same files name the packages and the version, `collectstatic` runs, `WEB_CONCURRENCY`
//! follows the memory. Everything is installed by uv, which is told what pip is told on this server. What always
//! holds: the environment is made anew or kept untouched, never patched; its bytecode does not depend on times.

mod asgi;
mod attempt;
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

use buildpack_support::{Failure, env, failure, hook, output};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
};

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
        buildpack_support::detect::answer(detect::reason(&context.app_dir))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app_dir = &context.app_dir;
        let mut env = env::of_build(&context);
        // What runs here leaves no bytecode in the app or in layers that are kept: its times would differ.
        env.insert("PYTHONDONTWRITEBYTECODE", "1");
        let manager = manager::find(app_dir)?;
        output::step("Installing Python").quiet();
        let uv = uv::Uv::provide(&context, &env)?;
        let (venv, env) = attempt::install(&context, manager, &uv, &env)?;
        let served = framework::find(app_dir, &venv);
        let settings = process::settings(&context, &served)?;
        let env = settings.apply(&venv.layer.apply(&env));
        django::collect_static(app_dir, &venv, &env)?;
        hook::run(app_dir, &env, "bin/post_compile")?;
        let launch = process::launch(app_dir, &venv, &served)?;
        BuildResultBuilder::new().launch(launch).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

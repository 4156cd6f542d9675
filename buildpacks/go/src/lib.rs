//! The Go buildpack: compiles every program of a module or workspace, `web` being the one that serves.
//!
//! As on Heroku: `// +heroku` lines in go.mod, the build tag `heroku`, all mains unless some are named, programs
//! also under `bin/` of the app for Procfiles. What always holds: the toolchain and its caches are never in the
//! image; programs that come out the same leave their layer untouched.

mod compile;
mod detect;
mod errors;
mod manifest;
mod packages;
mod process;
mod toolchain;
mod version;

use buildpack_support::{Failure, env, failure};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct GoBuildpack;

impl libcnb::Buildpack for GoBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        buildpack_support::detect::answer(detect::reason(&context.app_dir))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = manifest::App::read(&context.app_dir)?;
        let env = env::of_build(&context);
        let env = toolchain::provide(&context, &app, &env)?;
        let programs = compile::run(&context, &app, &env)?;
        let launch = process::launch(&context.app_dir, &programs)?;
        BuildResultBuilder::new().launch(launch).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

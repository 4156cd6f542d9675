//! The Ruby buildpack: Bundler, Rails with its assets, Rack.
//!
//! What happens, in order: what Gemfile and Gemfile.lock say (`gemfile`); which Ruby (`version`), Debian's in a layer
//! (`toolchain`); `bundle install` (`bundler`); the assets of Rails (`assets`); what starts the app (`start`).

mod assets;
mod bundler;
mod gemfile;
mod problems;
mod start;
mod toolchain;
mod version;

use crate::gemfile::Lock;
use buildpack_support::{Failure, detect, env, failure, files, layer, output, toolchain::deb};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::launch::LaunchBuilder,
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct RubyBuildpack;

// As Heroku has them, for every app.
const SETTINGS: [(&str, &str); 6] = [
    ("RACK_ENV", "production"),
    ("RAILS_ENV", "production"),
    ("RAILS_LOG_TO_STDOUT", "enabled"),
    ("RAILS_SERVE_STATIC_FILES", "enabled"),
    ("MALLOC_ARENA_MAX", "2"),
    ("LANG", "C.UTF-8"),
];

impl libcnb::Buildpack for RubyBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        detect::answer(files::exists(&context.app_dir, "Gemfile").then_some("Gemfile is there"))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = &context.app_dir;
        let mut env = env::of_build(&context);
        let lock = Lock::of(app)?;
        let apt = deb::Apt::of_layer(&context, &env, deb::Base::Run)?;
        let step = output::step("Choosing versions");
        let available = toolchain::available(&apt)?;
        let ruby = version::choose(app, &available, &env)?;
        step.quiet();
        let step = output::step("Installing tools");
        let (layer, packages) = toolchain::install(&context, &env, &apt, &ruby)?;
        env = layer.apply(&env);
        env = layer::settings(&context, &SETTINGS)?.apply(&env);
        step.done();
        env = bundler::install(&context, &env, lock.as_ref(), &ruby, &packages)?;
        let lock = lock.unwrap_or_default();
        if lock.has("railties") {
            assets::precompile(&context, &env, &lock)?;
        }
        let mut launch = LaunchBuilder::new();
        launch.processes(start::processes(app, &lock)?);
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

//! The PHP buildpack: Composer, extensions by what the app requires, PHP-FPM behind Apache or nginx.
//!
//! What happens, in order: what composer.json asks for (`composer_json`, `constraint`, `extensions`); PHP and a
//! web server from Debian packages in a layer (`toolchain`, with the settings in `ini` and the scripts that boot
//! both in `boot`); `composer install` (`composer`); the document root and the web process (`start`).

mod boot;
mod composer;
mod composer_json;
mod constraint;
mod extensions;
mod ini;
mod problems;
mod start;
mod toolchain;

use crate::composer_json::ComposerJson;
use buildpack_support::{
    Failure, detect, env, failure, files, layer, output, procfile::Procfile, toolchain::deb,
};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::launch::{LaunchBuilder, Slice},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct PhpBuildpack;

impl libcnb::Buildpack for PhpBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        let mut names = vec!["composer.json".to_owned(), "index.php".to_owned()];
        names.extend(start::FOLDERS.map(|folder| format!("{folder}/index.php")));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let file = files::first(&context.app_dir, &names);
        detect::answer(file.map(|file| format!("{file} is there")))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = &context.app_dir;
        let env = env::of_build(&context);
        let json = ComposerJson::of(app)?;
        let procfile = Procfile::of(app)?.unwrap_or_default();
        let apt = deb::Apt::of_layer(&context, &env, deb::Base::Run)?;

        let step = output::step("Choosing versions");
        let available = toolchain::available(&apt)?;
        let chosen = toolchain::choose(json.as_ref(), &available, &env)?;
        let line = chosen.version;
        let extensions = extensions::wanted(app, json.as_ref(), &line, &apt)?;
        step.quiet();
        let step = output::step("Installing tools");
        let server = boot::servers(&procfile, &env);
        let mut env = toolchain::install(&context, &env, &apt, (&line, &extensions), server)?;
        step.done();

        env = layer::settings(&context, settings(json.as_ref()))?.apply(&env);
        if chosen.is_fallback {
            // Composer would refuse what was said above.
            env.insert("COMPOSER_IGNORE_PLATFORM_REQ", "php");
        }
        if let Some(json) = &json {
            composer::install(&context, &env, json, &line)?;
        }
        let mut launch = LaunchBuilder::new();
        if app.join("vendor").is_dir() {
            // Its own layer of the image: it changes less often than the app.
            launch.slice(Slice {
                path_globs: vec!["vendor".to_owned()],
            });
        }
        boot::link_scripts(app, &procfile)?;
        if let Some(web) = start::web(app, &env, json.as_ref(), &procfile, server) {
            launch.process(web);
        }
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

/// The variables that a framework is to have in production.
fn settings(json: Option<&ComposerJson>) -> &'static [(&'static str, &'static str)] {
    let requires = |package: &str| json.is_some_and(|json| json.requires(package));
    if requires("laravel/framework") {
        &[
            ("APP_ENV", "production"),
            ("APP_DEBUG", "false"),
            ("LOG_CHANNEL", "stderr"),
        ]
    } else if requires("symfony/framework-bundle") {
        &[("APP_ENV", "prod"), ("APP_DEBUG", "0")]
    } else {
        &[("APP_ENV", "production")]
    }
}

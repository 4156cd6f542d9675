//! The Java buildpack: Maven and Gradle, the wrapper where there is one; what they make becomes the web process.
//!
//! What happens, in order: which Java (`version`), installed for the build and, smaller, for the image (`jdk`);
//! the build by `maven` or `gradle`; which of the files made starts the app (`artifact`), a Spring Boot jar
//! taken apart so that dependencies are a layer of their own (`boot`); the command (`start`).

mod artifact;
mod boot;
mod gradle;
mod jdk;
mod maven;
mod problems;
mod project;
mod start;
mod version;

use crate::project::{Project, Tool};
use buildpack_support::{Failure, Result, detect, env, failure, output, procfile::Procfile, toolchain::deb};
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
pub struct JavaBuildpack;

impl libcnb::Buildpack for JavaBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        let file = Tool::of(&context.app_dir).map(|(_, file)| file);
        detect::answer(file.map(|file| format!("{file} is there")))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let project = set_up(&context)?;
        match project.tool {
            Tool::Maven => maven::build(&context, &project)?,
            Tool::Gradle => gradle::build(&context, &project)?,
        }
        let mut launch = LaunchBuilder::new();
        let found = artifact::find(&project)?;
        let slices = boot::take_apart(&project, &found)?;
        launch.slices(slices);
        if let Some(web) = start::web(&project, &found)? {
            launch.process(web);
        }
        artifact::clean(&project)?;
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

/// Chooses and installs Java.
fn set_up(context: &BuildContext<JavaBuildpack>) -> Result<Project> {
    let app = context.app_dir.clone();
    let env = env::of_build(context);
    let (tool, _) = Tool::of(&app).ok_or_else(|| {
        Failure::new(
            "There is nothing to build for Java",
            "Neither pom.xml nor a build.gradle is in the app's folder.",
            "Commit one of them, or choose another buildpack.",
        )
    })?;
    let apt = deb::Apt::of_layer(context, &env, deb::Base::Build)?;
    let step = output::step("Choosing versions");
    let asked = version::asked(&app)?;
    let chosen = version::choose(&asked, &jdk::available(&apt)?, &env)?;
    output::detail(format!("Java {} ({})", chosen.major, chosen.from));
    step.quiet();
    let step = output::step("Installing tools");
    let jdk = jdk::install(context, &env, &apt, &chosen)?;
    step.done();
    let mut project = Project {
        procfile: Procfile::of(&app)?.unwrap_or_default(),
        java_home: jdk.home,
        env: jdk.env,
        java: chosen.major,
        app,
        tool,
    };
    project::set_proxies(&mut project.env);
    Ok(project)
}

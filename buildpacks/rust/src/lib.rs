//! The Rust buildpack: Cargo for release, workspaces, several programs.
//!
//! What happens, in order: which Rust (`version`), from its own server or Debian (`toolchain`); sources that
//! changed since the last build are marked (`sources`), because Cargo goes by times and a push has none; the
//! build and the programs it made (`build`); what starts the app (`start`).

mod build;
mod problems;
mod sources;
mod start;
mod toolchain;
mod version;

use crate::build::Built;
use buildpack_support::{
    Failure, Result, detect, env, failure, files,
    fingerprint::Fingerprint,
    layer::{self, Spec},
    output, process,
    procfile::Procfile,
    toolchain::libraries,
};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{launch::LaunchBuilder, layer_name},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
    layer_env::{LayerEnv, ModificationBehavior, Scope},
};
use std::{fs, os::unix::fs::symlink};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct RustBuildpack;

// Where frameworks listen when nothing else is said: this machine alone, and a port of their own.
const PORTS: &str = r#"
set_default HOST 0.0.0.0
set_default ROCKET_ADDRESS 0.0.0.0
if [ -n "${PORT:-}" ]; then
  set_default ROCKET_PORT "$PORT"
  set_default LEPTOS_SITE_ADDR "0.0.0.0:$PORT"
fi
"#;

impl libcnb::Buildpack for RustBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        detect::answer(files::exists(&context.app_dir, "Cargo.toml").then_some("Cargo.toml is there"))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let app = &context.app_dir;
        let mut env = env::of_build(&context);
        let procfile = Procfile::of(app)?.unwrap_or_default();
        let step = output::step("Choosing versions");
        let asked = version::asked(app)?;
        let source = toolchain::find(&context, &asked, &env)?;
        output::detail(format!("Rust {} ({})", source.version(), source.from()));
        step.quiet();
        let step = output::step("Installing tools");
        env = toolchain::install(&context, &source, &asked, &env)?.apply(&env);
        step.done();
        let built = build::build(&context, &mut env, &procfile, source.version())?;
        install_programs(&context, &built)?;
        link_programs(&context, &built)?;
        let mut launch = LaunchBuilder::new();
        if let Some(web) = start::web(&built, &procfile) {
            launch.process(web);
        }
        BuildResultBuilder::new().launch(launch.build()).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

/// The layers of the image: the programs, and the libraries that the run image lacks.
fn install_programs(context: &BuildContext<RustBuildpack>, built: &Built) -> Result<()> {
    let paths: Vec<_> = built
        .programs
        .iter()
        .map(|program| program.path.clone())
        .collect();
    libraries::provide(context, &libraries::needed(&paths), &[])?;
    let mut fingerprint = Fingerprint::new();
    for program in &built.programs {
        let folder = program.path.parent().unwrap_or(&program.path);
        fingerprint.file(folder, &program.name)?;
    }
    fingerprint.text("ports", PORTS);
    let spec = Spec {
        name: layer_name!("programs"),
        title: &output::count(built.programs.len(), "program"),
        build: false,
        launch: true,
        key: fingerprint.finish(),
    };
    layer::keyed(context, &spec, |path| {
        files::make_dir(&path.join("bin"))?;
        for program in &built.programs {
            let target = path.join("bin").join(&program.name);
            fs::copy(&program.path, &target).map_err(|error| Failure::io("write", &target, &error))?;
        }
        process::install_exec_d(path, "ports", PORTS)?;
        let mut env = LayerEnv::new();
        for (name, value) in [("ROCKET_PROFILE", "release"), ("RUST_BACKTRACE", "1")] {
            env.insert(Scope::Launch, ModificationBehavior::Default, name, value);
        }
        Ok(env)
    })?;
    Ok(())
}

/// Procfiles name programs by `target/release/NAME`.
fn link_programs(context: &BuildContext<RustBuildpack>, built: &Built) -> Result<()> {
    let folder = context.app_dir.join("target").join(&built.profile);
    files::make_dir(&folder)?;
    for program in &built.programs {
        let link = folder.join(&program.name);
        files::remove(&link)?;
        let target = context.layers_dir.join("programs/bin").join(&program.name);
        symlink(&target, &link).map_err(|error| Failure::io("write", &link, &error))?;
    }
    Ok(())
}

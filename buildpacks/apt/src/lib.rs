//! The apt buildpack: Debian packages for an app, without root, in layers.
//!
//! What happens: what is asked for (`aptfile`, `project`); further sources; which packages that means (`plan`), on
//! top of the run image for the app's layer and of the build image for the build's; unpacked, and made to work
//! where they are (`adjust`). Where both are the same there is one layer. The layers are made anew when the
//! packages change, not when the indexes do.

mod adjust;
mod aptfile;
mod download;
mod nearest;
mod plan;
mod project;
mod sources;
mod wanted;

use crate::{
    plan::{Both, Names, Plan},
    wanted::Wanted,
};
use buildpack_support::{
    Failure, Result, detect,
    download::Downloads,
    env, failure, files, layer, output,
    toolchain::deb::{self, Apt, Base, Planned},
};
use libcnb::{
    Env,
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::{layer::LayerName, layer_name},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
    layer_env::LayerEnv,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct AptBuildpack;

impl libcnb::Buildpack for AptBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        let app = &context.app_dir;
        let in_aptfile = files::exists(app, "Aptfile").then_some("Aptfile is there");
        let in_project = || project::is_there(app).then_some("project.toml asks for Debian packages");
        detect::answer(in_aptfile.or_else(in_project))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        let wanted = wanted(&context.app_dir)?;
        let step = output::step("Installing Debian packages");
        for warning in &wanted.warnings {
            output::warning(warning);
        }
        if wanted.is_empty() {
            output::detail("None is asked for");
            return BuildResultBuilder::new().build();
        }
        install(&context, &wanted)?;
        step.done();
        BuildResultBuilder::new().build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

fn wanted(app: &Path) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    if let Some(text) = files::read(app, "Aptfile")? {
        aptfile::read(&text, &mut wanted)?;
    }
    if let Some(text) = files::read(app, "project.toml")? {
        project::read(&text, &mut wanted)?;
    }
    Ok(wanted)
}

/// What a layer depends on.
#[derive(Serialize, Deserialize, PartialEq)]
struct Key {
    /// Raised when the same packages would be made into another layer.
    form: u32,
    packages: Vec<String>,
    downloads: Vec<String>,
}

fn install(context: &BuildContext<AptBuildpack>, wanted: &Wanted) -> Result<()> {
    let env = env::of_build(context);
    let sources = files::fingerprint([format!("{:?}", wanted.sources)]);
    let folder = layer::cache(context, layer_name!("apt"), format!("1 {sources}"))?;
    let both = Both {
        run: Apt::new(&env, &folder, Base::Run)?,
        build: Apt::new(&env, &folder, Base::Build)?,
    };
    sources::add(&both.run, &wanted.sources, &folder)?;
    both.run.update()?;
    let asked = plan::asked(&both, wanted);
    let mut made = None;
    let names = match plan::remembered(&folder, &asked) {
        Some(names) => names,
        None => {
            let plan = plan::make(&both, wanted, &folder, &env)?;
            plan::remember(&folder, &asked, &plan.names)?;
            let names = plan.names.clone();
            made = Some(plan);
            names
        }
    };
    report(wanted, &names);
    let is_one = names.run == names.build;
    let mut make = |layer: &Path, purpose: Purpose| -> Result<LayerEnv> {
        let plan = match made.take() {
            Some(plan) => plan,
            None => plan::make(&both, wanted, &folder, &env)?,
        };
        let env = unpack(layer, &plan, purpose, &both, &env)?;
        made = Some(plan);
        Ok(env)
    };
    let spec = |name: LayerName, title, packages: &[String], build, launch| layer::Spec {
        name,
        title,
        build,
        launch,
        key: Key {
            form: 1,
            packages: packages.to_vec(),
            downloads: names.downloads.clone(),
        },
    };
    let run = spec(
        layer_name!("packages"),
        "Packages for the app",
        &names.run,
        is_one,
        true,
    );
    let purpose = if is_one { Purpose::Both } else { Purpose::Image };
    layer::keyed(context, &run, |layer| make(layer, purpose))?;
    if !is_one {
        let build = spec(
            layer_name!("build-packages"),
            "Packages for the build",
            &names.build,
            true,
            false,
        );
        layer::keyed(context, &build, |layer| make(layer, Purpose::Build))?;
    }
    Ok(())
}

// Who uses a layer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Image,
    Build,
    Both,
}

fn unpack(layer: &Path, plan: &Plan, purpose: Purpose, both: &Both, env: &Env) -> Result<LayerEnv> {
    for deb in &plan.downloads {
        deb::dpkg_deb(deb, layer)?;
    }
    let (apt, planned): (&Apt, &[Planned]) = match purpose {
        Purpose::Image | Purpose::Both => (&both.run, &plan.run),
        Purpose::Build => (&both.build, &plan.build),
    };
    apt.unpack(&Downloads::of(env), planned, layer)?;
    if purpose != Purpose::Build {
        adjust::strip(layer, purpose == Purpose::Both)?;
    }
    adjust::adjust(layer, env, deb::layer_env(layer))
}

fn report(wanted: &Wanted, names: &Names) {
    let version = |name: &str| {
        let file = names
            .run
            .iter()
            .chain(&names.build)
            .find(|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('_')))?;
        Some(file.split('_').nth(1)?.replace("%3a", ":"))
    };
    let mut asked = 0;
    for package in &wanted.packages {
        match version(package.name()) {
            Some(version) => {
                asked += 1;
                output::detail(format!("{} {version}", package.name()));
            }
            None if package.spec.contains(['*', '^']) => output::detail(&package.spec),
            None => output::detail(format!("{}: the image has it", package.name())),
        }
    }
    for address in &wanted.downloads {
        output::detail(address);
    }
    let more = names.run.len().max(names.build.len()).saturating_sub(asked);
    if more > 0 {
        output::detail(format!("with {} that they need", output::count(more, "package")));
    }
}

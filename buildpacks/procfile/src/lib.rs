//! The Procfile buildpack: each line of the app's `Procfile` becomes a process type of the image.
//!
//! It comes last, so that what the Procfile says wins over the default of a language's buildpack. A command
//! runs by `bash -c`, as on Heroku; bash replaces itself by a single command, so signals reach the app.

use buildpack_support::{
    Failure, detect, failure, files, output,
    process::shell,
    procfile::{Entry, Procfile},
};
use libcnb::{
    build::{BuildContext, BuildResult, BuildResultBuilder},
    data::launch::{LaunchBuilder, Process},
    detect::{DetectContext, DetectResult},
    generic::{GenericMetadata, GenericPlatform},
};

/// `buildpack.toml`.
pub const DESCRIPTOR: &str = include_str!("../buildpack.toml");

/// The buildpack.
#[derive(Debug)]
pub struct ProcfileBuildpack;

impl libcnb::Buildpack for ProcfileBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = Failure;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, Failure> {
        // A Procfile that can't be read is told in the build: here it would look as if there was none.
        detect::answer(files::exists(&context.app_dir, "Procfile").then_some("the app has a Procfile"))
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, Failure> {
        output::step("Reading the Procfile").quiet();
        let procfile = Procfile::of(&context.app_dir)?.unwrap_or_default();
        for entry in &procfile.entries {
            output::detail(format!("{}: {}", entry.name, entry.command));
        }
        if procfile.entries.is_empty() {
            output::warning("The Procfile is empty: it gives no process type.");
        }
        let launch = LaunchBuilder::new()
            .processes(procfile.entries.iter().map(process))
            .build();
        BuildResultBuilder::new().launch(launch).build()
    }

    fn on_error(&self, error: libcnb::Error<Failure>) {
        failure::print(error);
    }
}

fn process(entry: &Entry) -> Process {
    Process {
        default: entry.name.as_str() == "web",
        ..shell(entry.name.clone(), &entry.command)
    }
}

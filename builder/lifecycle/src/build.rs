//! The build: bin/build of each buildpack in group order, each in the environment that those before it left, and all
//! that they wrote gathered in `config/metadata.toml` and `sbom/`.

use crate::{
    children::Children,
    detect::check_api,
    environment::Environment,
    failure::{Failure, code},
    files::{self, Scratch},
    log,
    outputs::Outputs,
    programs::{Programs, Step},
    settings::Settings,
    store::Store,
};
use pvdify_cnb::{
    analyzed::Analyzed,
    catalog::Key,
    descriptor::Kind,
    env::Env,
    group::{Group, GroupElement},
    launch::BuildMetadata,
    plan::Plan,
};
use std::{
    fs,
    time::{Duration, Instant},
};

const STEP: Step = Step {
    name: "build",
    output: "CNB_LAYERS_DIR",
    failed: code::BUILDPACK,
    wrong: code::BUILD,
};

/// Builds; `config/metadata.toml` is there afterwards, and only then.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let group: Group = STEP.required(&settings.group)?;
    let plan: Plan = STEP.required(&settings.plan)?;
    let analyzed: Analyzed = files::toml(&settings.analyzed)
        .map_err(failure)?
        .unwrap_or_default();
    let environment = Environment::read(settings, &analyzed).map_err(failure)?;
    let config = settings.layers.join("config");
    for folder in [&config, &settings.layers.join("sbom")] {
        let removed = files::remove_tree(folder);
        removed.map_err(|error| failure(format!("{} can't be removed: {error}", folder.display())))?;
    }
    let scratch = Scratch::new().map_err(|error| failure(format!("no temporary folder: {error}")))?;
    let mut build = Build {
        settings,
        programs: Programs {
            step: STEP,
            children,
            environment,
            store: Store::new(settings),
            scratch,
        },
        env: Env::for_build(std::env::vars_os()),
        plan,
        metadata: BuildMetadata::default(),
    };
    for element in &group.group {
        build.one(element)?;
    }
    fs::create_dir_all(&config)
        .map_err(|error| failure(format!("{} can't be made: {error}", config.display())))?;
    files::write_toml(&config.join("metadata.toml"), &build.metadata).map_err(failure)
}

fn failure(message: String) -> Failure {
    STEP.wrong(message)
}

struct Build<'a> {
    settings: &'a Settings,
    programs: Programs<'a>,
    /// With the layers of all buildpacks so far.
    env: Env,
    /// With what is still unmet.
    plan: Plan,
    metadata: BuildMetadata,
}

impl Build<'_> {
    fn one(&mut self, element: &GroupElement) -> Result<(), Failure> {
        let (id, version) = (&element.id, &element.version);
        let descriptor = self
            .programs
            .store
            .descriptor(Kind::Buildpack, id, version)
            .map_err(failure)?;
        check_api(&descriptor, "build")?;
        let key = Key::of(&descriptor);
        let wrong = |message: String| failure(message).of(&key);
        let layers = self.settings.layers.join(id.folder());
        fs::create_dir_all(&layers)
            .map_err(|error| wrong(format!("{} can't be made: {error}", layers.display())))?;
        let given = self.plan.of(Kind::Buildpack, id);
        let began = Instant::now();
        self.programs.run(&key, &descriptor, &self.env, &layers, &given)?;
        log::detail(&format!("{id} {version} took {}", duration(began.elapsed())));

        let outputs = Outputs::read(&descriptor, &layers, &given).map_err(wrong)?;
        outputs.put_ignored_away().map_err(wrong)?;
        outputs
            .copy_sboms(&self.settings.layers.join("sbom"))
            .map_err(wrong)?;
        outputs
            .apply(&mut self.env, self.settings.exec_env.as_deref())
            .map_err(wrong)?;
        self.plan.remove_met(&given, &outputs.build.unmet);
        for process in &outputs.without_working_dir {
            log::warning(&format!(
                "the working directory of the process {process} is left out: Buildpack API {} has none",
                descriptor.api
            ));
        }
        if let Some(lost) = self.metadata.add(element, outputs.launch) {
            log::warning(&format!(
                "{id} redefines the default process {lost} and does not name it default: there is none now"
            ));
        }
        Ok(())
    }
}

/// A time for people.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 {
        format!("{} min {} s", seconds / 60, seconds % 60)
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

//! The build: bin/build of each buildpack in group order, each in the environment that those before it left, and all
//! that they wrote gathered in `config/metadata.toml` and `sbom/`.

use crate::{
    children::{Children, Ended, NotStarted},
    detect::{check_api, stopped},
    environment::{Call, Environment, PLATFORM_DIR},
    failure::{Failure, code},
    files::{self, Scratch},
    log,
    outputs::Outputs,
    settings::Settings,
    store::Store,
};
use pvdify_cnb::{
    analyzed::Analyzed,
    catalog::Key,
    descriptor::{Descriptor, Kind},
    env::Env,
    group::{Group, GroupElement},
    launch::BuildMetadata,
    plan::{BuildpackPlan, Plan},
};
use std::{
    fs, io,
    os::fd::AsFd as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// Builds; `config/metadata.toml` is there afterwards, and only then.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let group: Group = required(&settings.group)?;
    let plan: Plan = required(&settings.plan)?;
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
        children,
        environment,
        store: Store::new(settings),
        scratch,
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
    Failure::new("build", code::BUILD, message)
}

fn required<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let missing = || failure(format!("{} is missing; detection writes it", path.display()));
    files::toml(path).map_err(failure)?.ok_or_else(missing)
}

struct Build<'a> {
    settings: &'a Settings,
    children: &'a Children,
    environment: Environment<'a>,
    store: Store<'a>,
    scratch: Scratch,
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
        self.run(&key, &descriptor, &layers, &given)?;
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

    fn run(
        &self,
        key: &Key,
        descriptor: &Descriptor,
        layers: &Path,
        given: &BuildpackPlan,
    ) -> Result<(), Failure> {
        let wrong = |message: String| failure(message).of(key);
        let plan = self.scratch.path().join(format!("{}.toml", key.id.folder()));
        files::write_toml(&plan, given).map_err(wrong)?;
        let paths = [
            ("CNB_LAYERS_DIR", layers),
            (PLATFORM_DIR, self.environment.platform_dir()),
            ("CNB_BP_PLAN_PATH", plan.as_path()),
        ];
        let folder = self.store.folder(key);
        let call = Call {
            descriptor,
            folder: &folder,
            program: "build",
            paths: &paths,
        };
        let mut command = self.environment.command(&self.env, &call);
        // Both into one stream: only so do their lines stay in order.
        let io = |error: io::Error| wrong(format!("bin/build of {key} can't be run: {error}"));
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(io)?;
        command.stdout(Stdio::inherit()).stderr(out);
        let pid = self.children.start(&mut command).map_err(|error| match error {
            NotStarted::Stopped => stopped("build"),
            NotStarted::Io(error) => io(error),
        })?;
        let ended = self.children.wait(pid).map_err(io)?;
        if self.children.is_stopped() {
            return Err(stopped("build").of(key));
        }
        if ended == Ended::Exit(0) {
            return Ok(());
        }
        Err(Failure::new(
            "build",
            code::BUILDPACK,
            format!("bin/build of {key} failed: {ended}"),
        )
        .of(key))
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

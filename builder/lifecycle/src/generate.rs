//! Generation: each image extension of the group writes down what it would have of the images (image_extension.md,
//! "Phase: Generation"), in `<generated>/<id with _>/`: `build.Dockerfile`, `run.Dockerfile`, `extend-config.toml` and
//! folders for what they copy. Nothing of it is looked at here: the host extends images, and trusts nothing of this.

use crate::{
    children::Children,
    detect::check_api,
    environment::Environment,
    failure::{Failure, code},
    files::{self, Scratch},
    log,
    programs::{Programs, Step},
    settings::Settings,
    store::Store,
};
use pvdify_cnb::{
    analyzed::Analyzed,
    catalog::Key,
    descriptor::{Descriptor, Kind},
    env::Env,
    extension::Image,
    group::{Group, GroupElement},
    plan::{BuildpackPlan, Plan},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const STEP: Step = Step {
    name: "generate",
    output: "CNB_OUTPUT_DIR",
    failed: code::EXTENSION,
    wrong: code::GENERATE,
};

/// Generates; says whether an image is to be extended. Nothing of an earlier generation stays.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<bool, Failure> {
    let cleared = files::remove_tree(&settings.generated);
    cleared.map_err(|error| {
        failure(format!(
            "{} can't be removed: {error}",
            settings.generated.display()
        ))
    })?;
    let group: Group = STEP.required(&settings.group)?;
    if group.group_extensions.is_empty() {
        return Ok(false);
    }
    let plan: Plan = STEP.required(&settings.plan)?;
    let analyzed: Analyzed = files::toml(&settings.analyzed)
        .map_err(failure)?
        .unwrap_or_default();
    log::step("Running image extensions");
    let mut generation = Generation {
        settings,
        programs: Programs {
            step: STEP,
            children,
            environment: Environment::read(settings, &analyzed).map_err(failure)?,
            store: Store::new(settings),
            scratch: Scratch::new().map_err(|error| failure(format!("no temporary folder: {error}")))?,
        },
        env: Env::for_build(std::env::vars_os()),
        plan,
    };
    let mut extends = false;
    for element in &group.group_extensions {
        extends |= generation.one(element)?;
    }
    // What extensions provide, no buildpack is asked for any more.
    files::write_toml(&settings.plan, &generation.plan).map_err(failure)?;
    Ok(extends)
}

fn failure(message: String) -> Failure {
    STEP.wrong(message)
}

struct Generation<'a> {
    settings: &'a Settings,
    programs: Programs<'a>,
    env: Env,
    /// With what is still to be provided.
    plan: Plan,
}

impl Generation<'_> {
    fn one(&mut self, element: &GroupElement) -> Result<bool, Failure> {
        let (id, version) = (&element.id, &element.version);
        let descriptor = self
            .programs
            .store
            .descriptor(Kind::Extension, id, version)
            .map_err(failure)?;
        check_api(&descriptor, "generate")?;
        let key = Key::of(&descriptor);
        let output = self.settings.generated.join(id.folder());
        let given = self.plan.of(Kind::Extension, id);
        fs::create_dir_all(&output)
            .map_err(|error| failure(format!("{} can't be made: {error}", output.display())).of(&key))?;
        self.run(&key, &descriptor, &output, &given)?;
        self.plan.remove_met(&given, &[]);
        let wrote: Vec<&str> = Image::BOTH
            .into_iter()
            .map(Image::dockerfile)
            .filter(|name| fs::symlink_metadata(output.join(name)).is_ok())
            .collect();
        log::detail(&match &wrote[..] {
            [] => format!("{id} {version} leaves the images as they are"),
            names => format!("{id} {version} wrote {}", names.join(" and ")),
        });
        Ok(!wrote.is_empty())
    }

    /// Runs bin/generate; without one, what is beside it in `generate/` is what it would have written.
    fn run(
        &self,
        key: &Key,
        descriptor: &Descriptor,
        output: &Path,
        given: &BuildpackPlan,
    ) -> Result<(), Failure> {
        let folder = self.programs.store.folder(key);
        if !folder.join("bin/generate").exists() {
            return copy(&folder.join("generate"), output).map_err(|error| failure(error).of(key));
        }
        self.programs.run(key, descriptor, &self.env, output, given)
    }
}

/// A copy of a folder, if it is there; links stay links.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut open: Vec<(PathBuf, PathBuf)> = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = open.pop() {
        for name in files::names(&from)? {
            let (from, to) = (from.join(&name), to.join(&name));
            let mut one = || {
                let kind = fs::symlink_metadata(&from)?.file_type();
                if kind.is_dir() {
                    fs::create_dir(&to)?;
                    open.push((from.clone(), to.clone()));
                    Ok(())
                } else if kind.is_symlink() {
                    std::os::unix::fs::symlink(fs::read_link(&from)?, &to)
                } else {
                    fs::copy(&from, &to).map(drop)
                }
            };
            one().map_err(|error: io::Error| format!("{} can't be copied: {error}", from.display()))?;
        }
    }
    Ok(())
}

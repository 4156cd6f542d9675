//! bin/build and bin/generate: each is given its part of the plan and a folder to write to, and runs to its end while its
//! output goes into the log.

use crate::{
    children::{Children, Ended, NotStarted},
    detect::stopped,
    environment::{Call, Environment, PLATFORM_DIR},
    failure::Failure,
    files::{self, Scratch},
    store::Store,
};
use pvdify_cnb::{catalog::Key, descriptor::Descriptor, env::Env, plan::BuildpackPlan};
use std::{io, os::fd::AsFd as _, path::Path, process::Stdio};

/// A phase that runs a program of each member of the group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The phase, and the program's name below `bin`.
    pub(crate) name: &'static str,
    /// The variable that names the folder which the program writes to.
    pub(crate) output: &'static str,
    /// The exit status when a program fails.
    pub(crate) failed: u8,
    /// The exit status when anything else goes wrong.
    pub(crate) wrong: u8,
}

impl Step {
    /// Something else than a program went wrong.
    pub(crate) fn wrong(self, message: String) -> Failure {
        Failure::new(self.name, self.wrong, message)
    }

    /// A file that an earlier phase left.
    pub(crate) fn required<T: serde::de::DeserializeOwned>(self, path: &Path) -> Result<T, Failure> {
        let missing = || self.wrong(format!("{} is missing; detection writes it", path.display()));
        files::toml(path)
            .map_err(|error| self.wrong(error))?
            .ok_or_else(missing)
    }
}

/// What all programs of a step have in common.
pub(crate) struct Programs<'a> {
    pub(crate) step: Step,
    pub(crate) children: &'a Children,
    pub(crate) environment: Environment<'a>,
    pub(crate) store: Store<'a>,
    pub(crate) scratch: Scratch,
}

impl Programs<'_> {
    /// Runs that of one member.
    pub(crate) fn run(
        &self,
        key: &Key,
        descriptor: &Descriptor,
        env: &Env,
        output: &Path,
        given: &BuildpackPlan,
    ) -> Result<(), Failure> {
        let Step { name, .. } = self.step;
        let wrong = |message: String| self.step.wrong(message).of(key);
        let plan = self.scratch.path().join(format!("{}.toml", key.id.folder()));
        files::write_toml(&plan, given).map_err(wrong)?;
        let paths = [
            (self.step.output, output),
            (PLATFORM_DIR, self.environment.platform_dir()),
            ("CNB_BP_PLAN_PATH", plan.as_path()),
        ];
        let call = Call {
            descriptor,
            folder: &self.store.folder(key),
            program: name,
            paths: &paths,
        };
        let mut command = self.environment.command(env, &call);
        // Both into one stream: only so do their lines stay in order.
        let io = |error: io::Error| wrong(format!("bin/{name} of {key} can't be run: {error}"));
        let out = io::stdout().as_fd().try_clone_to_owned().map_err(io)?;
        command.stdout(Stdio::inherit()).stderr(out);
        let pid = self.children.start(&mut command).map_err(|error| match error {
            NotStarted::Stopped => stopped(name),
            NotStarted::Io(error) => io(error),
        })?;
        let ended = self.children.wait(pid).map_err(io)?;
        if self.children.is_stopped() {
            return Err(stopped(name).of(key));
        }
        if ended == Ended::Exit(0) {
            return Ok(());
        }
        let message = format!("bin/{name} of {key} failed: {ended}");
        Err(Failure::new(name, self.step.failed, message).of(key))
    }
}

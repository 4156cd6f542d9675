//! The bin/detect of buildpacks and extensions: started together, waited for, their answers read.

use super::{check_api, stopped};
use crate::{
    children::{Children, Ended, NotStarted},
    environment::{Call, Environment, PLATFORM_DIR},
    failure::{Failure, code},
    files::{self, Scratch},
    store::Store,
};
use pvdify_cnb::{
    catalog::{Catalog, Key, OrderError},
    descriptor::{Descriptor, Kind},
    env::Env,
    plan::BuildPlan,
    resolve::Answer,
};
use rustix::{fs::MemfdFlags, process::Pid};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _, Seek as _},
    path::PathBuf,
};

/// What is read of a bin/detect's output.
const MOST_OUTPUT: u64 = 64 << 10;

/// Why detection ends before its end.
pub(super) enum Stop {
    Failure(Failure),
    Order(OrderError),
}

impl From<OrderError> for Stop {
    fn from(error: OrderError) -> Self {
        Self::Order(error)
    }
}

/// What a bin/detect left behind.
pub(super) struct Report {
    /// Why it went wrong, if it did.
    pub(super) error: Option<String>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// A bin/detect that runs. Its output goes into memory and not through a pipe, which a process that it left behind
/// could hold open for ever.
struct Started {
    pid: Pid,
    plan: PathBuf,
    stdout: File,
    stderr: File,
}

/// All that are run in one detection.
pub(super) struct Runs<'a> {
    pub(super) store: Store<'a>,
    pub(super) catalog: &'a Catalog,
    pub(super) environment: &'a Environment<'a>,
    pub(super) base: Env,
    pub(super) children: &'a Children,
    pub(super) scratch: Scratch,
    pub(super) reports: BTreeMap<Key, Report>,
}

impl Runs<'_> {
    /// Runs those of a group, and `ahead` with them as far as they can be run.
    pub(super) fn run(&mut self, wanted: &[Key], ahead: &[Key]) -> Result<BTreeMap<Key, Answer>, Stop> {
        for key in wanted {
            check_api(self.catalog.get(key)?, "detect").map_err(Stop::Failure)?;
        }
        let mut started = Vec::new();
        let mut answers = BTreeMap::new();
        for key in wanted.iter().chain(ahead) {
            let descriptor = self.catalog.get(key)?;
            if answers.contains_key(key) || !descriptor.api.is_supported_buildpack() {
                continue;
            }
            // Stands for it until it has ended.
            answers.insert(key.clone(), Answer::Error);
            match self.start(key, descriptor) {
                Ok(Some(one)) => started.push((key, one)),
                Ok(None) => {
                    let plan = self.store.folder(key).join("detect/plan.toml");
                    let answer = self.answer(key, Ended::Exit(0), &plan, String::new(), String::new());
                    answers.insert(key.clone(), answer);
                }
                Err(NotStarted::Stopped) => return Err(Stop::Failure(stopped("detect"))),
                Err(NotStarted::Io(error)) => {
                    let error = Some(format!("bin/detect can't be run: {error}"));
                    let report = Report {
                        error,
                        stdout: String::new(),
                        stderr: String::new(),
                    };
                    self.reports.insert(key.clone(), report);
                }
            }
        }
        for (key, one) in started {
            let failure = |error: io::Error| {
                let message = format!("bin/detect of {key} can't be waited for: {error}");
                Stop::Failure(Failure::new("detect", code::DETECT, message).of(key))
            };
            let ended = self.children.wait(one.pid).map_err(failure)?;
            let stdout = output(one.stdout).map_err(failure)?;
            let stderr = output(one.stderr).map_err(failure)?;
            let answer = self.answer(key, ended, &one.plan, stdout, stderr);
            answers.insert(key.clone(), answer);
        }
        if self.children.is_stopped() {
            return Err(Stop::Failure(stopped("detect")));
        }
        Ok(answers)
    }

    /// Nothing for an extension without a bin/detect, which passes with the plan beside it.
    fn start(&self, key: &Key, descriptor: &Descriptor) -> Result<Option<Started>, NotStarted> {
        let folder = self.store.folder(key);
        if key.kind == Kind::Extension && !folder.join("bin/detect").exists() {
            return Ok(None);
        }
        let io = |error: rustix::io::Errno| NotStarted::Io(error.into());
        let name = format!("{:?}-{}-{}.toml", key.kind, key.id.folder(), key.version);
        let plan = self.scratch.path().join(name);
        File::create(&plan).map_err(NotStarted::Io)?;
        let memory = || {
            rustix::fs::memfd_create("detect", MemfdFlags::CLOEXEC)
                .map(File::from)
                .map_err(io)
        };
        let (stdout, stderr) = (memory()?, memory()?);
        let paths = [
            (PLATFORM_DIR, self.environment.platform_dir()),
            ("CNB_BUILD_PLAN_PATH", plan.as_path()),
        ];
        let call = Call {
            descriptor,
            folder: &folder,
            program: "detect",
            paths: &paths,
        };
        let mut command = self.environment.command(&self.base, &call);
        command.stdout(stdout.try_clone().map_err(NotStarted::Io)?);
        command.stderr(stderr.try_clone().map_err(NotStarted::Io)?);
        let pid = self.children.start(&mut command)?;
        Ok(Some(Started {
            pid,
            plan,
            stdout,
            stderr,
        }))
    }

    fn answer(
        &mut self,
        key: &Key,
        ended: Ended,
        plan: &std::path::Path,
        stdout: String,
        stderr: String,
    ) -> Answer {
        let plan = || {
            let text = files::text(plan)?.unwrap_or_default();
            BuildPlan::parse(key.kind, &text)
                .map_err(|error| format!("its build plan can't be read: {error}"))
        };
        let (answer, error) = match ended {
            Ended::Exit(0) => match plan() {
                Ok(plan) => (Answer::Pass(plan), None),
                Err(error) => (Answer::Error, Some(error)),
            },
            Ended::Exit(100) => (Answer::Fail, None),
            ended => (Answer::Error, Some(format!("bin/detect: {ended}"))),
        };
        self.reports.insert(
            key.clone(),
            Report {
                error,
                stdout,
                stderr,
            },
        );
        answer
    }
}

fn output(mut file: File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

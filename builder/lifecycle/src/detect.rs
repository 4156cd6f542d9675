//! Detection: which buildpacks build, and the plan they agree on.
//!
//! All bin/detect of a group run at once, each one once in a build. When an order leads to few buildpacks, all of them
//! run with the first group: the groups that would come one after the other then cost what the slowest one costs.

use crate::{
    children::{Children, Ended, NotStarted},
    environment::{Call, Environment, PLATFORM_DIR},
    failure::{Failure, code},
    files::{self, Scratch},
    log,
    settings::Settings,
    store::Store,
};
use pvdify_cnb::{
    analyzed::Analyzed,
    catalog::{Catalog, Key, OrderError, components},
    descriptor::{Descriptor, Kind},
    env::Env,
    exec_env,
    group::{Order, System},
    plan::BuildPlan,
    resolve::{Answer, Setting, Undetected, Verdict, VerdictResult, resolve},
};
use rustix::{fs::MemfdFlags, process::Pid};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _, Seek as _},
    path::PathBuf,
};

/// An order that leads to more of them runs group by group.
const ALL_AT_ONCE: usize = 24;
/// What is read of a bin/detect's output.
const MOST_OUTPUT: u64 = 64 << 10;
/// Lines of it that are shown when it went wrong.
const SHOWN_LINES: usize = 20;

/// Detects; `group.toml` and `plan.toml` are there afterwards.
pub(crate) fn run(settings: &Settings, children: &Children) -> Result<(), Failure> {
    let failure = |message: String| Failure::new("detect", code::DETECT, message);
    log::step("Detecting buildpacks");
    let order: Order = files::toml(&settings.order)
        .and_then(|it| it.ok_or_else(|| format!("there is no order: {}", settings.order.display())))
        .map_err(failure)?;
    let order = if settings.platform_api.is_platform_with_exec_env() {
        let system: System = files::toml(&settings.system)
            .map_err(failure)?
            .unwrap_or_default();
        order.with_system(&system)
    } else {
        order
    };
    let analyzed: Analyzed = files::toml(&settings.analyzed)
        .map_err(failure)?
        .unwrap_or_default();
    let store = Store::new(settings);
    let catalog = store.catalog(&order).map_err(failure)?;
    check_apis(&order, &catalog)?;
    let environment = Environment::read(settings, &analyzed).map_err(failure)?;
    let scratch = Scratch::new().map_err(|error| failure(format!("no temporary folder: {error}")))?;
    let mut runs = Runs {
        store,
        catalog: &catalog,
        environment: &environment,
        base: Env::for_build(std::env::vars_os()),
        children,
        scratch,
        reports: BTreeMap::new(),
    };
    let mut ahead = components(&order, &catalog).map_err(|error| failure(error.to_string()))?;
    if ahead.len() > ALL_AT_ONCE {
        ahead.clear();
    }
    // Those that no group will ask for are not run.
    let exec_env = settings.exec_env.as_deref();
    ahead.retain(|key| {
        let counts = |it: &Descriptor| exec_env.is_none_or(|env| exec_env::applies(&it.exec_env, env));
        catalog
            .get(key)
            .is_ok_and(|it| it.runs_on(&environment.image) && counts(it))
    });
    let setting = Setting {
        order: &order,
        catalog: &catalog,
        image: &environment.image,
        exec_env,
    };
    let mut wanted = BTreeSet::new();
    let detected = resolve::<Stop>(setting, |keys| {
        wanted.extend(keys.iter().cloned());
        runs.run(keys, &std::mem::take(&mut ahead))
    });
    let detected = detected.map_err(|stop| match stop {
        Stop::Failure(failure) => failure,
        Stop::Order(error) => failure(error.to_string()),
    })?;
    for key in &wanted {
        runs.tell_errors(key);
    }
    let detected = match detected {
        Ok(detected) => detected,
        Err(undetected) => return Err(runs.tell_undetected(&undetected)),
    };
    if let Some(extension) = detected.members.iter().find(|it| it.kind == Kind::Extension) {
        let message = format!(
            "the image extension {extension} takes part, and image extensions can't be run; take it out of the order"
        );
        return Err(failure(message).of(extension));
    }
    for key in &detected.members {
        runs.tell_passed(key);
    }
    let group = detected
        .group(&catalog)
        .map_err(|error| failure(error.to_string()))?;
    files::write_toml(&settings.group, &group).map_err(failure)?;
    files::write_toml(&settings.plan, &detected.plan).map_err(failure)
}

/// The buildpacks that the order itself names must be of an API that is spoken, whether they are come to or not; those
/// within composites are looked at when they are.
fn check_apis(order: &Order, catalog: &Catalog) -> Result<(), Failure> {
    let extensions = order.order_extensions.iter().map(|it| (Kind::Extension, it));
    for (kind, group) in extensions.chain(order.order.iter().map(|it| (Kind::Buildpack, it))) {
        for element in &group.group {
            if let Ok(descriptor) = catalog.find(kind, &element.id, element.version.as_ref()) {
                check_api(descriptor, "detect")?;
            }
        }
    }
    Ok(())
}

/// Whether a buildpack's API is spoken.
pub(crate) fn check_api(descriptor: &Descriptor, phase: &'static str) -> Result<(), Failure> {
    if descriptor.api.is_supported_buildpack() {
        return Ok(());
    }
    let key = Key::of(descriptor);
    let (oldest, newest) = (
        pvdify_cnb::api::OLDEST_BUILDPACK,
        pvdify_cnb::api::NEWEST_BUILDPACK,
    );
    let message = format!(
        "{key} is written for Buildpack API {}; {oldest} to {newest} are run. Another version of it may be",
        descriptor.api
    );
    Err(Failure::new(phase, code::BUILDPACK_API, message).of(&key))
}

enum Stop {
    Failure(Failure),
    Order(OrderError),
}

impl From<OrderError> for Stop {
    fn from(error: OrderError) -> Self {
        Self::Order(error)
    }
}

/// What a bin/detect left behind.
struct Report {
    /// Why it went wrong, if it did.
    error: Option<String>,
    stdout: String,
    stderr: String,
}

/// A bin/detect that runs. Its output goes into memory and not through a pipe, which a process that it left behind
/// could hold open for ever.
struct Started {
    pid: Pid,
    plan: PathBuf,
    stdout: File,
    stderr: File,
}

struct Runs<'a> {
    store: Store<'a>,
    catalog: &'a Catalog,
    environment: &'a Environment<'a>,
    base: Env,
    children: &'a Children,
    scratch: Scratch,
    reports: BTreeMap<Key, Report>,
}

impl Runs<'_> {
    /// Runs those of a group, and `ahead` with them as far as they can be run.
    fn run(&mut self, wanted: &[Key], ahead: &[Key]) -> Result<BTreeMap<Key, Answer>, Stop> {
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

    /// `id version: reason`, the reason being the first line it said.
    fn title(&self, key: &Key) -> String {
        let report = self.reports.get(key);
        let reason = report.and_then(|it| it.stdout.lines().map(str::trim).find(|line| !line.is_empty()));
        let reason = reason
            .map(|it| format!(": {}", log::quote(it)))
            .unwrap_or_default();
        format!("{} {}{reason}", key.id, key.version)
    }

    fn tell_passed(&self, key: &Key) {
        log::detail(&self.title(key));
    }

    fn tell_errors(&self, key: &Key) {
        let Some((report, error)) = self
            .reports
            .get(key)
            .and_then(|it| Some((it, it.error.as_ref()?)))
        else {
            return;
        };
        log::warning(&format!(
            "{} {} went wrong: {}",
            key.id,
            key.version,
            log::quote(error)
        ));
        for text in [&report.stdout, &report.stderr] {
            for line in text
                .lines()
                .rev()
                .take(SHOWN_LINES)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
            {
                log::detail(&log::quote(line));
            }
        }
    }

    fn tell_undetected(&self, undetected: &Undetected) -> Failure {
        let mut told = BTreeSet::new();
        for verdict in undetected.attempts.iter().flat_map(|it| &it.members) {
            if !told.insert(&verdict.key) {
                continue;
            }
            match verdict.result {
                VerdictResult::Passed => log::detail(&format!("yes   {}", self.title(&verdict.key))),
                VerdictResult::Failed => log::detail(&format!("no    {}", self.title(&verdict.key))),
                VerdictResult::Errored => log::detail(&format!("error {}", self.title(&verdict.key))),
                VerdictResult::WrongTarget => {
                    let key = &verdict.key;
                    log::detail(&format!(
                        "error {} {}: it does not run on these images",
                        key.id, key.version
                    ));
                }
            }
        }
        let plans: BTreeSet<&String> = undetected.attempts.iter().flat_map(|it| &it.plans).collect();
        for reason in plans {
            log::detail(&log::quote(reason));
        }
        if undetected.errored {
            let message = "no group of buildpacks passed, and at least one buildpack went wrong";
            let failure = Failure::new("detect", code::DETECT_ERRORED, message);
            let is_error =
                |it: &&Verdict| matches!(it.result, VerdictResult::Errored | VerdictResult::WrongTarget);
            let errored = undetected
                .attempts
                .iter()
                .flat_map(|it| &it.members)
                .find(is_error);
            return match errored {
                Some(verdict) => failure.of(&verdict.key),
                None => failure,
            };
        }
        Failure::new(
            "detect",
            code::NOTHING_DETECTED,
            "no group of buildpacks is for this source",
        )
    }
}

/// The end of a phase that was told to stop.
pub(crate) fn stopped(phase: &'static str) -> Failure {
    Failure::new(phase, code::STOPPED, "stopped by a signal")
}

fn output(mut file: File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
